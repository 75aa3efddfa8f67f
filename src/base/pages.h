/* SPDX-License-Identifier: Apache-2.0 */
/* Large memory in pages of a wanted kind, for those who measure what the kind matters. */
#ifndef ELLM_BASE_PAGES_H
#define ELLM_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ellm_pages { void *memory; size_t bytes; } ellm_pages;

/* Zeroed memory in huge pages, where the system gives them, or in its usual small ones; false without memory. */
bool ellm_pages_take(ellm_pages *pages, size_t bytes, bool huge);
void ellm_pages_give_back(ellm_pages *pages); /* nothing where there are none */

#endif
