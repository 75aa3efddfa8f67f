/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: filters, tests, functions and methods by name. */
#ifndef ELLM_TEMPLATE_BUILTINS_H
#define ELLM_TEMPLATE_BUILTINS_H

#include "template/run/run.h"
#include "template/value/value.h"

/* What a filter, a method or a function is: it gets the value it is applied to (functions: undefined). */
typedef bool (*tpl_builtin_fn)(tpl_run *run, tpl_value value, const tpl_arguments *arguments, tpl_value *out);

/* A method without a function is one that the sandbox forbids. */
typedef struct tpl_builtin { const char *name; tpl_builtin_fn apply; } tpl_builtin;

/* Index in a table that ends with a NULL name; -1 if the name is not in it. */
int tpl_find_builtin(const tpl_builtin *table, const char *name, size_t bytes);
bool tpl_call(tpl_run *run, tpl_value callee, const tpl_arguments *arguments, tpl_value *out);

/* A method of the value's type, or what the sandbox makes of it; false: there is no such
 * attribute (or, with run->limits.status set, an error). */
bool tpl_find_method(tpl_run *run, tpl_value value, const tpl_string *name, tpl_value *out);

/* A function of the environment; false: there is none of this name. */
bool tpl_find_function(const tpl_string *name, tpl_value *out);

/* Put arguments in the places of `names` (NULL-terminated; values[] is preset with defaults and gets
 * those given). Too many, unknown or missing (beyond `required` first ones) ones are an error. */
bool tpl_take_arguments(tpl_run *run, const char *what, const tpl_arguments *arguments, const char *const *names,
                        size_t required, tpl_value *values);

/* An integer argument; a bool is one. */
bool tpl_want_int(tpl_run *run, const char *what, tpl_value value, int64_t *out);
bool tpl_want_string(tpl_run *run, const char *what, tpl_value value, const tpl_string **out);

#endif
