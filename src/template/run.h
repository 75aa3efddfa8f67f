/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rendering of a chat template: its state, its limits, and the operations
 * on values. Functions that return bool return false after an error, which lies
 * in run->status and *run->err then; its position is that of run->at.
 */
#ifndef ELLM_TEMPLATE_RUN_H
#define ELLM_TEMPLATE_RUN_H

#include "template/syntax.h"

typedef struct tpl_binding { uint32_t id; struct tpl_binding *next; tpl_value value; } tpl_binding;
typedef struct tpl_scope { struct tpl_scope *outer; tpl_binding *first; } tpl_scope;

typedef struct tpl_run {
  const chat_template *t;
  const struct tm *now;
  ellm_error *err;
  ellm_status status;
  tpl_arena arena;
  uint64_t steps_left;
  unsigned depth;
  const tpl_node *at;  /* what is being evaluated, for errors */
  ellm_buffer *out;    /* where output goes now */
  size_t pending;      /* bytes of all outputs that are being written */
  tpl_scope *scope;
  const tpl_value *body_text; /* what NODE_BODY_TEXT means */
  const tpl_node *call_step;  /* the call of a call tag, which gets */
  tpl_value call_caller;      /* this as its argument `caller` */
  tpl_node_type jump;         /* NODE_BREAK or NODE_CONTINUE on the way to its loop, else NODE_CONST */
} tpl_run;

/* chat_template_render with fewer steps. */
ellm_status tpl_render(const chat_template *t, const json_t *variables, const struct tm *now, uint64_t max_steps,
                       char **text, size_t *bytes, ellm_error *err);

/* ------------------------------------------------------- limits and errors */

bool tpl_fail(tpl_run *run, const char *format, ...) ELLM_PRINTF(2, 3);
/* A string for "%.*s" of a message, cut. */
#define TPL_CUT(string) ((string)->bytes < 100 ? (int)(string)->bytes : 100), (string)->data
bool tpl_fail_undefined(tpl_run *run, tpl_value value); /* "'x' is undefined" */
bool tpl_no_memory(tpl_run *run, size_t bytes);
/* Count work: an operation over n elements or 16 n bytes. */
bool tpl_charge(tpl_run *run, size_t n);
bool tpl_deeper(tpl_run *run); /* followed by run->depth-- if true */
void *tpl_alloc(tpl_run *run, size_t bytes);
void *tpl_alloc_array(tpl_run *run, size_t count, size_t size);

/* --------------------------------------------------------------- containers */

/* A string of `bytes` bytes to be filled in by the caller. */
char *tpl_new_text(tpl_run *run, size_t bytes, tpl_value *out);
bool tpl_new_string(tpl_run *run, const char *data, size_t bytes, tpl_value *out);
/* The text collected in a buffer, which is freed in any case. */
bool tpl_take_text(tpl_run *run, ellm_buffer *buffer, tpl_value *out);
/* Append to a text that is being made; its length is limited. */
bool tpl_put(tpl_run *run, ellm_buffer *buffer, const char *data, size_t bytes);

tpl_list *tpl_new_list(tpl_run *run, size_t capacity);
bool tpl_list_add(tpl_run *run, tpl_list *list, tpl_value value);
bool tpl_new_pair(tpl_run *run, tpl_value a, tpl_value b, tpl_value *out); /* a tuple */

tpl_dict *tpl_new_dict(tpl_run *run, size_t capacity);
/* *found is NULL if there is no such key; a key that cannot be one is an error. */
bool tpl_dict_find(tpl_run *run, const tpl_dict *dict, tpl_value key, const tpl_value **found);
bool tpl_dict_find_text(tpl_run *run, const tpl_dict *dict, const tpl_string *key, const tpl_value **found);
bool tpl_dict_set(tpl_run *run, tpl_dict *dict, tpl_value key, tpl_value value);
bool tpl_is_hashable(tpl_value value); /* a tuple is, whatever its items are */

/* --------------------------------------------------------------- comparison */

bool tpl_truth(tpl_value value);
bool tpl_equal(tpl_run *run, tpl_value a, tpl_value b, bool *equal);
enum { TPL_UNORDERED = 2 }; /* a NaN */
/* -1, 0, 1 or TPL_UNORDERED; values without an order are an error. */
bool tpl_order(tpl_run *run, tpl_value a, tpl_value b, int *order);
bool tpl_compare(tpl_run *run, int op, tpl_value a, tpl_value b, bool *result); /* == != < > <= >= in not in */
bool tpl_contains(tpl_run *run, tpl_value container, tpl_value item, bool *result);
bool tpl_strings_equal(const tpl_string *a, const tpl_string *b);
bool tpl_text_is(tpl_value value, const char *text);

/* Sort, stable, by the keys (in the same order as the items). */
bool tpl_sort(tpl_run *run, tpl_value *items, tpl_value *keys, size_t count, bool descending);

/* ---------------------------------------------------------- text of values */

/* Append str(value) or repr(value). */
bool tpl_put_str(tpl_run *run, ellm_buffer *buffer, tpl_value value);
bool tpl_put_repr(tpl_run *run, ellm_buffer *buffer, tpl_value value);
/* str(value) as a string value; of a string: itself. */
bool tpl_str(tpl_run *run, tpl_value value, tpl_value *out);
void tpl_float_repr(double value, char text[32]);

typedef struct tpl_json_style {
  const tpl_string *indent; /* NULL: on one line */
  const tpl_string *item_separator, *key_separator;
  bool ascii, sort_keys;
} tpl_json_style;
bool tpl_put_json(tpl_run *run, ellm_buffer *buffer, tpl_value value, const tpl_json_style *style);
bool tpl_from_json(tpl_run *run, const json_t *json, tpl_value *out);

/* ------------------------------------------------------- text, by character */

size_t tpl_length(const tpl_string *text); /* characters */
/* Byte offset of a character; its number may be the length. */
size_t tpl_offset(const tpl_string *text, size_t character);
bool tpl_substring(tpl_run *run, const tpl_string *text, size_t from, size_t to, tpl_value *out); /* bytes */
/* Offset of `part` in text[from..to), SIZE_MAX if it is not there. Linear time. */
bool tpl_find(tpl_run *run, const tpl_string *text, size_t from, size_t to, const tpl_string *part, size_t *offset);
bool tpl_escape(tpl_run *run, tpl_value value, tpl_value *out); /* for HTML; the result is markup */

/* ---------------------------------------------------------------- iterating */

/* An iterator over a value; a value that has none is an error. */
bool tpl_iterate(tpl_run *run, tpl_value value, struct tpl_iterator **out);
bool tpl_next(tpl_run *run, struct tpl_iterator *iterator, tpl_value *item, bool *end);
bool tpl_to_list(tpl_run *run, tpl_value value, tpl_list **out); /* a new list */
/* len(value); a value that has none is an error. */
bool tpl_count(tpl_run *run, tpl_value value, size_t *count);
bool tpl_has_count(tpl_value value);

/* -------------------------------------------------------------- expressions */

typedef struct tpl_argument { const tpl_string *name; tpl_value value; } tpl_argument;
typedef struct tpl_arguments {
  tpl_value *items;
  size_t count;
  tpl_argument *keywords;
  size_t n_keywords;
} tpl_arguments;

bool tpl_eval(tpl_run *run, const tpl_node *node, tpl_value *out);
bool tpl_exec(tpl_run *run, const tpl_node *statements);
bool tpl_assign(tpl_run *run, const tpl_node *target, tpl_value value);
bool tpl_bind(tpl_run *run, uint32_t id, tpl_value value); /* in the current scope */
/* `unset`: the names that are undefined in it. */
tpl_scope *tpl_new_scope(tpl_run *run, tpl_scope *outer, const tpl_unset *unset);

bool tpl_arith(tpl_run *run, int op, tpl_value a, tpl_value b, tpl_value *out);
bool tpl_format_percent(tpl_run *run, const tpl_string *format, tpl_value arguments, tpl_value *out);
bool tpl_format_braces(tpl_run *run, const tpl_string *format, const tpl_arguments *arguments, tpl_value *out);

bool tpl_attribute(tpl_run *run, tpl_value value, const tpl_string *name, tpl_value *out); /* value.name */
bool tpl_item(tpl_run *run, tpl_value value, tpl_value key, tpl_value *out);               /* value[key] */
/* value[start:stop:step], each None if absent. */
bool tpl_slice(tpl_run *run, tpl_value value, tpl_value start, tpl_value stop, tpl_value step, tpl_value *out);
/* "a.b.0" as the filters take it: items first, then attributes. */
bool tpl_attribute_path(tpl_run *run, tpl_value value, tpl_value path, tpl_value *out);

bool tpl_call(tpl_run *run, tpl_value callee, const tpl_arguments *arguments, tpl_value *out);
bool tpl_call_macro(tpl_run *run, const struct tpl_macro *macro, const tpl_arguments *arguments, tpl_value *out);
bool tpl_apply_filter(tpl_run *run, unsigned which, tpl_value value, const tpl_arguments *arguments, tpl_value *out);
bool tpl_apply_test(tpl_run *run, unsigned which, tpl_value value, const tpl_arguments *arguments, bool *result);

/* A method of the value's type, or what the sandbox makes of it; false: there is no such
 * attribute (or, with run->status set, an error). */
bool tpl_find_method(tpl_run *run, tpl_value value, const tpl_string *name, tpl_value *out);
/* A function of the environment; false: there is none of this name. */
bool tpl_find_function(const tpl_string *name, tpl_value *out);

typedef struct tpl_macro { const tpl_node *node; tpl_scope *scope; } tpl_macro;

/* Put arguments in the places of `names` (NULL-terminated; values[] is preset with defaults and gets
 * those given). Too many, unknown or missing (beyond `required` first ones) ones are an error. */
bool tpl_take_arguments(tpl_run *run, const char *what, const tpl_arguments *arguments, const char *const *names,
                        size_t required, tpl_value *values);
/* An integer argument; a bool is one. */
bool tpl_want_int(tpl_run *run, const char *what, tpl_value value, int64_t *out);
bool tpl_want_string(tpl_run *run, const char *what, tpl_value value, const tpl_string **out);

#endif
