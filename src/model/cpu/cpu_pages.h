/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of keys and values: functions of a backend. */
#ifndef ELLM_MODEL_CPU_CPU_PAGES_H
#define ELLM_MODEL_CPU_CPU_PAGES_H

#include "model/cpu/cpu_shared.h"

ellm_status cpu_grow(backend *b, uint32_t n_pages, ellm_error *err);
void cpu_page_copy(backend *b, uint32_t from, uint32_t to, uint32_t n);
ellm_status cpu_page_read(backend *b, page_part part, size_t head, uint32_t page, void *out, ellm_error *err);
void cpu_page_write(backend *b, page_part part, size_t head, uint32_t page, const void *data);

#endif
