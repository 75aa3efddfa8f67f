/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output is written through here only, so that a full disk or a closed
 * pipe is noticed once, in one place, and decides the exit status.
 */
#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "program/buffer.h"
#include "cli/messages.h"
#include "program/utf8.h"

static int output_errno; /* of the first failed write to standard output */

void cli_write(const void *data, size_t bytes) {
  if (output_errno == 0 && fwrite(data, 1, bytes, stdout) != bytes) output_errno = errno ? errno : EIO;
}

void cli_flush(void) {
  if (output_errno == 0 && fflush(stdout) != 0) output_errno = errno ? errno : EIO;
}

bool cli_output_ok(void) { return output_errno == 0; }

int cli_finish_output(int status) {
  cli_flush();
  if (output_errno == 0 && ferror(stdout)) output_errno = EIO;
  if (fclose(stdout) != 0 && output_errno == 0) output_errno = errno ? errno : EIO;
  if (output_errno == 0) return status;
  /* A reader that has seen enough (head, less) is no cause for a message. */
  if (output_errno != EPIPE && status != ELLM_INTERRUPTED)
    cli_error(ELLM_ERR_IO, "cannot write standard output: %s", strerror(output_errno));
  return status == ELLM_OK ? ELLM_ERR_IO : status;
}

static int write_json(const char *text, size_t bytes, void *user) {
  (void)user;
  cli_write(text, bytes);
  return 0;
}

/* Piece by piece: json_dumps loses keys when it runs out of memory. */
int cli_print_json(json_t *object) {
  if (!object) return cli_error(ELLM_ERR_IO, "out of memory for the JSON output");
  int failed = json_dump_callback(object, write_json, NULL, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
  json_decref(object);
  if (failed) return cli_error(ELLM_ERR_IO, "out of memory while the JSON output was written");
  cli_write("\n", 1);
  return ELLM_OK;
}

void cli_json_append(json_t **array, json_t *value) {
  if (json_array_append_new(*array, value) == 0) return;
  json_decref(*array);
  *array = NULL;
}

void cli_json_set(json_t **object, const char *name, json_t *value) {
  if (json_object_set_new(*object, name, value) == 0) return;
  json_decref(*object);
  *object = NULL;
}

json_t *cli_json_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *cli_json_u64(uint64_t value) {
  char text[24];
  if (value <= INT64_MAX) return json_integer((json_int_t)value);
  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  return json_string(text);
}

json_t *cli_json_text(const char *text, size_t bytes) {
  prog_buffer clean = {0};
  if (prog_valid_utf8(text, bytes)) return json_stringn(text, bytes);
  json_t *value = prog_utf8_append_replaced(&clean, text, bytes) ? json_stringn(clean.data, clean.bytes) : NULL;
  prog_buffer_free(&clean);
  return value;
}

json_t *cli_json_ids(const uint32_t *ids, size_t n_ids) {
  json_t *list = json_array();
  for (size_t i = 0; list && i < n_ids; i++) cli_json_append(&list, json_integer(ids[i]));
  return list;
}
