/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: filters, tests, functions and methods by name. */
#ifndef ELLM_TEMPLATE_BUILTINS_H
#define ELLM_TEMPLATE_BUILTINS_H

#include "template/run.h"

/* Number of a filter or test, -1 if there is none of this name. */
int tpl_find_filter(const char *name, size_t bytes);
int tpl_find_test(const char *name, size_t bytes);

/* What a filter, a method or a function is: it gets the value it is applied to (functions: undefined). */
typedef bool (*tpl_builtin_fn)(tpl_run *run, tpl_value value, const tpl_arguments *arguments, tpl_value *out);

/* A method without a function is one that the sandbox forbids. */
typedef struct tpl_builtin { const char *name; tpl_builtin_fn apply; } tpl_builtin;

/* Index in a table that ends with a NULL name; -1 if the name is not in it. */
int tpl_find_builtin(const tpl_builtin *table, const char *name, size_t bytes);

extern const tpl_builtin tpl_text_filters[];     /* filters.c */
extern const tpl_builtin tpl_list_filters[];     /* filters_lists.c */
extern const tpl_builtin tpl_string_methods[];   /* methods.c */
extern const tpl_builtin tpl_split_methods[];    /* split.c: methods of strings as well */
extern const tpl_builtin tpl_container_methods[];/* containers.c: of lists, dicts and loops */

/* Shared by filters and methods. */
typedef enum tpl_case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITALIZE, CASE_SWAP } tpl_case;
bool tpl_change_case(tpl_run *run, const tpl_string *text, tpl_case how, tpl_value *out);
/* Some letter with a case, and none of the other. */
bool tpl_is_cased_text(const tpl_string *text, bool upper);
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
/* `characters` NULL: white space. */
bool tpl_strip(tpl_run *run, const tpl_string *text, const tpl_string *characters, int sides, tpl_value *out);
/* `most` < 0: all. */
bool tpl_replace(tpl_run *run, const tpl_string *text, const tpl_string *old, const tpl_string *new_, int64_t most,
                 tpl_value *out);
/* Lines as str.splitlines gives them. */
bool tpl_split_lines(tpl_run *run, const tpl_string *text, bool keep_ends, tpl_list **out);
/* The items of an iterable as text, `separator` between them. */
bool tpl_join(tpl_run *run, const tpl_string *separator, tpl_value items, bool strings_only, tpl_value *out);
/* d.items() and the like. */
bool tpl_new_view(tpl_run *run, const tpl_dict *dict, tpl_view_kind what, tpl_value *out);
/* The number in a text as Python's float() and int() read it; false: it is none. */
bool tpl_read_float(const tpl_string *text, double *out);
bool tpl_read_int(const tpl_string *text, int64_t *out);

#endif
