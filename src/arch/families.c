/* SPDX-License-Identifier: Apache-2.0 */
/* The list of families, finding a class in it, and what most classes share. */
#include "arch/families.h"

#include <stdio.h>
#include <string.h>

/* One line a family: arch_family_NAME, defined in NAME.c, is the list of its classes. */
#define FAMILIES(FAMILY) \
  FAMILY(gemma)          \
  FAMILY(llama)          \
  FAMILY(mistral)        \
  FAMILY(phi3)           \
  FAMILY(qwen)           \
  FAMILY(smollm3)

#define DECLARE(name) extern const arch_class *const arch_family_##name[];
FAMILIES(DECLARE)
#define LIST(name) arch_family_##name,
static const arch_class *const *const families[] = {FAMILIES(LIST)};
enum { N_FAMILIES = sizeof families / sizeof *families };

/* "Llama, Mistral, ... (ForCausalLM)": the names of all classes, without the ending that all share. */
static void supported_names(char *text, size_t bytes) {
  static const char ending[] = "ForCausalLM";
  size_t used = 0;
  text[0] = '\0';
  for (size_t f = 0; f < N_FAMILIES; f++)
    for (const arch_class *const *c = families[f]; *c != NULL && used < bytes; c++) {
      const size_t length = strlen((*c)->name), end = sizeof ending - 1;
      const bool usual = length > end && strcmp((*c)->name + length - end, ending) == 0;
      used += (size_t)snprintf(text + used, bytes - used, "%s%.*s", used > 0 ? ", " : "",
                               (int)(usual ? length - end : length), (*c)->name);
    }
  if (used < bytes) snprintf(text + used, bytes - used, " (%s)", ending);
}

static ellm_status not_supported(const char *origin, const char *what, const char *name, ellm_error *err) {
  char names[300];
  supported_names(names, sizeof names);
  return ellm_fail(err, ELLM_ERR_INPUT, "%s: %s %s is not supported; these are: %s", origin, what, name, names);
}

ellm_status arch_class_find(const json_t *root, const char *origin, const arch_class **found, ellm_error *err) {
  const char *name = NULL, *model_type = NULL;
  *found = NULL;
  ELLM_TRY(json_get_string(root, "model_type", false, origin, &model_type, err));
  const json_t *list = json_object_get(root, "architectures");
  if (list != NULL && !json_is_null(list)) {
    const json_t *first = json_array_get(list, 0);
    name = json_string_value(first);
    if (name == NULL || json_unreadable_number(first) != NULL)
      return json_wrong(list, "architectures", origin, "a list of names", err);
  }
  if (name == NULL && model_type == NULL) return ellm_fail(err, ELLM_ERR_INPUT, "%s: architectures is missing", origin);
  for (size_t f = 0; f < N_FAMILIES; f++)
    for (const arch_class *const *c = families[f]; *c != NULL && *found == NULL; c++)
      if (strcmp(name != NULL ? name : model_type, name != NULL ? (*c)->name : (*c)->model_type) == 0) *found = *c;
  if (*found == NULL)
    return not_supported(origin, name != NULL ? "architecture" : "model_type", name != NULL ? name : model_type, err);
  if (model_type != NULL && strcmp(model_type, (*found)->model_type) != 0)
    return ellm_fail(err, ELLM_ERR_INPUT, "%s: model_type %s contradicts the architecture %s", origin, model_type,
                     (*found)->name);
  return ELLM_OK;
}
