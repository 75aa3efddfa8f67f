/* SPDX-License-Identifier: Apache-2.0 */
/* See prefix_tree.h. */
#include "text/prefix_tree.h"

#include <stdlib.h>
#include <string.h>

ellm_status prefix_tree_init(prefix_tree *tree, size_t bytes, ellm_error *err) {
  *tree = (prefix_tree){.n_nodes = 1, .capacity = 64};
  tree->values = malloc(tree->capacity * sizeof *tree->values);
  if (tree->values == NULL) return ellm_fail_memory(err, tree->capacity * sizeof *tree->values, "a set of strings");
  tree->values[0] = VOCAB_NONE;
  return merge_table_init(&tree->edges, bytes, err);
}

void prefix_tree_free(prefix_tree *tree) {
  merge_table_free(&tree->edges);
  free(tree->values);
  memset(tree, 0, sizeof *tree);
}

static ellm_status add_node(prefix_tree *tree, uint32_t parent, uint8_t byte, uint32_t *node, ellm_error *err) {
  if (tree->n_nodes == VOCAB_ID_LIMIT) {
    return ellm_fail(err, ELLM_ERR_INPUT, "tokenizer: its pieces have more than %u different beginnings",
                     VOCAB_ID_LIMIT);
  }
  if (tree->n_nodes == tree->capacity) {
    uint32_t *values = realloc(tree->values, 2 * tree->capacity * sizeof *values);
    if (values == NULL) return ellm_fail_memory(err, 2 * tree->capacity * sizeof *values, "a set of strings");
    tree->values = values;
    tree->capacity *= 2;
  }
  *node = (uint32_t)tree->n_nodes;
  ELLM_TRY(merge_table_add(&tree->edges, parent, byte, 0, *node, err));
  tree->values[tree->n_nodes++] = VOCAB_NONE;
  return ELLM_OK;
}

ellm_status prefix_tree_add(prefix_tree *tree, const char *text, size_t bytes, uint32_t value, ellm_error *err) {
  uint32_t node = 0;
  for (size_t i = 0; i < bytes; i++) {
    uint32_t next = prefix_tree_step(tree, node, (uint8_t)text[i]);
    if (next == VOCAB_NONE) ELLM_TRY(add_node(tree, node, (uint8_t)text[i], &next, err));
    node = next;
  }
  tree->values[node] = value;
  return ELLM_OK;
}

size_t prefix_tree_longest(const prefix_tree *tree, const char *text, size_t bytes, uint32_t *value) {
  size_t longest = 0;
  uint32_t node = 0;
  for (size_t i = 0; i < bytes; i++) {
    node = prefix_tree_step(tree, node, (uint8_t)text[i]);
    if (node == VOCAB_NONE) break;
    if (tree->values[node] == VOCAB_NONE) continue;
    longest = i + 1;
    *value = tree->values[node];
  }
  return longest;
}
