/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: words of the command line. The first byte chooses: words, separated by NUL bytes, for a command with
 * options of every kind; a list of token ids; a text with escapes; a size. Numbers that are accepted lie in their
 * ranges.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input.h"
#include "cli/options.h"
#include "cli/target.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_WORDS = 64 };

static void parse_words(char *text, size_t bytes) {
  static const option_choice choices[] = {{"size", 1}, {"balanced", 2}, {"speed", 3}, {NULL, 0}};
  bool flag = false;
  const char *word = NULL, *operand = NULL;
  option_list list = {0};
  option_seed seed = {0};
  int whole = 7, choice = 2;
  double real = 0.5;
  option options[] = {OPT_FLAG("dry-run", 'n', &flag, "flag"),
                      OPT_TEXT("output", 'o', &word, "FILE", "text"),
                      OPT_LIST("keep", 'k', &list, "GLOB", "list"),
                      OPT_SEED("seed", 's', &seed, "N", "seed"),
                      OPT_INT("threads", 't', &whole, 1, 1024, "N", "integer"),
                      OPT_REAL("temp", 0, &real, 0, 100, "X", "real"),
                      OPT_CHOICE("prefer", 'p', &choice, choices, "KIND", "choice")};
  option_table table = {.command = "fuzz", .synopsis = "FILE", .about = "about", .options = options,
                        .n_options = sizeof options / sizeof *options, .operand = "FILE", .operand_target = &operand,
                        .operand_optional = bytes % 2 == 0};
  char *argv[MOST_WORDS + 1] = {(char[]){"fuzz"}};
  int argc = 1;
  for (size_t at = 0; at < bytes && argc < MOST_WORDS; at += strlen(text + at) + 1) argv[argc++] = text + at;
  const int status = options_parse(&table, argc, argv);
  want(status == -1 || status == ELLM_OK || status == ELLM_ERR_USAGE);
  want(whole >= 1 && whole <= 1024 && real >= 0 && real <= 100 && choice >= 1 && choice <= 3);
  want(!seed.drawn || seed.value <= UINT32_MAX);
  want(option_choice_name(choices, choice) != NULL && list.count <= (size_t)argc);
  if (status == -1) want(operand != NULL || table.operand_optional);
  for (size_t i = 0; i < table.n_options; i++) want(option_given(&table, options[i].name) == options[i].given);
  option_list_free(&list);
}

static void parse_ids(const char *text, size_t bytes) {
  uint32_t *ids = NULL;
  size_t n = 0;
  char *exact = malloc(bytes > 0 ? bytes : 1); /* no NUL behind it */
  want(exact != NULL);
  memcpy(exact, text, bytes);
  const int status = options_parse_ids(exact, bytes, "ids", ELLM_ERR_USAGE, &ids, &n);
  want(status == ELLM_OK || (status == ELLM_ERR_USAGE && ids == NULL));
  want(n <= (bytes + 1) / 2);
  uint32_t all = 0;
  for (size_t i = 0; i < n; i++) all |= ids[i];
  want(n > 0 || all == 0);
  free(ids);
  free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool silent;
  if (!silent) { /* what is said is said for nobody */
    want(freopen("/dev/null", "w", stdout) != NULL);
#ifndef ENTROLLM_LIBFUZZER
    want(freopen("/dev/null", "w", stderr) != NULL);
#endif
    silent = true;
  }
  if (size < 1 || size > 4096) return 0;
  char *text = malloc(size);
  want(text != NULL);
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  switch (data[0] % 4) {
    case 0: parse_words(text, size - 1); break;
    case 1: parse_ids(text, size - 1); break;
    case 2: want(cli_unescape(text, size - 1) <= size - 1); break;
    default: {
      const double bytes = cli_parse_size(text);
      want(isfinite(bytes) && bytes >= 0);
    }
  }
  free(text);
  return 0;
}
