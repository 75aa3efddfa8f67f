/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: methods of lists, dicts and loops. Those that would change a
 * list or dict are undefined, as in Jinja's sandbox.
 */
#include "template/library/containers.h"

#include "template/run/iterate.h"
#include "template/value/dict.h"

static const char *const no_names[] = {NULL};

bool tpl_new_view(tpl_run *run, const tpl_dict *dict, tpl_view_kind what, tpl_value *out) {
  tpl_view *view = tpl_alloc(&run->limits, sizeof *view);
  if (!view) return false;
  *view = (tpl_view){.dict = dict, .what = what};
  *out = (tpl_value){.kind = TPL_VIEW, .u = {.view = view}};
  return true;
}

static bool view_method(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_view_kind what,
                        tpl_value *out) {
  return tpl_take_arguments(run, "keys(), values() and items()", arguments, no_names, 0, NULL) &&
         tpl_new_view(run, self.u.dict, what, out);
}

static bool dict_keys(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return view_method(run, self, arguments, VIEW_KEYS, out);
}

static bool dict_values(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return view_method(run, self, arguments, VIEW_VALUES, out);
}

static bool dict_items(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  return view_method(run, self, arguments, VIEW_ITEMS, out);
}

static bool dict_get(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"key", "default", NULL};
  tpl_value values[2] = {tpl_none(), tpl_none()};
  const tpl_value *found;
  if (!tpl_take_arguments(run, "get()", arguments, names, 1, values) ||
      !tpl_dict_find(&run->limits, self.u.dict, values[0], &found))
    return false;
  *out = found ? *found : values[1];
  return true;
}

/* What is copied cannot be changed either: it may be shared. */
static bool copy(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  *out = self;
  return tpl_take_arguments(run, "copy()", arguments, no_names, 0, NULL);
}

static bool list_count(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"value", NULL};
  tpl_value value = tpl_none();
  int64_t count = 0;
  if (!tpl_take_arguments(run, "count()", arguments, names, 1, &value)) return false;
  for (size_t i = 0; i < self.u.list->count; i++) {
    bool equal;
    if (!tpl_equal(&run->limits, self.u.list->items[i], value, &equal)) return false;
    count += equal;
  }
  *out = tpl_int(count);
  return true;
}

static bool list_index(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  static const char *const names[] = {"value", NULL};
  tpl_value value = tpl_none();
  if (arguments->count > 1) return tpl_fail(&run->limits, "index() with positions is not supported");
  if (!tpl_take_arguments(run, "index()", arguments, names, 1, &value)) return false;
  for (size_t i = 0; i < self.u.list->count; i++) {
    bool equal;
    if (!tpl_equal(&run->limits, self.u.list->items[i], value, &equal)) return false;
    if (!equal) continue;
    *out = tpl_int((int64_t)i);
    return true;
  }
  return tpl_fail(&run->limits, "index(): the value is not in the list");
}

static bool loop_cycle(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  if (arguments->n_keywords > 0) return tpl_fail(&run->limits, "loop.cycle() has no keyword arguments");
  if (arguments->count == 0) return tpl_fail(&run->limits, "loop.cycle() needs something to cycle through");
  *out = arguments->items[(size_t)(self.u.loop->index - 1) % arguments->count];
  return true;
}

/* Whether this is not what the last call was given. */
static bool loop_changed(tpl_run *run, tpl_value self, const tpl_arguments *arguments, tpl_value *out) {
  tpl_list *given = tpl_new_list(&run->limits, arguments->count);
  bool equal = false;
  if (arguments->n_keywords > 0) return tpl_fail(&run->limits, "loop.changed() has no keyword arguments");
  if (!given) return false;
  for (size_t i = 0; i < arguments->count; i++) given->items[given->count++] = arguments->items[i];
  const tpl_value now = tpl_of_tuple(given);
  if (!tpl_equal(&run->limits, self.u.loop->changed, now, &equal)) return false;
  if (!equal) self.u.loop->changed = now;
  *out = tpl_bool(!equal);
  return true;
}

const tpl_builtin tpl_container_methods[] = {{"dict.keys", dict_keys},
                                             {"dict.values", dict_values},
                                             {"dict.items", dict_items},
                                             {"dict.get", dict_get},
                                             {"dict.copy", copy},
                                             {"dict.clear", NULL},
                                             {"dict.pop", NULL},
                                             {"dict.popitem", NULL},
                                             {"dict.setdefault", NULL},
                                             {"dict.update", NULL},
                                             {"list.append", NULL},
                                             {"list.clear", NULL},
                                             {"list.copy", copy},
                                             {"list.count", list_count},
                                             {"list.extend", NULL},
                                             {"list.index", list_index},
                                             {"list.insert", NULL},
                                             {"list.pop", NULL},
                                             {"list.remove", NULL},
                                             {"list.reverse", NULL},
                                             {"list.sort", NULL},
                                             {"tuple.count", list_count},
                                             {"tuple.index", list_index},
                                             {"loop.cycle", loop_cycle},
                                             {"loop.changed", loop_changed},
                                             {NULL, NULL}};
