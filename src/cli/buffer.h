/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of bytes. */
#ifndef ELLM_CLI_BUFFER_H
#define ELLM_CLI_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/printf.h"

/* Zero-initialize, free with cli_buffer_free. */
typedef struct cli_buffer { uint8_t *data; size_t size, capacity; } cli_buffer;

/* All but free: false when out of memory, and the buffer is as it was. */
bool cli_buffer_reserve(cli_buffer *buffer, size_t extra); /* room for as many more bytes */
bool cli_buffer_append(cli_buffer *buffer, const void *data, size_t bytes);
bool cli_add(cli_buffer *buffer, const char *format, ...) CLI_PRINTF(2, 3); /* any length */
void cli_buffer_free(cli_buffer *buffer);

#endif
