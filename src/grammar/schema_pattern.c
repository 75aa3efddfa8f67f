/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See schema_pattern.h. \d, \w and \s are those of ASCII, and \D, \W and \S the other characters of ASCII, since
 * validators differ beyond it: so what is written is valid for all of them.
 */
#include "grammar/schema_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

enum { MOST_GROUPS = 100, MOST_RANGES = 1 << 12 };

typedef struct reader {
  json_forms *j;
  const schema_place *place;
  const char *at;  /* NUL-terminated */
  unsigned groups; /* inside of each other */
} reader;

/* Ranges of a class, with room for what becomes of them; `ascii`: others are not in it. */
typedef struct range_list { code_range *items; size_t count, room; bool ascii; } range_list;

static void add_range(reader *r, range_list *list, uint32_t first, uint32_t last) {
  if (!rules_grow(r->j->rules, &list->items, &list->room, list->count + 1, sizeof *list->items)) return;
  list->items[list->count++] = (code_range){first, last};
}

static ellm_status refuse(const reader *r, const char *what) {
  return schema_fail(r->place, "a pattern with %s is not supported", what);
}

/* --------------------------------------------------------------------- escapes */

static const char *class_of(char letter) {
  switch (letter) {
    case 'd': case 'D': return "09";
    case 'w': case 'W': return "09AZ__az";
    case 's': case 'S': return "\t\r  ";
    default: return NULL;
  }
}

static void add_class(reader *r, range_list *list, char letter) {
  const char *pairs = class_of(letter);
  uint32_t from = 1;
  list->ascii = true;
  for (; *pairs; pairs += 2) {
    const uint32_t first = (unsigned char)pairs[0], last = (unsigned char)pairs[1];
    if (letter >= 'a') add_range(r, list, first, last);
    else if (from < first) add_range(r, list, from, first - 1);
    from = last + 1;
  }
  if (letter < 'a') add_range(r, list, from, 0x7F);
}

static bool read_hex(reader *r, unsigned digits, uint32_t *value) {
  *value = 0;
  for (unsigned i = 0; i < digits; i++) {
    const char c = *r->at;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return false;
    *value = *value << 4 | (uint32_t)digit;
    r->at++;
  }
  return *value > 0 && (*value < 0xD800 || *value > 0xDFFF);
}

/* A character that is written as an escape; r->at is behind the backslash. */
static ellm_status read_escape(reader *r, uint32_t *character) {
  static const char plain[] = "^$\\.*+?()[]{}|/-\"'#&~,:;<=>@!%` ";
  const char c = *r->at;
  if (c == '\0') return refuse(r, "a backslash at its end");
  r->at++;
  switch (c) {
    case 't': *character = '\t'; return ELLM_OK;
    case 'n': *character = '\n'; return ELLM_OK;
    case 'r': *character = '\r'; return ELLM_OK;
    case 'f': *character = '\f'; return ELLM_OK;
    case 'v': *character = '\v'; return ELLM_OK;
    case 'x': return read_hex(r, 2, character) ? ELLM_OK : refuse(r, "such an escape");
    case 'u': return read_hex(r, 4, character) ? ELLM_OK : refuse(r, "such an escape");
    default: break;
  }
  if (strchr(plain, c)) {
    *character = (unsigned char)c;
    return ELLM_OK;
  }
  const char named[] = {'\\', c > 32 && c < 127 ? c : '?', '\0'};
  return refuse(r, named);
}

/* One of a class, or the first of a range. */
static ellm_status read_member(reader *r, range_list *list, uint32_t *character, bool *is_class) {
  *is_class = false;
  if (*r->at == '\0') return refuse(r, "a class that is not closed");
  if (*r->at == '\\') {
    r->at++;
    if (class_of(*r->at)) {
      add_class(r, list, *r->at++);
      *is_class = true;
      return ELLM_OK;
    }
    if (*r->at == 'b') {
      r->at++;
      *character = '\b';
      return ELLM_OK;
    }
    return read_escape(r, character);
  }
  r->at += utf8_decode(r->at, character);
  return ELLM_OK;
}

static ellm_status read_members(reader *r, range_list *list) {
  while (*r->at != ']') {
    uint32_t first, last;
    bool is_class;
    if (r->at[0] == '[' && r->at[1] == ':') return refuse(r, "[: in a class");
    ELLM_TRY(read_member(r, list, &first, &is_class));
    if (is_class) continue;
    last = first;
    if (r->at[0] == '-' && r->at[1] != ']') {
      r->at++;
      ELLM_TRY(read_member(r, list, &last, &is_class));
      if (is_class || last < first) return refuse(r, "such a range in a class");
    }
    if (list->count >= MOST_RANGES) return refuse(r, "a class of so many ranges");
    add_range(r, list, first, last);
  }
  r->at++;
  return ELLM_OK;
}

static ellm_status read_class(reader *r, expr_id *made) {
  range_list list = {0};
  const bool inverted = r->at[1] == '^';
  r->at += inverted ? 2 : 1;
  ellm_status status = *r->at == ']' ? refuse(r, "an empty class") : read_members(r, &list);
  if (status == ELLM_OK) {
    if (inverted && list.ascii) add_range(r, &list, 0x80, CODE_POINT_LAST);
    *made = form_class(r->j, list.items, list.count, inverted);
  }
  free(list.items);
  return status;
}

static expr_id one_class(reader *r, char letter) {
  range_list list = {0};
  add_class(r, &list, letter);
  const expr_id made = form_class(r->j, list.items, list.count, false);
  free(list.items);
  return made;
}

/* ----------------------------------------------------------------- expressions */

static ellm_status read_alternatives(reader *r, expr_id *made);

static ellm_status read_group(reader *r, expr_id *made) {
  r->at++;
  if (r->at[0] == '?') {
    const char *name = r->at + 2;
    if (r->at[1] == ':') r->at += 2;
    else if (r->at[1] == '<' && *name != '=' && *name != '!' && strchr(name, '>')) r->at = strchr(name, '>') + 1;
    else return refuse(r, "(?");
  }
  if (++r->groups > MOST_GROUPS) return refuse(r, "so many nested groups");
  ELLM_TRY(read_alternatives(r, made));
  if (*r->at != ')') return refuse(r, "a group that is not closed");
  r->at++;
  r->groups--;
  return ELLM_OK;
}

static ellm_status read_atom(reader *r, expr_id *made) {
  code_range lines[6] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  code_range one[4] = {{0, 0}};
  if (*r->at == '(') return read_group(r, made);
  if (*r->at == '[') return read_class(r, made);
  if (*r->at == '.') {
    r->at++;
    *made = form_class(r->j, lines, 3, true);
    return ELLM_OK;
  }
  if (*r->at == '*' || *r->at == '+' || *r->at == '?' || *r->at == '{') return refuse(r, "nothing to repeat");
  if (*r->at == '^' || *r->at == '$') return refuse(r, "^ and $ elsewhere than at its ends");
  if (*r->at == '\\') {
    r->at++;
    if (class_of(*r->at)) {
      *made = one_class(r, *r->at++);
      return ELLM_OK;
    }
    ELLM_TRY(read_escape(r, &one[0].first));
  } else {
    r->at += utf8_decode(r->at, &one[0].first);
  }
  one[0].last = one[0].first;
  *made = form_class(r->j, one, 1, false);
  return ELLM_OK;
}

static ellm_status read_count(reader *r, uint32_t *count) {
  uint64_t value = 0;
  if (*r->at < '0' || *r->at > '9') return refuse(r, "such a repetition");
  for (; *r->at >= '0' && *r->at <= '9'; r->at++) {
    value = 10 * value + (uint64_t)(*r->at - '0');
    if (value > RULES_MOST_COUNT) return refuse(r, "so many repetitions");
  }
  *count = (uint32_t)value;
  return ELLM_OK;
}

static ellm_status read_repetition(reader *r, expr_id *made) {
  uint32_t min = 0, max = RULES_NO_LIMIT;
  const char c = *r->at;
  if (c != '*' && c != '+' && c != '?' && c != '{') return ELLM_OK;
  r->at++;
  if (c == '+') min = 1;
  if (c == '?') max = 1;
  if (c == '{') {
    ELLM_TRY(read_count(r, &min));
    max = min;
    if (*r->at == ',') {
      r->at++;
      max = RULES_NO_LIMIT;
      if (*r->at != '}') ELLM_TRY(read_count(r, &max));
    }
    if (*r->at != '}' || max < min) return refuse(r, "such a repetition");
    r->at++;
  }
  if (*r->at == '?') r->at++; /* lazy: the same texts */
  if (*r->at == '+' || *r->at == '*' || *r->at == '?' || *r->at == '{') return refuse(r, "a repetition of a repetition");
  *made = rules_repeat(r->j->rules, *made, min, max);
  return ELLM_OK;
}

static expr_id anything(reader *r) {
  return rules_repeat(r->j->rules, form_character(r->j), 0, RULES_NO_LIMIT);
}

static ellm_status read_sequence(reader *r, expr_id *made) {
  expr_list list = {0};
  ellm_status status = ELLM_OK;
  const bool outside = r->groups == 0;
  if (outside && *r->at == '^') r->at++;
  else if (outside) expr_list_add(r->j->rules, &list, anything(r));
  while (status == ELLM_OK && *r->at && *r->at != '|' && *r->at != ')') {
    expr_id one = EXPR_NONE;
    if (outside && r->at[0] == '$' && (r->at[1] == '\0' || r->at[1] == '|')) break;
    status = read_atom(r, &one);
    if (status == ELLM_OK) status = read_repetition(r, &one);
    expr_list_add(r->j->rules, &list, one);
  }
  if (outside && *r->at == '$') r->at++;
  else if (outside) expr_list_add(r->j->rules, &list, anything(r));
  if (status == ELLM_OK && outside && *r->at == ')') status = refuse(r, "a parenthesis too many");
  *made = expr_list_sequence(r->j->rules, &list);
  return status;
}

static ellm_status read_alternatives(reader *r, expr_id *made) {
  expr_list list = {0};
  ellm_status status;
  for (;;) {
    expr_id one = EXPR_NONE;
    status = read_sequence(r, &one);
    expr_list_add(r->j->rules, &list, one);
    if (status != ELLM_OK || *r->at != '|') break;
    r->at++;
  }
  *made = expr_list_choice(r->j->rules, &list);
  return status;
}

ellm_status schema_pattern(json_forms *j, const schema_place *place, const char *pattern, expr_id *made) {
  reader r = {.j = j, .place = place, .at = pattern};
  return read_alternatives(&r, made);
}

/* --------------------------------------------------------------------- formats */

#define YEAR "[1-9][0-9]{3}"
#define LEAP_YEAR "[1-9][0-9](0[48]|[2468][048]|[13579][26])"
#define DATE \
  "(" YEAR "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))" \
  "|" LEAP_YEAR "-02-29)"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define LABEL "[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,1}"
#define HOST LABEL "(\\." LABEL "){0,3}\\.[a-z]{2,10}"
#define BYTE "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define DAYS "([0-9]{1,4}Y([0-9]{1,2}M([0-9]{1,3}D)?)?|[0-9]{1,2}M([0-9]{1,3}D)?|[0-9]{1,4}D)"
#define HOURS "T([0-9]{1,2}H([0-9]{1,2}M([0-9]{1,2}S)?)?|[0-9]{1,2}M([0-9]{1,2}S)?|[0-9]{1,3}S)"

ellm_status schema_format(json_forms *j, const schema_place *place, const char *format, expr_id *made) {
  static const char *const formats[][2] = {
      {"date", "^" DATE "$"},
      {"time", "^" TIME "$"},
      {"date-time", "^" DATE "T" TIME "$"},
      {"duration", "^P(" DAYS "(" HOURS ")?|" HOURS "|[0-9]{1,3}W)$"},
      {"email", "^[a-z0-9]{1,30}([._+-][a-z0-9]{1,20}){0,3}@" HOST "$"},
      {"hostname", "^" HOST "$"},
      {"ipv4", "^(" BYTE "\\.){3}" BYTE "$"},
      {"ipv6", "^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$|^([0-9a-f]{1,4}:){1,6}:[0-9a-f]{1,4}$"},
      {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
      {"uri", "^https?://" HOST "(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~-]{0,40}){0,8}(\\?[A-Za-z0-9._~=&-]{0,80})?(#[A-Za-z0-9_-]{0,40})?$"}};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (strcmp(format, formats[i][0]) == 0) return schema_pattern(j, place, formats[i][1], made);
  return schema_fail(place, "format \"%.40s\" is not supported", format);
}
