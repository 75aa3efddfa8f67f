/* SPDX-License-Identifier: Apache-2.0 */
/* Options that many commands have. */
#ifndef ELLM_CLI_COMMON_H
#define ELLM_CLI_COMMON_H

#include "cli/options.h"

typedef struct cli_common {
  const char *model; /* -m, NULL: the embedded one */
  int threads;       /* 0: all */
  bool json, quiet;
  int activations;
  int cache_type;
  bool check_all, lock_memory, load, expand;
} cli_common;

extern const option_choice cli_activations[], cli_cache_types[];

#define CLI_OPTION_MODEL(c) \
  OPT_SUGGEST("model", 'm', &(c).model, "MODEL", SUGGEST_MODEL, \
           "a .ellm file, a checkpoint folder, a GGUF file, or hf:OWNER/NAME\n(default: embedded)")
#define CLI_OPTION_THREADS(c) OPT_INT("threads", 't', &(c).threads, 1, 1024, "N", "threads (default: all usable cores)")
#define CLI_OPTION_JSON(c) OPT_FLAG("json", 0, &(c).json, "print one JSON object on standard output")
#define CLI_OPTION_QUIET(c) OPT_FLAG("quiet", 'q', &(c).quiet, "no progress and no notes")
#define CLI_OPTION_ACTIVATIONS(c) \
  OPT_CHOICE("activations", 0, &(c).activations, cli_activations, "KIND", \
             "f32, or integers: i16, i8 (default: auto, which is f32 for a folder,\n" \
             "i8 if a .ellm file says that it costs little, else i16)")

#define CLI_OPTION_KV_CACHE(c) \
  OPT_CHOICE("kv-cache", 0, &(c).cache_type, cli_cache_types, "TYPE", \
             "type of keys and values: f16, f32, or q8, which is half the memory of\n" \
             "f16 (default: f16 with integer activations)")

/* Rows of all commands that run a model. */
#define CLI_OPTIONS_RUNNING(c) \
  CLI_OPTION_ACTIVATIONS(c), \
  CLI_OPTION_KV_CACHE(c), \
  OPT_FLAG("check", 0, &(c).check_all, "verify all checksums of the file first, not block by block on first use"), \
  OPT_FLAG("mlock", 0, &(c).lock_memory, "keep the file in memory"), \
  OPT_FLAG("load", 0, &(c).load, "copy the file into memory with huge pages: starts later, runs faster"), \
  OPT_FLAG("expand", 0, &(c).expand, \
           "decode all weights first, into plain codes in memory: one byte per\n" \
           "weight or half a byte; faster without AVX-512")

/* options_parse, then what the common options ask for. */
int cli_parse(option_table *table, int argc, char **argv, const cli_common *common);

#endif
