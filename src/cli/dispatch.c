/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the command, runs it, and checks that all output was written. The environment variable
 * ENTROLLM_ISA=scalar|avx2|avxvnni|avx512|neon|neon_dotprod|neon_i8mm forces an instruction set.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/dispatch.h"
#include "cli/team.h"

static const cli_command commands[] = {
    {"pull", cmd_pull, "download a model from the Hugging Face hub"},
    {"compress", cmd_compress, "compress a checkpoint folder into one .ellm file"},
    {"inspect", cmd_inspect, "describe a .ellm file, tensor by tensor"},
    {"verify", cmd_verify, "check every byte of a .ellm file"},
    {"decompress", cmd_decompress, "write a .ellm file back as a checkpoint folder"},
    {"split", cmd_split, "write the parts of a .ellm file, one for each machine"},
    {"run", cmd_run, "continue a text"},
    {"chat", cmd_chat, "talk with a model"},
    {"serve", cmd_serve, "serve a model over HTTP"},
    {"perplexity", cmd_perplexity, "measure how well a model predicts a text"},
    {"eval", cmd_eval, "perplexity, divergence, HellaSwag, GSM8K, multiple choice"},
    {"report", cmd_report, "compress in several ways, measure each, write a web page"},
    {"tokenize", cmd_tokenize, "turn standard input into token ids"},
    {"detokenize", cmd_detokenize, "turn token ids into text"},
    {"render", cmd_render, "render a conversation with the chat template of a model"},
    {"logits", cmd_logits, "write the logits of a sequence of ids"},
    {"bench", cmd_bench, "measure speed and memory on this machine"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static option program_options[] = {OPT_FLAG("version", 'V', NULL, "show the version")};
static const option_table program = {
    .command = "",
    .synopsis = "COMMAND [options]",
    .about = "Language models that stay entropy-coded in memory: compress a model to the size that you ask\n"
             "for, and run, chat with or serve it from the compressed file.",
    .notes = "exit status: 0 done, 1 internal error, 2 usage, 3 bad input, 4 input/output failure or no memory,\n"
             "5 verification found a difference, 130 interrupted",
    .options = program_options,
    .n_options = 1,
    .commands = commands,
    .n_commands = N_COMMANDS};

static void print_usage(FILE *out) {
  fprintf(out, "usage: entrollm %s\n\n%s\n\ncommands:\n", program.synopsis, program.about);
  for (size_t i = 0; i < N_COMMANDS; i++) fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].about);
  fprintf(out, "\n'entrollm COMMAND --help' shows the options of a command; 'entrollm --version' the version.\n%s\n",
          program.notes);
}

static int unknown_command(const char *word) {
  const char *names[N_COMMANDS];
  for (size_t i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
  const char *near = options_nearest(word, names, N_COMMANDS);
  if (near)
    return cli_error(ELLM_ERR_USAGE, "unknown command '%s' (did you mean '%s'? See 'entrollm --help')", word, near);
  return cli_error(ELLM_ERR_USAGE, "unknown command '%s' (see 'entrollm --help')", word);
}

/* Commands that several processes can run: the others write files of their own, or wait for what comes from outside. */
static bool for_a_team(const char *command) {
  static const char *const names[] = {"compress", "run", "chat", "logits", "eval", "perplexity", "bench"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(command, names[i]) == 0) return true;
  return false;
}

static int run_command(int argc, char **argv) {
  const char *isa = getenv("ENTROLLM_ISA");
  if (isa && *isa && !ellm_isa_force(isa)) {
    char usable[80] = "";
    const char *name;
    for (size_t i = 0; (name = ellm_isa_at(i)) != NULL; i++) {
      size_t used = strlen(usable);
      snprintf(usable + used, sizeof usable - used, "%s%s", used ? ", " : "", name);
    }
    return cli_error(ELLM_ERR_USAGE, "ENTROLLM_ISA=%s cannot be used on this machine (usable: %s)", isa, usable);
  }
  for (size_t i = 0; i < N_COMMANDS; i++) {
    if (strcmp(argv[0], commands[i].name) != 0) continue;
    if (cli_team_of_model() != NULL && !for_a_team(argv[0]))
      return cli_error(ELLM_ERR_USAGE, "%s: does not run with several processes; compress, run, chat, logits, eval "
                                       "and bench model do",
                       argv[0]);
    return commands[i].run(argc, argv);
  }
  return unknown_command(argv[0]);
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) {
    print_usage(stderr);
    return ELLM_ERR_USAGE;
  }
  const char *word = argv[1];
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
    if (strcmp(word, "help") == 0 && argc > 2) { /* help COMMAND = COMMAND --help */
      char help[] = "--help";
      char *words[] = {argv[2], help, NULL};
      return run_command(2, words);
    }
    print_usage(stdout);
    return ELLM_OK;
  }
  if (options_asks_json(word)) return options_print_json(&program);
  if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0) {
    printf("entrollm %s\n", ellm_version());
    return ELLM_OK;
  }
  if (word[0] == '-')
    return cli_error(ELLM_ERR_USAGE, "unknown option '%s' before the command (see 'entrollm --help')", word);
  return run_command(argc - 1, argv + 1);
}

/* Statuses of the library that a caller can act on are to the user what they come from: no memory, an argument. */
static int exit_status(int status) {
  return status == ELLM_ERR_FULL ? ELLM_ERR_IO : status == ELLM_ERR_EXISTS ? ELLM_ERR_USAGE : status;
}

int cli_main(int argc, char **argv) {
  cli_prepare_process();
  return cli_finish_output(exit_status(dispatch(argc, argv)));
}
