/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of chat templates: what Python values do, as far as templates can see
 * them. Values are small and passed by value; what they point to is in an
 * arena that is freed at once, and never changes once it is visible (Jinja's
 * immutable sandbox), except namespaces and iterators.
 */
#ifndef ELLM_TEMPLATE_VALUE_H
#define ELLM_TEMPLATE_VALUE_H

#include <stdint.h>

#include "template/value/limits.h"

typedef enum tpl_kind {
  TPL_UNDEFINED, /* what: its name, for errors, or NULL */
  TPL_NONE,
  TPL_BOOL,
  TPL_INT,
  TPL_FLOAT,
  TPL_STRING,
  TPL_LIST,
  TPL_TUPLE,
  TPL_DICT,
  TPL_RANGE,
  TPL_VIEW,      /* d.keys(), d.values(), d.items() */
  TPL_NAMESPACE, /* a dict that can be assigned to */
  TPL_ITERATOR,  /* a generator: can be gone through once */
  TPL_LOOP,
  TPL_MACRO,
  TPL_FUNCTION,  /* range, namespace, raise_exception, ... */
  TPL_METHOD     /* x.strip, not yet called */
} tpl_kind;

typedef struct tpl_string {
  const char *data;
  size_t bytes;
  bool markup; /* made by the filters safe and escape: + with it escapes the other operand */
} tpl_string;

typedef struct tpl_value {
  tpl_kind kind;
  union {
    bool boolean;
    int64_t integer;
    double real;
    const tpl_string *string;    /* also of TPL_UNDEFINED */
    const struct tpl_list *list; /* also of tuples */
    const struct tpl_dict *dict;
    const struct tpl_range *range;
    const struct tpl_view *view;
    struct tpl_dict *space;
    struct tpl_iterator *iterator;
    struct tpl_loop *loop;
    const struct tpl_macro *macro;
    const struct tpl_method *method;
    unsigned function;
  } u;
} tpl_value;

typedef struct tpl_list { tpl_value *items; size_t count, capacity; } tpl_list;

typedef struct tpl_entry { tpl_value key, value; uint64_t hash; } tpl_entry;

/* In the order of insertion; slots (a table of entry numbers + 1) once there are many. */
typedef struct tpl_dict { tpl_entry *entries; size_t count, capacity; uint32_t *slots; size_t n_slots; } tpl_dict;

typedef struct tpl_range { int64_t start, step; size_t count; int64_t stop; } tpl_range;

typedef enum tpl_view_kind { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } tpl_view_kind;

typedef struct tpl_view { const tpl_dict *dict; tpl_view_kind what; } tpl_view;

typedef struct tpl_method { tpl_value self; unsigned which; } tpl_method;

static inline tpl_value tpl_none(void) { return (tpl_value){.kind = TPL_NONE, .u = {.integer = 0}}; }
static inline tpl_value tpl_bool(bool b) { return (tpl_value){.kind = TPL_BOOL, .u = {.boolean = b}}; }
static inline tpl_value tpl_int(int64_t i) { return (tpl_value){.kind = TPL_INT, .u = {.integer = i}}; }
static inline tpl_value tpl_float(double d) { return (tpl_value){.kind = TPL_FLOAT, .u = {.real = d}}; }
static inline tpl_value tpl_undefined(const tpl_string *what) {
  return (tpl_value){.kind = TPL_UNDEFINED, .u = {.string = what}};
}
static inline tpl_value tpl_of_string(const tpl_string *s) {
  return (tpl_value){.kind = TPL_STRING, .u = {.string = s}};
}
static inline tpl_value tpl_of_list(const tpl_list *l) { return (tpl_value){.kind = TPL_LIST, .u = {.list = l}}; }
static inline tpl_value tpl_of_tuple(const tpl_list *l) { return (tpl_value){.kind = TPL_TUPLE, .u = {.list = l}}; }
static inline tpl_value tpl_of_dict(const tpl_dict *d) { return (tpl_value){.kind = TPL_DICT, .u = {.dict = d}}; }

/* bool, int or float: Python's numbers. */
static inline bool tpl_is_number(tpl_value v) { return v.kind == TPL_BOOL || v.kind == TPL_INT || v.kind == TPL_FLOAT; }
static inline bool tpl_is_integer(tpl_value v) { return v.kind == TPL_BOOL || v.kind == TPL_INT; }
static inline int64_t tpl_integer_of(tpl_value v) { return v.kind == TPL_BOOL ? v.u.boolean : v.u.integer; }
static inline double tpl_real_of(tpl_value v) { return v.kind == TPL_FLOAT ? v.u.real : (double)tpl_integer_of(v); }

static inline bool tpl_is_callable(tpl_value v) {
  return v.kind == TPL_MACRO || v.kind == TPL_FUNCTION || v.kind == TPL_METHOD || v.kind == TPL_LOOP;
}

const char *tpl_kind_name(tpl_value v); /* as Python calls the type: "str", "dict" */

/* A string of `bytes` bytes to be filled in by the caller. */
char *tpl_new_text(tpl_limits *limits, size_t bytes, tpl_value *out);
bool tpl_new_string(tpl_limits *limits, const char *data, size_t bytes, tpl_value *out);

/* The text collected in a buffer, which is freed in any case. */
bool tpl_take_text(tpl_limits *limits, ellm_buffer *buffer, tpl_value *out);

/* Append to a text that is being made; its length is limited. */
bool tpl_put(tpl_limits *limits, ellm_buffer *buffer, const char *data, size_t bytes);
tpl_list *tpl_new_list(tpl_limits *limits, size_t capacity);
bool tpl_list_add(tpl_limits *limits, tpl_list *list, tpl_value value);
bool tpl_new_pair(tpl_limits *limits, tpl_value a, tpl_value b, tpl_value *out); /* a tuple */

bool tpl_truth(tpl_value value);
bool tpl_strings_equal(const tpl_string *a, const tpl_string *b);
bool tpl_text_is(tpl_value value, const char *text);
bool tpl_fail_undefined(tpl_limits *limits, tpl_value value); /* "'x' is undefined" */
/* A string for "%.*s" of a message, cut. */
#define TPL_CUT(string) ((string)->bytes < 100 ? (int)(string)->bytes : 100), (string)->data

/* The keys, values or pairs of a view. */
bool tpl_view_list(tpl_limits *limits, const tpl_view *view, tpl_list **out);

typedef struct tpl_argument { const tpl_string *name; tpl_value value; } tpl_argument;

typedef struct tpl_arguments {
  tpl_value *items;
  size_t count;
  tpl_argument *keywords;
  size_t n_keywords;
} tpl_arguments;

#endif
