/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: methods of strings that change their case or look at their ends. */
#include "template/library/methods.h"

#include <string.h>

#include "template/value/case.h"

static const char *const no_names[] = {NULL};

/* --------------------------------------------------------------------- case */

static bool case_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_case how, tpl_value *out) {
  return tpl_take_arguments(run, "a change of case", arguments, no_names, 0, NULL) &&
         tpl_change_case(&run->limits, self.u.string, how, out);
}

static bool method_upper(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_UPPER, out);
}

static bool method_lower(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_LOWER, out);
}

static bool method_title(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_TITLE, out);
}

static bool method_capitalize(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return case_method(run, self, arguments, CASE_CAPITALIZE, out);
}

/* --------------------------------------------------------------------- ends */

/* startswith and endswith: one text or a tuple of them. */
static bool affix_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, bool start, tpl_value *out) {
  static const char *const names[] = {"prefix", NULL};
  const tpl_string *text = self.u.string, *affix;
  const char *what = start ? "the argument of startswith()" : "the argument of endswith()";
  tpl_value value = tpl_none();
  if (arguments->count > 1)
    return tpl_fail(&run->limits, "startswith() and endswith() with positions are not supported");
  if (!tpl_take_arguments(run, start ? "startswith()" : "endswith()", arguments, names, 1, &value)) return false;
  const bool several = value.kind == TPL_TUPLE;
  const size_t n = several ? value.u.list->count : 1;
  bool found = false;
  for (size_t i = 0; !found && i < n; i++) {
    if (!tpl_want_string(run, what, several ? value.u.list->items[i] : value, &affix)) return false;
    if (!tpl_charge(&run->limits, 1 + affix->bytes / 16)) return false;
    found = affix->bytes <= text->bytes &&
            (affix->bytes == 0 ||
             memcmp(text->data + (start ? 0 : text->bytes - affix->bytes), affix->data, affix->bytes) == 0);
  }
  *out = tpl_bool(found);
  return true;
}

static bool method_startswith(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return affix_method(run, self, arguments, true, out);
}

static bool method_endswith(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return affix_method(run, self, arguments, false, out);
}

const tpl_builtin tpl_string_methods[] = {{"upper", method_upper},           {"lower", method_lower},
                                          {"title", method_title},           {"capitalize", method_capitalize},
                                          {"startswith", method_startswith}, {"endswith", method_endswith},
                                          {NULL, NULL}};
