/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of byte strings, each with a number, in which all that begin a text are found by one walk over it. Edges are in
 * a hash table of (node, byte), so that building takes time with the bytes of the strings alone.
 */
#ifndef ELLM_TEXT_PREFIX_TREE_H
#define ELLM_TEXT_PREFIX_TREE_H

#include "text/vocab.h"

typedef struct prefix_tree {
  merge_table edges;  /* (node, byte) -> node */
  uint32_t *values;   /* [n_nodes]: of the string that ends there, or VOCAB_NONE */
  size_t n_nodes, capacity;
} prefix_tree;

/* An empty one with its root, node 0. `bytes` is how many bytes of strings to expect; more are fine. */
ellm_status prefix_tree_init(prefix_tree *tree, size_t bytes, ellm_error *err);
void prefix_tree_free(prefix_tree *tree); /* also one that is all zero */
/* A string that is added again has the later number. ELLM_ERR_INPUT beyond 2^24 nodes. */
ellm_status prefix_tree_add(prefix_tree *tree, const char *text, size_t bytes, uint32_t value, ellm_error *err);

/* The node that the byte leads to, or VOCAB_NONE. */
static inline uint32_t prefix_tree_step(const prefix_tree *tree, uint32_t node, uint8_t byte) {
  const merge *edge = merge_find(&tree->edges, node, byte);
  return edge != NULL ? edge->id : VOCAB_NONE;
}

/* Bytes of the longest string of the set that the text begins with, 0: none; its number into *value. */
size_t prefix_tree_longest(const prefix_tree *tree, const char *text, size_t bytes, uint32_t *value);

#endif
