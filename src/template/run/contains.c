/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: comparison operators, as Python has them. */
#include "template/run/contains.h"

#include "template/run/iterate.h"
#include "template/value/compare.h"
#include "template/value/dict.h"
#include "template/value/numbers.h"
#include "template/value/text.h"

static bool among(tpl_run *run, const tpl_value *items, size_t count, tpl_value item, bool *result) {
  *result = false;
  for (size_t i = 0; !*result && i < count; i++)
    if (!tpl_equal(&run->limits, items[i], item, result)) return false;
  return true;
}

bool tpl_contains(tpl_run *run, tpl_value container, tpl_value item, bool *result) {
  const tpl_value *found;
  *result = false;
  switch (container.kind) {
    case TPL_UNDEFINED: return true;
    case TPL_STRING: {
      size_t offset;
      if (item.kind != TPL_STRING)
        return tpl_fail(&run->limits, "'in' with a string needs a string on the left, not %s", tpl_kind_name(item));
      if (!tpl_find(&run->limits, container.u.string, 0, container.u.string->bytes, item.u.string, &offset))
        return false;
      *result = offset != SIZE_MAX;
      return true;
    }
    case TPL_LIST: case TPL_TUPLE: return among(run, container.u.list->items, container.u.list->count, item, result);
    case TPL_DICT:
      if (!tpl_dict_find(&run->limits, container.u.dict, item, &found)) return false;
      *result = found != NULL;
      return true;
    case TPL_VIEW: case TPL_RANGE: case TPL_ITERATOR: case TPL_LOOP: {
      struct tpl_iterator *iterator;
      if (container.kind == TPL_VIEW && container.u.view->what == VIEW_KEYS)
        return tpl_contains(run, tpl_of_dict(container.u.view->dict), item, result);
      if (!tpl_iterate(run, container, &iterator)) return false;
      while (!*result) {
        tpl_value other;
        bool end;
        if (!tpl_next(run, iterator, &other, &end)) return false;
        if (end) break;
        if (!tpl_equal(&run->limits, other, item, result)) return false;
      }
      return true;
    }
    default: return tpl_fail(&run->limits, "argument of type '%s' is not iterable", tpl_kind_name(container));
  }
}

bool tpl_compare(tpl_run *run, int op, tpl_value a, tpl_value b, bool *result) {
  int order;
  switch (op) {
    case OP_EQUAL: return tpl_equal(&run->limits, a, b, result);
    case OP_NOT_EQUAL:
      if (!tpl_equal(&run->limits, a, b, result)) return false;
      *result = !*result;
      return true;
    case OP_IN: return tpl_contains(run, b, a, result);
    case OP_NOT_IN:
      if (!tpl_contains(run, b, a, result)) return false;
      *result = !*result;
      return true;
    default: break;
  }
  if (!tpl_order(&run->limits, a, b, &order)) return false;
  *result = order != TPL_UNORDERED && ((op == '<' && order < 0) || (op == '>' && order > 0) ||
                                       (op == OP_LESS_EQUAL && order <= 0) || (op == OP_GREATER_EQUAL && order >= 0));
  return true;
}
