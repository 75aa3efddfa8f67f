/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output, and JSON for it. */
#ifndef ELLM_CLI_OUTPUT_H
#define ELLM_CLI_OUTPUT_H

#include <jansson.h>

#include "program/failure.h"

/* Write to standard output; errors are kept and reported by cli_finish_output. */
void cli_write(const void *data, size_t bytes);
void cli_flush(void);
/* False once a write has failed: loops stop then. */
bool cli_output_ok(void);
/* Flush and close standard output. Returns `status`, or ELLM_ERR_IO when
 * something could not be written (said, unless the reader closed the pipe). */
int cli_finish_output(int status);
/* Print an object and free it. Returns an exit status. */
int cli_print_json(json_t *object);
json_t *cli_json_text(const char *text, size_t bytes); /* invalid UTF-8 becomes U+FFFD */
json_t *cli_json_real(double value);                   /* null if not finite */
json_t *cli_json_u64(uint64_t value);                  /* a string of digits from 2^63 on, where jansson ends */
/* Append to an array that is being built. A value that is NULL, or no memory:
 * *array is freed and NULL from then on, so that printing it fails. */
void cli_json_append(json_t **array, json_t *value);
/* The same for a field of an object. */
void cli_json_set(json_t **object, const char *name, json_t *value);

json_t *cli_json_ids(const uint32_t *ids, size_t n_ids);

#endif
