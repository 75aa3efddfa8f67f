/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm eval NAME: finds the evaluation. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const cli_command evaluations[] = {
    {"perplexity", cmd_perplexity, "how well a text is predicted, by four published protocols"},
    {"divergence", cmd_eval_divergence, "how far the predictions are from those of a reference model"},
    {"hellaswag", cmd_eval_hellaswag, "which of four endings is likeliest (HellaSwag)"},
    {"gsm8k", cmd_eval_gsm8k, "word problems with a chain of thought (GSM8K)"},
    {"choice", cmd_eval_choice, "multiple choice from a file of JSON lines"},
};
enum { N_EVALUATIONS = sizeof evaluations / sizeof *evaluations };

static const option_table table = {.command = "eval",
                                   .synopsis = "NAME [options]",
                                   .about = "Evaluations of a model; protocols and formats: docs/EVALUATION.md.",
                                   .commands = evaluations,
                                   .n_commands = N_EVALUATIONS};

int cmd_eval(int argc, char **argv) {
  char names[120] = "";
  const char *words[N_EVALUATIONS];
  for (size_t i = 0; i < N_EVALUATIONS; i++) {
    size_t used = strlen(names);
    words[i] = evaluations[i].name;
    snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", words[i]);
  }
  if (argc < 2) return cli_error(ELLM_ERR_USAGE, "eval: the evaluation is missing (available: %s)", names);
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    printf("usage: entrollm eval %s\n\n%s\n\n", table.synopsis, table.about);
    for (size_t i = 0; i < N_EVALUATIONS; i++) printf("  %-12s %s\n", words[i], evaluations[i].about);
    printf("\n'entrollm eval NAME --help' shows the options of an evaluation.\n");
    return ELLM_OK;
  }
  if (options_asks_json(argv[1])) return options_print_json(&table);
  for (size_t i = 0; i < N_EVALUATIONS; i++)
    if (strcmp(argv[1], words[i]) == 0) return evaluations[i].run(argc - 1, argv + 1);
  const char *near = options_nearest(argv[1], words, N_EVALUATIONS);
  if (near)
    return cli_error(ELLM_ERR_USAGE, "eval: unknown evaluation '%s' (did you mean '%s'? Available: %s)", argv[1], near,
                     names);
  return cli_error(ELLM_ERR_USAGE, "eval: unknown evaluation '%s' (available: %s)", argv[1], names);
}
