/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocator that counts, and that fails when it is told to. The linker leads every call of malloc, calloc, realloc,
 * strdup, strndup, aligned_alloc, posix_memalign and free of a program here (cmake/tests.cmake, --wrap); calls that shared
 * libraries make are not seen. For one source file of a program.
 */
#ifndef TESTS_FAILING_ALLOCATOR_H
#define TESTS_FAILING_ALLOCATOR_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALLOCATOR_BLOCKS = 1 << 16 };

static struct {
  pthread_mutex_t lock;
  void *blocks[ALLOCATOR_BLOCKS]; /* that live, by address, open addressing; what was freed stays as `gone` */
  char gone;
  /* volatile, because a compiler takes it that malloc and free change nothing that it can see */
  volatile long live;        /* blocks */
  volatile long calls;       /* that want memory */
  volatile long fail_after;  /* calls that succeed before one fails; below 0: none does */
  volatile bool failed;      /* one did */
} allocator = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_after = -1};

/* From now on the n-th call fails, counted from 0, and none after it; -1: none at all. */
static inline void allocator_fail_after(long n) {
  allocator.failed = false;
  allocator.fail_after = n;
}
/* No call fails any more; `failed` stays. */
static inline void allocator_recover(void) { allocator.fail_after = -1; }

static bool allocator_refuses(void) {
  pthread_mutex_lock(&allocator.lock);
  const bool now = allocator.fail_after == 0;
  if (allocator.fail_after >= 0) allocator.fail_after--;
  allocator.failed = allocator.failed || now;
  allocator.calls++;
  pthread_mutex_unlock(&allocator.lock);
  return now;
}

static size_t allocator_place(const void *block) { return (uintptr_t)block / 16 * 2654435761u % ALLOCATOR_BLOCKS; }

static void *allocator_add(void *block) {
  if (block == NULL) return NULL;
  pthread_mutex_lock(&allocator.lock);
  size_t at = allocator_place(block);
  while (allocator.blocks[at] != NULL && allocator.blocks[at] != &allocator.gone) at = (at + 1) % ALLOCATOR_BLOCKS;
  allocator.blocks[at] = block;
  allocator.live++;
  pthread_mutex_unlock(&allocator.lock);
  return block;
}

/* What libraries allocated and we free is not among them. */
static void allocator_drop(const void *block) {
  if (block == NULL) return;
  pthread_mutex_lock(&allocator.lock);
  for (size_t at = allocator_place(block), n = 0; allocator.blocks[at] != NULL && n < ALLOCATOR_BLOCKS;
       at = (at + 1) % ALLOCATOR_BLOCKS, n++)
    if (allocator.blocks[at] == block) {
      allocator.blocks[at] = &allocator.gone;
      allocator.live--;
      break;
    }
  pthread_mutex_unlock(&allocator.lock);
}

#define ALLOCATOR_WRAP(type, name, parameters) \
  type __real_##name parameters;               \
  type __wrap_##name parameters;               \
  type __wrap_##name parameters
ALLOCATOR_WRAP(void *, malloc, (size_t bytes)) {
  return allocator_refuses() ? NULL : allocator_add(__real_malloc(bytes));
}
ALLOCATOR_WRAP(void *, calloc, (size_t n, size_t bytes)) {
  return allocator_refuses() ? NULL : allocator_add(__real_calloc(n, bytes));
}
ALLOCATOR_WRAP(void *, realloc, (void *old, size_t bytes)) {
  if (allocator_refuses()) return NULL;
  allocator_drop(old);
  void *block = __real_realloc(old, bytes);
  allocator_add(block != NULL ? block : old);
  return block;
}
ALLOCATOR_WRAP(char *, strdup, (const char *text)) {
  return allocator_refuses() ? NULL : allocator_add(__real_strdup(text));
}
ALLOCATOR_WRAP(char *, strndup, (const char *text, size_t bytes)) {
  return allocator_refuses() ? NULL : allocator_add(__real_strndup(text, bytes));
}
ALLOCATOR_WRAP(void *, aligned_alloc, (size_t alignment, size_t bytes)) {
  return allocator_refuses() ? NULL : allocator_add(__real_aligned_alloc(alignment, bytes));
}
ALLOCATOR_WRAP(int, posix_memalign, (void **out, size_t alignment, size_t bytes)) {
  if (allocator_refuses()) return ENOMEM;
  const int result = __real_posix_memalign(out, alignment, bytes);
  if (result == 0) allocator_add(*out);
  return result;
}
ALLOCATOR_WRAP(void, free, (void *block)) {
  allocator_drop(block);
  __real_free(block);
}

#endif
