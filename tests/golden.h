/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where golden vectors lie: a set of the project's own (tests/golden, made by
 * other programs; its README tells the fields), and a larger one beside the
 * project (../shared/golden), which is looked at where it exists. Names are
 * paths within a set, such as "quant/edges.json". Paths to inputs that a golden
 * file names are relative to the project's root in the first set, to ../shared
 * in the second.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <stdbool.h>
#include <stdio.h>

#include "base/file.h"

#define GOLDEN_SETS 2
static const char *const golden_folders[GOLDEN_SETS] = {ENTROLLM_SOURCE_DIR "/tests/golden",
                                                        ENTROLLM_SOURCE_DIR "/../shared/golden"};
static const char *const golden_inputs[GOLDEN_SETS] = {ENTROLLM_SOURCE_DIR, ENTROLLM_SOURCE_DIR "/../shared"};

/* The first set that has `name`, -1 if none; its path goes to `path`. */
static inline int golden_find(const char *name, char *path, size_t size) {
  for (int set = 0; set < GOLDEN_SETS; set++) {
    const int length = snprintf(path, size, "%s/%s", golden_folders[set], name);
    if (length >= 0 && (size_t)length < size && file_exists(path)) return set;
  }
  return -1;
}

#endif
