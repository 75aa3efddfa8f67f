/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One small parser for the options of every command. A command describes
 * itself by a table; parsing, checking of ranges, errors and --help follow
 * from it, so that they cannot drift apart. `--help=json` prints the table for
 * programs: the manual pages and the completions of shells are made from that.
 */
#ifndef ELLM_CLI_OPTIONS_H
#define ELLM_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/commands.h"

typedef enum option_kind {
  OPTION_FLAG,   /* bool *, no value */
  OPTION_TEXT,   /* const char ** */
  OPTION_LIST,   /* option_list *, may be given several times */
  OPTION_INT,    /* int *, low..high */
  OPTION_SEED,   /* option_seed * */
  OPTION_REAL,   /* double *, finite, low..high */
  OPTION_CHOICE  /* int *, one of `choices` */
} option_kind;

typedef struct option_choice {
  const char *name; /* NULL ends the list */
  int value;
} option_choice;

/* A whole number below 2^64; -1 draws one, below 2^32 so that it can be typed again. */
typedef struct option_seed {
  uint64_t value;
  bool drawn;
} option_seed;

/* Values in the order given; strings are those of argv. */
typedef struct option_list {
  const char **items;
  size_t count;
} option_list;

typedef struct option {
  const char *name;  /* long name without the dashes */
  char letter;       /* short name, 0 if none */
  option_kind kind;
  void *target;      /* type by kind; left alone when the option is not given */
  const char *value; /* name of the value in the help */
  const char *help;
  double low, high;  /* of OPTION_INT and OPTION_REAL */
  const option_choice *choices;
  bool given;        /* set by the parser */
  const char *suggest; /* what a shell may complete the value to, as below; NULL: what its name says */
} option;

/* Suggestions, separated by blanks: ".ellm" for files of that ending, "*" for all files, "/" for folders, anything else
 * for itself. Where there are none the name of the value decides: all files for FILE, PATH, OUT or TEXT of an option
 * `file`, those of an ending for FILE.ending, folders for DIR or FOLDER, also as a part of A|B. */
#define SUGGEST_MODEL ".ellm .gguf /"
#define SUGGEST_ELLM ".ellm"
#define SUGGEST_SOURCE ".gguf /" /* what is compressed */

/* Rows of a table. */
#define OPT_FLAG(name, letter, target, help) {name, letter, OPTION_FLAG, target, NULL, help, 0, 0, NULL, false, NULL}
#define OPT_TEXT(name, letter, target, value, help) \
  {name, letter, OPTION_TEXT, target, value, help, 0, 0, NULL, false, NULL}
#define OPT_LIST(name, letter, target, value, help) \
  {name, letter, OPTION_LIST, target, value, help, 0, 0, NULL, false, NULL}
#define OPT_SEED(name, letter, target, value, help) \
  {name, letter, OPTION_SEED, target, value, help, 0, 0, NULL, false, NULL}
#define OPT_INT(name, letter, target, low, high, value, help) \
  {name, letter, OPTION_INT, target, value, help, low, high, NULL, false, NULL}
#define OPT_REAL(name, letter, target, low, high, value, help) \
  {name, letter, OPTION_REAL, target, value, help, low, high, NULL, false, NULL}
#define OPT_CHOICE(name, letter, target, choices, value, help) \
  {name, letter, OPTION_CHOICE, target, value, help, 0, 0, choices, false, NULL}
#define OPT_SUGGEST(name, letter, target, value, suggest, help) \
  {name, letter, OPTION_TEXT, target, value, help, 0, 0, NULL, false, suggest}

typedef struct option_table {
  const char *command;  /* "compress" */
  const char *synopsis; /* "DIR -o FILE [options]" */
  const char *about;    /* what it does, a few lines */
  const char *notes;    /* examples and the like after the options; may be NULL */
  option *options;
  size_t n_options;
  const char *operand;   /* name of the one argument that is no option; NULL if there is none */
  const char **operand_target;
  bool operand_optional;
  const char *operand_suggest; /* as `suggest` of an option */
  const cli_command *commands; /* below this one; the command itself finds and runs them */
  size_t n_commands;
} option_table;

/* Parse argv[1..argc-1] (argv[0] is the command). Returns -1 when the command
 * shall continue, else the exit status: 0 after --help, 2 after an error (printed). */
int options_parse(option_table *table, int argc, char **argv);

/* Is the word `--help=json`? */
bool options_asks_json(const char *word);

/* What `--help=json` prints, one object; its members are those of option_table and option, its kinds of options
 * "flag", "text", "list", "integer", "seed", "real" and "choice". Returns an exit status. */
int options_print_json(const option_table *table);

/* Was the option of this name given? */
bool option_given(const option_table *table, const char *name);
void option_list_free(option_list *list);

/* The name of a value, for messages. */
const char *option_choice_name(const option_choice *choices, int value);

/* Parse one word as the value of an option; false, and nothing changed, if it is none. Not for lists. */
bool option_parse_value(option *o, const char *word);

/* The nearest of `names` to a mistyped word, or NULL if none is near. */
const char *options_nearest(const char *word, const char *const *names, size_t n_names);

/* "1 2 3" (spaces, tabs, newlines or one comma between) to numbers, token ids mostly. Something that is no number below
 * 2^32, or a missing one, is said and `bad` returned, else 0. *ids is malloc'ed. */
int options_parse_ids(const char *text, size_t bytes, const char *what, int bad, uint32_t **ids, size_t *n_ids);

#endif
