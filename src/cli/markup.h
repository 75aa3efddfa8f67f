/* SPDX-License-Identifier: Apache-2.0 */
/* Text in HTML and SVG. */
#ifndef ELLM_CLI_MARKUP_H
#define ELLM_CLI_MARKUP_H

#include "program/buffer.h"

/* Appends text with the five characters of markup as entities; control characters, and a text that is not UTF-8, as "?".
 * False: no memory. */
bool cli_add_escaped(prog_buffer *buffer, const char *text);

#endif
