/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands, each in a file of its name (those of `eval` in eval_NAME.c,
 * decompress in verify.c, detokenize in tokenize.c). A command returns an
 * ellm_status, of which main.c makes the exit status.
 */
#ifndef ELLM_CLI_COMMANDS_H
#define ELLM_CLI_COMMANDS_H

typedef int (*cli_command_fn)(int argc, char **argv);

/* A command of the program, or one below such a command (`entrollm eval NAME`). */
typedef struct cli_command {
  const char *name;
  cli_command_fn run;
  const char *about; /* what it does, some words */
} cli_command;

int cmd_compress(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_decompress(int argc, char **argv);
int cmd_split(int argc, char **argv);
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
int cmd_serve(int argc, char **argv);

/* entrollm eval NAME; perplexity is a command by itself, too. */
int cmd_eval_divergence(int argc, char **argv);
int cmd_eval_hellaswag(int argc, char **argv);
int cmd_eval_choice(int argc, char **argv);
int cmd_eval_gsm8k(int argc, char **argv);

#endif
