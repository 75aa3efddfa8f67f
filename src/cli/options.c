/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option parser. `--name value`, `--name=value`, `-n value`, `-nvalue`;
 * `--` ends the options; the last one given counts, except for lists. Numbers
 * are parsed strictly: the whole word, in range, finite, decimal.
 */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/messages.h"
#include "cli/output.h"
#include "cli/team.h"

enum { NAME_LIMIT = 32, HELP_COLUMN = 26 };

bool option_given(const option_table *table, const char *name) {
  for (size_t i = 0; i < table->n_options; i++)
    if (strcmp(table->options[i].name, name) == 0) return table->options[i].given;
  return false;
}

void option_list_free(option_list *list) {
  free(list->items);
  list->items = NULL;
  list->count = 0;
}

const char *option_choice_name(const option_choice *choices, int value) {
  for (; choices->name; choices++)
    if (choices->value == value) return choices->name;
  return "?";
}

/* Levenshtein distance of two short words; large when one is too long. */
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), row[NAME_LIMIT + 1];
  if (n > NAME_LIMIT || m > NAME_LIMIT) return NAME_LIMIT;
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[m];
}

const char *options_nearest(const char *word, const char *const *names, size_t n_names) {
  const char *best = NULL;
  size_t best_distance = 3; /* two typing errors at most */
  for (size_t i = 0; i < n_names; i++) {
    size_t d = distance(word, names[i]);
    if (d < best_distance && d < strlen(names[i])) {
      best = names[i];
      best_distance = d;
    }
  }
  return best;
}

/* ----------------------------------------------------------------- numbers */

static bool only_of(const char *word, const char *letters) { return *word && word[strspn(word, letters)] == '\0'; }

static bool parse_int(const char *word, double low, double high, int *out) {
  const char *digits = word[0] == '-' ? word + 1 : word;
  if (!only_of(digits, "0123456789")) return false;
  errno = 0;
  long value = strtol(word, NULL, 10);
  if (errno != 0 || (double)value < low || (double)value > high) return false;
  *out = (int)value;
  return true;
}

static bool parse_u64(const char *word, uint64_t *out) {
  if (!only_of(word, "0123456789")) return false;
  errno = 0;
  unsigned long long value = strtoull(word, NULL, 10);
  if (errno != 0) return false;
  *out = value;
  return true;
}

/* The only randomness of the program: results depend on the seed, which is always told. */
static bool parse_seed(const char *word, option_seed *out) {
  uint64_t value;
  uint32_t drawn;
  if (strcmp(word, "-1") == 0) {
    if (getentropy(&drawn, sizeof drawn) != 0) return false;
    cli_team_broadcast(&drawn, sizeof drawn);
    *out = (option_seed){drawn, true};
    return true;
  }
  if (!parse_u64(word, &value)) return false;
  *out = (option_seed){value, false};
  return true;
}

static bool parse_real(const char *word, double low, double high, double *out) {
  char *end = NULL;
  if (!only_of(word, "0123456789+-.eE")) return false;
  double value = strtod(word, &end);
  if (*end != '\0' || !isfinite(value) || value < low || value > high) return false;
  *out = value;
  return true;
}

int options_parse_ids(const char *text, size_t bytes, const char *what, int bad, uint32_t **ids, size_t *n_ids) {
  size_t capacity = 0, count = 0, i = 0;
  uint32_t *list = NULL;
  bool comma = false; /* since the last number: another one means that one is missing */
  while (i < bytes) {
    char c = text[i];
    if (c == ',' && comma) {
      free(list);
      return cli_error((ellm_status)bad, "%s: a number is missing between two commas", what);
    }
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',') {
      comma = comma || c == ',';
      i++;
      continue;
    }
    comma = false;
    uint64_t value = 0;
    size_t start = i;
    while (i < bytes && text[i] >= '0' && text[i] <= '9' && value <= UINT32_MAX)
      value = value * 10 + (uint64_t)(text[i++] - '0');
    bool ends = i == bytes || memchr(" \t\n\r,", text[i], 5) != NULL;
    if (i == start || !ends || value > UINT32_MAX) {
      size_t length = 0;
      while (start + length < bytes && length < 24 && !memchr(" \t\n\r,", text[start + length], 5)) length++;
      free(list);
      return cli_error((ellm_status)bad, "%s: '%.*s' is not a whole number below 2^32", what, (int)length,
                       text + start);
    }
    if (count == capacity) {
      size_t larger = capacity ? capacity * 2 : 64;
      uint32_t *grown = larger <= SIZE_MAX / sizeof *grown ? realloc(list, larger * sizeof *grown) : NULL;
      if (!grown) {
        free(list);
        return cli_error(ELLM_ERR_IO, "out of memory for a list of numbers");
      }
      list = grown;
      capacity = larger;
    }
    list[count++] = (uint32_t)value;
  }
  *ids = list;
  *n_ids = count;
  return 0;
}

/* -------------------------------------------------------------------- help */

static void print_help(const option_table *table) {
  printf("usage: entrollm %s %s\n\n%s\n\noptions:\n", table->command, table->synopsis, table->about);
  for (size_t i = 0; i <= table->n_options; i++) {
    static const option help = OPT_FLAG("help", 'h', NULL, "show this help");
    const option *o = i < table->n_options ? &table->options[i] : &help;
    char left[80];
    int width = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                         o->letter ? "," : " ", o->name, o->value ? " " : "", o->value ? o->value : "");
    if (width > HELP_COLUMN - 2) printf("%s\n%*s", left, HELP_COLUMN, "");
    else printf("%-*s", HELP_COLUMN, left);
    for (const char *c = o->help; *c; c++) { /* further lines are indented */
      putchar(*c);
      if (*c == '\n') printf("%*s", HELP_COLUMN, "");
    }
    putchar('\n');
  }
  if (table->notes) printf("\n%s\n", table->notes);
}

bool options_asks_json(const char *word) { return strcmp(word, "--help=json") == 0; }

static json_t *option_json(const option *o) {
  static const char *const kinds[] = {[OPTION_FLAG] = "flag", [OPTION_TEXT] = "text", [OPTION_LIST] = "list",
                                      [OPTION_INT] = "integer", [OPTION_SEED] = "seed", [OPTION_REAL] = "real",
                                      [OPTION_CHOICE] = "choice"};
  const char letter[2] = {o->letter, '\0'};
  json_t *choices = json_array();
  for (const option_choice *c = o->choices; c && c->name; c++) cli_json_append(&choices, json_string(c->name));
  return json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s*, s:o}", "name", o->name, "letter", letter, "kind", kinds[o->kind],
                   "value", o->value, "help", o->help, "suggest", o->suggest, "choices", choices);
}

int options_print_json(const option_table *table) {
  static const option help = OPT_FLAG("help", 'h', NULL, "show this help");
  json_t *options = json_array(), *commands = json_array();
  for (size_t i = 0; i < table->n_options; i++) cli_json_append(&options, option_json(&table->options[i]));
  cli_json_append(&options, option_json(&help));
  for (size_t i = 0; i < table->n_commands; i++)
    cli_json_append(&commands, json_pack("{s:s, s:s}", "name", table->commands[i].name, "about",
                                         table->commands[i].about));
  return cli_print_json(json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:b, s:s*, s:o, s:o}", "command", table->command,
                                  "synopsis", table->synopsis, "about", table->about, "notes", table->notes, "operand",
                                  table->operand, "operand_optional", table->operand_optional, "operand_suggest",
                                  table->operand_suggest, "options", options, "commands", commands));
}

/* ------------------------------------------------------------------ parser */

static int usage_error(const option_table *table, const char *message, const char *word, const char *hint) {
  if (hint)
    return cli_error(ELLM_ERR_USAGE, "%s: %s '%s' (did you mean '--%s'? See 'entrollm %s --help')", table->command,
                     message, word, hint, table->command);
  return cli_error(ELLM_ERR_USAGE, "%s: %s '%s' (see 'entrollm %s --help')", table->command, message, word,
                   table->command);
}

static int unknown_option(const option_table *table, const char *word, const char *name) {
  const char *names[64];
  size_t n = 0;
  for (size_t i = 0; i < table->n_options && n < 64; i++) names[n++] = table->options[i].name;
  return usage_error(table, "unknown option", word, name ? options_nearest(name, names, n) : NULL);
}

static int bad_choice(const option_table *table, const option *o, const char *word) {
  char list[160] = "";
  for (const option_choice *c = o->choices; c->name; c++) {
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", c->name);
  }
  return cli_error(ELLM_ERR_USAGE, "%s: --%s is one of %s, not '%s'", table->command, o->name, list, word);
}

bool option_parse_value(option *o, const char *word) {
  switch (o->kind) {
    case OPTION_FLAG: *(bool *)o->target = true; return true;
    case OPTION_TEXT: *(const char **)o->target = word; return true;
    case OPTION_LIST: return false;
    case OPTION_INT: return parse_int(word, o->low, o->high, o->target);
    case OPTION_SEED: return parse_seed(word, o->target);
    case OPTION_REAL: return parse_real(word, o->low, o->high, o->target);
    case OPTION_CHOICE:
      for (const option_choice *c = o->choices; c->name; c++)
        if (strcmp(c->name, word) == 0) {
          *(int *)o->target = c->value;
          return true;
        }
      return false;
  }
  return false;
}

/* Store one value. Returns -1 or an exit status. */
static int store(const option_table *table, option *o, const char *word, int argc) {
  o->given = true;
  if (o->kind == OPTION_LIST) {
    option_list *list = o->target;
    if (!list->items) list->items = calloc((size_t)argc, sizeof *list->items);
    if (!list->items) return cli_error(ELLM_ERR_IO, "out of memory for the options");
    list->items[list->count++] = word;
    return -1;
  }
  if (option_parse_value(o, word)) return -1;
  switch (o->kind) {
    case OPTION_INT:
      return cli_error(ELLM_ERR_USAGE, "%s: --%s takes a whole number from %.0f to %.0f, not '%s'", table->command,
                       o->name, o->low, o->high, word);
    case OPTION_SEED:
      return cli_error(ELLM_ERR_USAGE, "%s: --%s takes a whole number from 0 to 2^64 - 1 or -1, not '%s'",
                       table->command, o->name, word);
    case OPTION_REAL:
      return cli_error(ELLM_ERR_USAGE, "%s: --%s takes a number from %g to %g, not '%s'", table->command, o->name,
                       o->low, o->high, word);
    case OPTION_CHOICE: return bad_choice(table, o, word);
    default: return cli_error(ELLM_ERR_INTERNAL, "option --%s has no kind", o->name);
  }
}

static option *find_long(const option_table *table, const char *name, size_t length) {
  for (size_t i = 0; i < table->n_options; i++)
    if (strlen(table->options[i].name) == length && memcmp(table->options[i].name, name, length) == 0)
      return &table->options[i];
  return NULL;
}

static option *find_letter(const option_table *table, char letter) {
  for (size_t i = 0; i < table->n_options; i++)
    if (table->options[i].letter == letter) return &table->options[i];
  return NULL;
}

static bool is_help(const char *word) { return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0; }

/* The option that `word` names and, if given in the same word, its value. */
static option *find_option(const option_table *table, const char *word, const char **value) {
  *value = NULL;
  if (word[1] != '-') {
    option *o = find_letter(table, word[1]);
    if (word[2]) *value = word + 2;
    return o && o->kind == OPTION_FLAG && *value ? NULL : o;
  }
  const char *name = word + 2, *equals = strchr(name, '=');
  if (equals) *value = equals + 1;
  return find_long(table, name, equals ? (size_t)(equals - name) : strlen(name));
}

int options_parse(option_table *table, int argc, char **argv) {
  bool options_end = false, have_operand = false;
  for (int i = 1; i < argc; i++) {
    char *word = argv[i];
    if (options_end || word[0] != '-' || word[1] == '\0') {
      if (!table->operand || have_operand) return usage_error(table, "unexpected argument", word, NULL);
      *table->operand_target = word;
      have_operand = true;
      continue;
    }
    if (strcmp(word, "--") == 0) {
      options_end = true;
      continue;
    }
    if (is_help(word)) {
      print_help(table);
      return ELLM_OK;
    }
    if (options_asks_json(word)) return options_print_json(table);
    const char *value;
    option *o = find_option(table, word, &value);
    if (!o) return unknown_option(table, word, word[1] == '-' ? word + 2 : NULL);
    if (o->kind == OPTION_FLAG) {
      if (value) return cli_error(ELLM_ERR_USAGE, "%s: --%s takes no value", table->command, o->name);
    } else if (!value) {
      if (i + 1 == argc) return usage_error(table, "a value is missing after", word, NULL);
      value = argv[++i];
    }
    int status = store(table, o, value, argc);
    if (status >= 0) return status;
  }
  if (table->operand && !have_operand && !table->operand_optional)
    return cli_error(ELLM_ERR_USAGE, "%s: %s is missing (see 'entrollm %s --help')", table->command, table->operand,
                     table->command);
  return -1;
}
