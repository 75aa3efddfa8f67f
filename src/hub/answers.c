/* SPDX-License-Identifier: Apache-2.0 */
/* See answers.h. */
#include "hub/answers.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

enum { MAX_FILES = 200000 };

/* ------------------------------------------------------------------ headers */

static bool is_header(const char *line, size_t bytes, const char *name, const char **value, size_t *length) {
  const size_t n = strlen(name);
  if (bytes <= n || line[n] != ':' || strncasecmp(line, name, n) != 0) return false;
  *value = line + n + 1;
  *length = bytes - n - 1;
  while (*length > 0 && strchr(" \t", **value) != NULL) {
    ++*value;
    --*length;
  }
  while (*length > 0 && strchr(" \t\r\n", (*value)[*length - 1]) != NULL) --*length;
  return true;
}

/* What does not fit is not what we look for. */
static void keep(char *out, size_t room, const char *value, size_t length) {
  const bool fits = length < room && memchr(value, '\0', length) == NULL;
  if (fits) memcpy(out, value, length);
  out[fits ? length : 0] = '\0';
}

static void keep_etag(char *out, size_t room, const char *value, size_t length) {
  if (length >= 2 && value[0] == 'W' && value[1] == '/') {
    value += 2;
    length -= 2;
  }
  if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
    value++;
    length -= 2;
  }
  keep(out, room, value, length);
}

/* A whole number below 2^62 and what follows it. */
static bool number(const char **text, const char *end, uint64_t *value) {
  const char *c = *text;
  for (*value = 0; c < end && *c >= '0' && *c <= '9'; c++) {
    if (*value > ((UINT64_C(1) << 62) - 10) / 10) return false;
    *value = *value * 10 + (uint64_t)(*c - '0');
  }
  const bool some = c > *text;
  *text = c;
  return some;
}

static bool keep_size(int64_t *out, const char *value, size_t length) {
  uint64_t size;
  const char *end = value + length;
  if (!number(&value, end, &size) || value != end) return false;
  *out = (int64_t)size;
  return true;
}

/* "bytes FROM-TO/TOTAL"; of an answer of 416 "bytes *" and the total, which is not looked at. */
static bool keep_range(hub_response *r, const char *value, size_t length) {
  uint64_t to;
  const char *end = value + length;
  if (length < 6 || strncasecmp(value, "bytes ", 6) != 0) return false;
  value += 6;
  if (value < end && *value == '*') return true;
  if (!number(&value, end, &r->range_from) || value == end || *value++ != '-' || !number(&value, end, &to) ||
      value == end || *value++ != '/' || !number(&value, end, &r->range_total) || value != end)
    return false;
  r->ranged = true;
  return true;
}

bool hub_read_header(hub_response *r, bool ours, const char *line, size_t bytes) {
  const char *value;
  size_t length;
  if (is_header(line, bytes, "Location", &value, &length)) keep(r->location, sizeof r->location, value, length);
  else if (is_header(line, bytes, "Content-Length", &value, &length)) return keep_size(&r->length, value, length);
  else if (is_header(line, bytes, "Content-Range", &value, &length)) return keep_range(r, value, length);
  else if (!ours) return true;
  else if (is_header(line, bytes, "ETag", &value, &length)) keep_etag(r->etag, sizeof r->etag, value, length);
  else if (is_header(line, bytes, "X-Linked-ETag", &value, &length))
    keep_etag(r->linked_etag, sizeof r->linked_etag, value, length);
  else if (is_header(line, bytes, "X-Linked-Size", &value, &length)) return keep_size(&r->linked_size, value, length);
  else if (is_header(line, bytes, "X-Repo-Commit", &value, &length)) keep(r->commit, sizeof r->commit, value, length);
  else if (is_header(line, bytes, "X-Error-Code", &value, &length)) keep(r->code, sizeof r->code, value, length);
  return true;
}

/* ----------------------------------------------------------------- the list */

/* Size and hash, if both are there: of a large file those of its content (lfs), else git's. */
static ellm_status read_facts(const json_t *entry, const char *what, hub_file *file, ellm_error *err) {
  const json_t *lfs = json_object_get(entry, "lfs");
  const json_t *size = json_object_get(json_is_object(lfs) ? lfs : entry, "size");
  const json_t *hash = json_is_object(lfs) ? json_object_get(lfs, "sha256") : json_object_get(entry, "blobId");
  if (size == NULL || hash == NULL || json_is_null(size) || json_is_null(hash)) return ELLM_OK;
  const json_int_t bytes = json_is_integer(size) ? json_integer_value(size) : -1;
  const char *text = json_string_value(hash);
  if (bytes < 0 || bytes > HUB_MAX_FILE_BYTES)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub gives %s a size that makes no sense", what, file->path);
  if (text == NULL || !hub_is_hash(text) || (strlen(text) == HUB_HASH_DIGITS) != json_is_object(lfs))
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub gives %s a hash that is none", what, file->path);
  file->bytes = (uint64_t)bytes;
  strcpy(file->hash, text);
  file->known = true;
  return ELLM_OK;
}

static ellm_status read_files(const json_t *siblings, const char *what, hub_list *list, ellm_error *err) {
  size_t i;
  const json_t *entry;
  if (!json_is_array(siblings) || json_array_size(siblings) > MAX_FILES)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub's answer has no list of files (siblings)", what);
  json_array_foreach(siblings, i, entry) {
    const json_t *name = json_object_get(entry, "rfilename");
    const char *path = json_string_value(name);
    if (path == NULL || strlen(path) != json_string_length(name) || !hub_is_path(path))
      return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub names a file '%.100s', which no file may be called", what,
                          path != NULL ? path : "");
    hub_file *file = hub_list_add(list, path);
    if (file == NULL) return prog_failure_memory(err, 0, "the list of files");
    PROG_TRY(read_facts(entry, what, file, err));
  }
  const char *twice = hub_list_sort(list);
  return twice == NULL ? ELLM_OK : prog_failure(err, ELLM_ERR_INPUT, "%s: the hub names %s twice", what, twice);
}

ellm_status hub_read_listing(const char *data, size_t bytes, const char *what, char commit[HUB_COMMIT_DIGITS + 1],
                             hub_list *list, ellm_error *err) {
  json_error_t where;
  json_t *root = json_loadb(bytes > 0 ? data : "", bytes, 0, &where);
  const char *sha = json_string_value(json_object_get(root, "sha"));
  ellm_status status = ELLM_OK;
  if (root == NULL)
    status = prog_failure(err, ELLM_ERR_INPUT, "%s: the hub's answer is not JSON (%s)", what, where.text);
  else if (sha == NULL || !hub_is_commit(sha))
    status = prog_failure(err, ELLM_ERR_INPUT, "%s: the hub's answer names no commit (sha): is it a hub?", what);
  else strcpy(commit, sha);
  if (status == ELLM_OK) status = read_files(json_object_get(root, "siblings"), what, list, err);
  json_decref(root);
  return status;
}
