/* SPDX-License-Identifier: Apache-2.0 */
/* See pages.h. */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

bool ellm_pages_take(ellm_pages *pages, size_t bytes, bool huge) {
  *pages = (ellm_pages){NULL, 0};
  if (bytes == 0 || bytes > SIZE_MAX - HUGE_PAGE) return false;
  const size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; /* huge to the end */
  void *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
#ifdef MADV_HUGEPAGE
  (void)madvise(memory, whole, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#else
  (void)huge;
#endif
  *pages = (ellm_pages){memory, whole};
  return true;
}

void ellm_pages_give_back(ellm_pages *pages) {
  if (pages->memory != NULL) munmap(pages->memory, pages->bytes);
  *pages = (ellm_pages){NULL, 0};
}
