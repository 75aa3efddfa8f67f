/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: arithmetic. Integers have 64 bits; what goes beyond is an error, never a wrong number. */
#include "template/value/operators.h"

#include <math.h>
#include <string.h>

#include "template/syntax/syntax.h"
#include "template/value/text.h"

static bool too_large(tpl_limits *limits) { return tpl_fail(limits, "an integer beyond 64 bits"); }

/* "'+' between str and int"; what is undefined is named instead. */
static bool no_operation(tpl_limits *limits, int op, tpl_value a, tpl_value b) {
  char name[3] = {(char)op, '\0', '\0'};
  if (a.kind == TPL_UNDEFINED || b.kind == TPL_UNDEFINED)
    return tpl_fail_undefined(limits, a.kind == TPL_UNDEFINED ? a : b);
  if (op == OP_POWER || op == OP_FLOOR_DIVIDE) name[0] = name[1] = op == OP_POWER ? '*' : '/';
  return tpl_fail(limits, "'%s' between %s and %s", name, tpl_kind_name(a), tpl_kind_name(b));
}

/* ------------------------------------------------------------------ numbers */

/* False where the sum does not fit; nothing overflows. */
static bool add_integers(int64_t a, int64_t b, int64_t *out) {
  if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b) return false;
  *out = a + b;
  return true;
}

/* By division: a b > MAX is a > MAX / b for positive ones, and so on for the four cases of signs. */
static bool multiply_integers(int64_t a, int64_t b, int64_t *out) {
  if (a == 0 || b == 0) {
    *out = 0;
    return true;
  }
  if (a > 0 ? (b > 0 ? a > INT64_MAX / b : b < INT64_MIN / a) : (b > 0 ? a < INT64_MIN / b : b < INT64_MAX / a))
    return false;
  *out = a * b;
  return true;
}

/* By squares, so at most 63 steps; the last square is not taken, since it may not fit. */
static bool power_integers(int64_t base, int64_t exponent, int64_t *out) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && !multiply_integers(result, base, &result)) return false;
    exponent >>= 1;
    if (exponent > 0 && !multiply_integers(base, base, &base)) return false;
  }
  *out = result;
  return true;
}

/* Python rounds quotients down, and the remainder has the sign of the divisor; C rounds towards zero. */
static bool integer_arith(tpl_limits *limits, int op, int64_t a, int64_t b, tpl_value *out) {
  int64_t result = 0;
  bool fits = true;
  if ((op == '/' || op == OP_FLOOR_DIVIDE || op == '%') && b == 0) return tpl_fail(limits, "division by zero");
  switch (op) {
    case '+': fits = add_integers(a, b, &result); break;
    case '-':
      fits = b == INT64_MIN ? a < 0 && add_integers(a + 1, INT64_MAX, &result) : add_integers(a, -b, &result);
      break;
    case '*': fits = multiply_integers(a, b, &result); break;
    case '/': {
      const int64_t exact = (int64_t)1 << 53; /* beyond it, two roundings would differ from Python's one */
      if (a > exact || a < -exact || b > exact || b < -exact) return too_large(limits);
      *out = tpl_float((double)a / (double)b);
      return true;
    }
    case OP_FLOOR_DIVIDE: case '%':
      if (b == -1) { /* INT64_MIN / -1 is no int64_t */
        fits = op == '%' || a != INT64_MIN;
        result = op == '%' || !fits ? 0 : -a;
        break;
      }
      result = op == '%' ? a % b : a / b;
      if (a % b != 0 && (a < 0) != (b < 0)) result += op == '%' ? b : -1;
      break;
    default:
      if (b < 0) {
        if (a == 0) return tpl_fail(limits, "division by zero");
        *out = tpl_float(pow((double)a, (double)b));
        return true;
      }
      fits = power_integers(a, b, &result);
      break;
  }
  if (!fits) return too_large(limits);
  *out = tpl_int(result);
  return true;
}

/* As Python: the sign of the divisor, also of a zero. */
static double float_modulo(double a, double b) {
  double rest = fmod(a, b);
  if (rest != 0 ? (rest < 0) != (b < 0) : false) rest += b;
  return rest == 0 ? copysign(0.0, b) : rest;
}

/* CPython's way: exact by way of the remainder, since floor(a / b) may be one too large where a / b was rounded up. */
static double float_floor_divide(double a, double b) {
  const double rest = fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return copysign(0.0, a / b);
  const double whole = floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

/* What is a complex number or an overflow in Python is an error here as there. */
static bool float_arith(tpl_limits *limits, int op, double a, double b, tpl_value *out) {
  double result = 0;
  if ((op == '/' || op == OP_FLOOR_DIVIDE || op == '%') && b == 0) return tpl_fail(limits, "division by zero");
  switch (op) {
    case '+': result = a + b; break;
    case '-': result = a - b; break;
    case '*': result = a * b; break;
    case '/': result = a / b; break;
    case OP_FLOOR_DIVIDE: result = float_floor_divide(a, b); break;
    case '%': result = float_modulo(a, b); break;
    default:
      if (a == 0 && b < 0) return tpl_fail(limits, "division by zero");
      if (a < 0 && b != floor(b) && isfinite(a) && isfinite(b))
        return tpl_fail(limits, "a power that is a complex number");
      result = pow(a, b);
      if (isinf(result) && isfinite(a) && isfinite(b)) return tpl_fail(limits, "a number that is too large");
      break;
  }
  *out = tpl_float(result);
  return true;
}

/* ---------------------------------------------------------------- sequences */

/* Where one is markup the other is escaped first, and the sum is markup. */
static bool add_strings(tpl_limits *limits, tpl_value a, tpl_value b, tpl_value *out) {
  const bool markup = a.u.string->markup || b.u.string->markup;
  if (markup && (!tpl_escape(limits, a, &a) || !tpl_escape(limits, b, &b))) return false;
  const tpl_string *first = a.u.string, *second = b.u.string;
  char *data = tpl_new_text(limits, first->bytes + second->bytes, out);
  if (!data) return false;
  if (first->bytes > 0) memcpy(data, first->data, first->bytes);
  if (second->bytes > 0) memcpy(data + first->bytes, second->data, second->bytes);
  if (markup) {
    tpl_string *sum = tpl_alloc(limits, sizeof *sum);
    if (!sum) return false;
    *sum = (tpl_string){.data = data, .bytes = first->bytes + second->bytes, .markup = true};
    *out = tpl_of_string(sum);
  }
  return true;
}

static bool add_lists(tpl_limits *limits, tpl_value a, tpl_value b, tpl_value *out) {
  const tpl_list *first = a.u.list, *second = b.u.list;
  tpl_list *sum = tpl_new_list(limits, first->count + second->count);
  if (!sum) return false;
  for (size_t i = 0; i < first->count; i++) sum->items[sum->count++] = first->items[i];
  for (size_t i = 0; i < second->count; i++) sum->items[sum->count++] = second->items[i];
  *out = a.kind == TPL_LIST ? tpl_of_list(sum) : tpl_of_tuple(sum);
  return true;
}

/* A negative number of times is none. */
static bool repeat(tpl_limits *limits, tpl_value what, int64_t times, tpl_value *out) {
  const bool is_text = what.kind == TPL_STRING;
  const size_t unit = is_text ? what.u.string->bytes : what.u.list->count;
  const size_t n = times < 0 || unit == 0 ? 0 : (uint64_t)times > SIZE_MAX ? SIZE_MAX : (size_t)times;
  size_t total;
  if (!ellm_mul_size(unit, n, &total) || total > CHAT_TEMPLATE_MAX_TEXT)
    return tpl_fail(limits, "a value of more than %d elements", CHAT_TEMPLATE_MAX_TEXT);
  if (is_text) {
    char *data = tpl_new_text(limits, total, out);
    for (size_t i = 0; data && i < n; i++) memcpy(data + i * unit, what.u.string->data, unit);
    return data && tpl_charge(limits, n / 16) && (!what.u.string->markup || tpl_mark_up(limits, *out, out));
  }
  tpl_list *list = tpl_new_list(limits, total);
  if (!list) return false;
  for (; list->count < total; list->count++) list->items[list->count] = what.u.list->items[list->count % unit];
  *out = what.kind == TPL_LIST ? tpl_of_list(list) : tpl_of_tuple(list);
  return true;
}

static bool is_sequence(tpl_value v) { return v.kind == TPL_STRING || v.kind == TPL_LIST || v.kind == TPL_TUPLE; }

bool tpl_arith(tpl_limits *limits, int op, tpl_value a, tpl_value b, tpl_value *out) {
  if (tpl_is_number(a) && tpl_is_number(b)) {
    if (a.kind == TPL_FLOAT || b.kind == TPL_FLOAT) return float_arith(limits, op, tpl_real_of(a), tpl_real_of(b), out);
    return integer_arith(limits, op, tpl_integer_of(a), tpl_integer_of(b), out);
  }
  if (op == '%' && a.kind == TPL_STRING) return tpl_fail(limits, "formatting a string by %% is not supported");
  if (op == '+' && a.kind == b.kind && a.kind == TPL_STRING) return add_strings(limits, a, b, out);
  if (op == '+' && a.kind == b.kind && (a.kind == TPL_LIST || a.kind == TPL_TUPLE)) return add_lists(limits, a, b, out);
  if (op == '*' && is_sequence(a) && tpl_is_integer(b)) return repeat(limits, a, tpl_integer_of(b), out);
  if (op == '*' && is_sequence(b) && tpl_is_integer(a)) return repeat(limits, b, tpl_integer_of(a), out);
  return no_operation(limits, op, a, b);
}
