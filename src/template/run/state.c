/* SPDX-License-Identifier: Apache-2.0 */
#include "template/run/state.h"

static bool add_binding(tpl_run *run, tpl_scope *scope, uint32_t id, tpl_value value) {
  tpl_binding *binding = tpl_alloc(&run->limits, sizeof *binding);
  if (!binding) return false;
  *binding = (tpl_binding){.id = id, .next = scope->first, .value = value};
  scope->first = binding;
  return tpl_charge(&run->limits, 1);
}

tpl_scope *tpl_new_scope(tpl_run *run, tpl_scope *outer, const tpl_unset *unset) {
  tpl_scope *scope = tpl_alloc(&run->limits, sizeof *scope);
  if (!scope) return NULL;
  *scope = (tpl_scope){.outer = outer};
  for (; unset; unset = unset->next)
    if (!add_binding(run, scope, unset->id, tpl_undefined(run->state->t->names[unset->id]))) return NULL;
  return scope;
}

bool tpl_bind(tpl_run *run, uint32_t id, tpl_value value) {
  size_t seen = 0;
  for (tpl_binding *b = run->state->scope->first; b; b = b->next) {
    if (b->id == id) {
      b->value = value;
      return tpl_charge(&run->limits, seen / 16);
    }
    seen++;
  }
  return add_binding(run, run->state->scope, id, value) && tpl_charge(&run->limits, seen / 16);
}
