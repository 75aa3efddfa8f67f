/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of the program share: messages, signals, output, finding
 * and opening models. Results go to standard output, everything else to
 * standard error; a command returns its exit status, which is an ellm_status.
 */
#ifndef ELLM_CLI_CLI_H
#define ELLM_CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "cli/buffer.h"
#include "cli/failure.h"
#include "cli/files.h"
#include "cli/options.h"
#include "cli/utf8.h"

/* ------------------------------------------------------- signals, messages */

/* SIGINT and SIGTERM set a flag; SIGPIPE becomes an error of the write; file
 * numbers 0 to 2 are taken. */
void cli_prepare_process(void);
bool cli_stopped(void);
bool cli_goes_on(void *user); /* !cli_stopped(), for calls that ask; user is not used */
/* Go on after SIGINT; false where SIGTERM has come: that is the end. */
bool cli_forget_interrupt(void);
/* Can be read once a signal has come: for poll, which no signal slips past. -1: there is none. */
int cli_stop_descriptor(void);

/* Print "entrollm: message" (one line) on standard error and return `status`. */
int cli_error(ellm_status status, const char *format, ...) CLI_PRINTF(2, 3);
/* The same for an error of the library; an interruption says just that. */
int cli_fail(const ellm_error *err);
/* "entrollm: note: message", unless the command is quiet. */
void cli_note(const char *format, ...) CLI_PRINTF(1, 2);
extern const ellm_notes cli_notes; /* notes of the library, said by cli_note */
void cli_set_quiet(bool quiet);
bool cli_quiet(void);

/* ---------------------------------------------------------- common options */

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
  OPT_TEXT("model", 'm', &(c).model, "MODEL", "a .ellm file, a checkpoint folder or a GGUF file (default: embedded)")
#define CLI_OPTION_THREADS(c) OPT_INT("threads", 't', &(c).threads, 1, 1024, "N", "threads (default: all usable cores)")
#define CLI_OPTION_JSON(c) OPT_FLAG("json", 0, &(c).json, "print one JSON object on standard output")
#define CLI_OPTION_QUIET(c) OPT_FLAG("quiet", 'q', &(c).quiet, "no progress and no notes")
#define CLI_OPTION_ACTIVATIONS(c) \
  OPT_CHOICE("activations", 0, &(c).activations, cli_activations, "KIND", \
             "f32, or integers: i16, i8 (default: auto, i16 for a .ellm file,\nf32 for a folder)")

/* Rows of all commands that run a model. */
#define CLI_OPTIONS_RUNNING(c) \
  CLI_OPTION_ACTIVATIONS(c), \
  OPT_CHOICE("kv-cache", 0, &(c).cache_type, cli_cache_types, "TYPE", \
             "of keys and values: f16, f32 (default: f16 with integer activations)"), \
  OPT_FLAG("check", 0, &(c).check_all, "verify every checksum of the file first, not block by block on first use"), \
  OPT_FLAG("mlock", 0, &(c).lock_memory, "keep the file in memory"), \
  OPT_FLAG("load", 0, &(c).load, "copy the file into memory with huge pages: starts later, runs faster"), \
  OPT_FLAG("expand", 0, &(c).expand, \
           "decode all weights first, into plain codes in memory: a byte a\n" \
           "weight or half of one; faster without AVX-512")

/* options_parse, then what the common options ask for. */
int cli_parse(option_table *table, int argc, char **argv, const cli_common *common);

/* ------------------------------------------------------------------ models */

/* The folder of the embedded model, malloc'ed; NULL if there is none. */
char *cli_embedded_model(void);
/* common->model or the embedded one, malloc'ed. */
ellm_status cli_model_path(const cli_common *common, char **path, ellm_error *err);
ellm_status cli_open_model(const cli_common *common, ellm_model **model, char **path, ellm_error *err);
/* The tokenizer alone, of a .ellm file or of any folder with a tokenizer.json. */
ellm_status cli_open_tokenizer(const cli_common *common, ellm_tokenizer **tokenizer, ellm_error *err);
/* Bytes of the model on disk: of the file, or of the folder's safetensors. */
uint64_t cli_model_bytes(const char *path);

/* ------------------------------------------------------------------ output */

/* Write to standard output; errors are kept and reported by cli_finish_output. */
void cli_write(const void *data, size_t bytes);
void cli_flush(void);
/* False once a write has failed: loops stop then. */
bool cli_output_ok(void);
/* Flush and close standard output. Returns `status`, or ELLM_ERR_IO when
 * something could not be written (said, unless the reader closed the pipe). */
int cli_finish_output(int status);
/* Print an object and free it. Returns an exit status. */
int cli_print_json(json_t *object);
json_t *cli_json_text(const char *text, size_t bytes); /* invalid UTF-8 becomes U+FFFD */
json_t *cli_json_real(double value);                   /* null if not finite */
json_t *cli_json_u64(uint64_t value);                  /* a string of digits from 2^63 on, where jansson ends */
/* Append to an array that is being built. A value that is NULL, or no memory:
 * *array is freed and NULL from then on, so that printing it fails. */
void cli_json_append(json_t **array, json_t *value);

/* All that comes from a descriptor, malloc'ed, with a NUL after it. `name` names it in errors. */
ellm_status cli_read_stream(int fd, const char *name, char **data, size_t *bytes, ellm_error *err);
/* The same of standard input. */
ellm_status cli_read_stdin(char **data, size_t *bytes, ellm_error *err);

/* "1.2 MB" and the like (decimal units) into text[24]; returns text. */
const char *cli_size_text(uint64_t bytes, char text[24]);

/* ---------------------------------------------------------------- progress */

/* A bar on standard error when that is a terminal; always looks at the
 * interruption flag. Pass as ellm_progress_fn with a zeroed cli_progress. */
typedef struct cli_progress {
  double start, last;     /* of the counting, of the last drawing */
  uint64_t first, before; /* `done` at the start and at the last call */
  uint64_t total;         /* another one, or fewer done than before: counting starts anew */
  bool shown, bytes;
} cli_progress;
void cli_progress_init(cli_progress *progress, bool bytes);
bool cli_progress_update(void *user, const ellm_progress *step);
void cli_progress_end(cli_progress *progress);

/* ------------------------------------------------------------- description */

json_t *cli_tensor_json(const ellm_tensor_info *tensor);
json_t *cli_totals_json(const ellm_totals *totals);
void cli_print_tensors(const ellm_tensor_info *tensors, size_t n_tensors);
json_t *cli_assets_json(const ellm_asset_info *assets, size_t n_assets); /* [{"name", "bytes"}] */
void cli_print_assets(const ellm_asset_info *assets, size_t n_assets);

json_t *cli_ids_json(const uint32_t *ids, size_t n_ids);

/* ---------------------------------------------------------------- commands */

typedef int (*cli_command_fn)(int argc, char **argv);
int cmd_compress(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_decompress(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_render(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_report(int argc, char **argv);

#endif
