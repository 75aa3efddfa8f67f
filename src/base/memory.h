/* SPDX-License-Identifier: Apache-2.0 */
/* Checked sizes and aligned memory. */
#ifndef ELLM_BASE_MEMORY_H
#define ELLM_BASE_MEMORY_H

#include "base/status.h"

/* a * b and a + b into *out; false on overflow. */
bool ellm_mul_size(size_t a, size_t b, size_t *out);
bool ellm_add_size(size_t a, size_t b, size_t *out);
bool ellm_mul_u64(uint64_t a, uint64_t b, uint64_t *out);
bool ellm_add_u64(uint64_t a, uint64_t b, uint64_t *out);

/* count * size zeroed bytes, aligned to 64; NULL on overflow or no memory. At
 * least 64 readable bytes follow what was asked for. Free with ellm_aligned_free. */
void *ellm_aligned_calloc(size_t count, size_t size);
void ellm_aligned_free(void *memory);

/* A growing byte buffer; zero-initialize, free with ellm_buffer_free. */
typedef struct ellm_buffer { uint8_t *data; size_t size, capacity; } ellm_buffer;
bool ellm_buffer_reserve(ellm_buffer *buffer, size_t extra);           /* false: no memory */
bool ellm_buffer_append(ellm_buffer *buffer, const void *data, size_t bytes);
/* Text, without the NUL behind it. */
bool ellm_buffer_print(ellm_buffer *buffer, const char *format, ...) ELLM_PRINTF(2, 3);
void ellm_buffer_free(ellm_buffer *buffer);

#endif
