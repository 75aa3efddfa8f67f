/* SPDX-License-Identifier: Apache-2.0 */
/* The options that say how tokens are chosen and when to end: what run and chat share. */
#ifndef ELLM_CLI_SAMPLING_H
#define ELLM_CLI_SAMPLING_H

#include "cli/cli.h"

typedef struct cli_sampling {
  int tokens, top_k; /* tokens: -1, no limit */
  double temperature, top_p, min_p, repeat_penalty;
  option_seed seed;
  bool escape;
  option_list stops;
  const char *grammar, *schema; /* files of what the text can be; NULL: any text */
} cli_sampling;

#define CLI_OPTIONS_SAMPLING(s, tokens_help) \
  OPT_INT("tokens", 'n', &(s).tokens, -1, 1 << 24, "N", tokens_help), \
  OPT_REAL("temp", 0, &(s).temperature, 0, 100, "T", "temperature; 0: always the likeliest token"), \
  OPT_INT("top-k", 0, &(s).top_k, 0, 1 << 24, "K", \
          "sample from the K likeliest; 0: all (default 50, as Transformers)"), \
  OPT_REAL("top-p", 0, &(s).top_p, 0, 1, "P", "sample from the likeliest that together reach P; 1: all"), \
  OPT_REAL("min-p", 0, &(s).min_p, 0, 1, "P", "sample from those at least P times as likely as the likeliest"), \
  OPT_REAL("repeat-penalty", 0, &(s).repeat_penalty, 0.01, 100, "R", "make earlier tokens less likely; 1: off"), \
  OPT_SEED("seed", 0, &(s).seed, "S", "seed of sampling (default 0); -1: a random one, which is printed"), \
  OPT_LIST("stop", 0, &(s).stops, "STR", "end before this text; may be given several times"), \
  OPT_TEXT("grammar", 0, &(s).grammar, "FILE", "make the new text follow this grammar (GBNF, as in llama.cpp)"), \
  OPT_TEXT("json-schema", 0, &(s).schema, "FILE", "make the new text JSON that is valid under this JSON Schema"), \
  OPT_FLAG("escape", 'e', &(s).escape, "interpret \\n, \\t, \\\\, \\x41 and so on in the texts of options")

/* generation_config's defaults, overridden by the options. As in Transformers,
 * a model that does not ask for sampling is decoded greedily; --temp asks. */
ellm_sampling cli_sampling_choose(const cli_sampling *options, const option_table *table, const ellm_model *model);
/* Escapes, then usage errors that the parser does not see; an exit status. The stop strings are changed in place. */
int cli_sampling_check(cli_sampling *options, const option_table *table);
/* The grammar that the options name, made for the model's tokenizer; NULL where they name none. Free with
 * ellm_grammar_free. */
ellm_status cli_sampling_grammar(const cli_sampling *options, ellm_model *model, ellm_grammar **grammar,
                                 ellm_error *err);
/* Of --tokens: SIZE_MAX where there is none. */
size_t cli_sampling_limit(const cli_sampling *options);

#endif
