/* SPDX-License-Identifier: Apache-2.0 */
/* See listing.h. The JSON comes from a server: its length, its names, hashes and sizes are checked here. */
#include "hub/listing.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LISTING_BYTES = 64 << 20, MAX_FILES = 200000 };
static const json_int_t max_file_bytes = (json_int_t)1 << 50;

/* -------------------------------------------------------------- a body in memory */

typedef struct memory { const char *what; char *data; size_t bytes, room; } memory;

static uint64_t memory_have(void *user) {
  (void)user;
  return 0;
}

static ellm_status memory_begin(void *user, const hub_response *response, ellm_error *err) {
  memory *m = user;
  m->bytes = 0;
  if (response->status == 200) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_INPUT, "%s: the server sends a part of the list of files", m->what);
}

static ellm_status memory_take(void *user, const void *data, size_t bytes, ellm_error *err) {
  memory *m = user;
  if (bytes > MAX_LISTING_BYTES - m->bytes)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the list of files has more than %d MiB", m->what,
                       MAX_LISTING_BYTES >> 20);
  if (m->bytes + bytes > m->room) {
    const size_t room = 2 * (m->bytes + bytes);
    char *grown = realloc(m->data, room);
    if (grown == NULL) return prog_failure_memory(err, 0, "the list of files");
    m->data = grown;
    m->room = room;
  }
  memcpy(m->data + m->bytes, data, bytes);
  m->bytes += bytes;
  return ELLM_OK;
}

static bool memory_whole(void *user) {
  (void)user;
  return true; /* libcurl knows when a length that was announced is not reached */
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
  if (bytes < 0 || bytes > max_file_bytes)
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

static ellm_status read_listing(const memory *m, char commit[HUB_COMMIT_DIGITS + 1], hub_list *list, ellm_error *err) {
  json_error_t where;
  json_t *root = json_loadb(m->bytes > 0 ? m->data : "", m->bytes, 0, &where);
  const char *sha = json_string_value(json_object_get(root, "sha"));
  ellm_status status = ELLM_OK;
  if (root == NULL)
    status = prog_failure(err, ELLM_ERR_INPUT, "%s: the hub's answer is no JSON (%s)", m->what, where.text);
  else if (sha == NULL || !hub_is_commit(sha))
    status = prog_failure(err, ELLM_ERR_INPUT, "%s: the hub's answer names no commit (sha): is it a hub?", m->what);
  else strcpy(commit, sha);
  if (status == ELLM_OK) status = read_files(json_object_get(root, "siblings"), m->what, list, err);
  json_decref(root);
  return status;
}

ellm_status hub_ask_listing(hub_http *http, const hub_name *name, char commit[HUB_COMMIT_DIGITS + 1], hub_list *list,
                            ellm_error *err) {
  char url[HUB_MAX_URL], revision[3 * sizeof name->revision], what[sizeof name->repository + sizeof name->revision + 2];
  hub_response response;
  snprintf(what, sizeof what, strcmp(name->revision, "main") == 0 ? "%s" : "%s@%s", name->repository, name->revision);
  memory m = {.what = what};
  const hub_sink sink = {memory_have, memory_begin, memory_take, memory_whole, &m};
  if (!hub_quote(name->revision, false, revision, sizeof revision) ||
      (size_t)snprintf(url, sizeof url, "%s/api/models/%s/revision/%s?blobs=true", http->base, name->repository,
                       revision) >= sizeof url)
    return prog_failure(err, ELLM_ERR_USAGE, "%s: the URL is too long", what);
  const hub_request request = {.url = url, .what = what, .sink = &sink};
  ellm_status status = hub_http_run(http, &request, &response, err);
  if (status == ELLM_OK) status = read_listing(&m, commit, list, err);
  free(m.data);
  if (status == ELLM_OK && hub_is_commit(name->revision) && strcmp(commit, name->revision) != 0)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub answers with another commit, %s", what, commit);
  return status;
}

/* ----------------------------------------------------------------- one file */

bool hub_file_url(const hub_http *http, const hub_name *name, const char *commit, const char *path,
                  char url[HUB_MAX_URL]) {
  const int used = snprintf(url, HUB_MAX_URL, "%s/%s/resolve/%s/", http->base, name->repository, commit);
  return used > 0 && used < HUB_MAX_URL && hub_quote(path, true, url + used, HUB_MAX_URL - (size_t)used);
}

ellm_status hub_ask_file(hub_http *http, const hub_name *name, const char *commit, hub_file *file, ellm_error *err) {
  char url[HUB_MAX_URL], what[sizeof name->repository + 1024];
  hub_response r;
  if (file->known) return ELLM_OK;
  snprintf(what, sizeof what, "%s: %s", name->repository, file->path);
  if (!hub_file_url(http, name, commit, file->path, url))
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the URL is too long", what);
  const hub_request request = {.url = url, .what = what};
  PROG_TRY(hub_http_run(http, &request, &r, err));
  const char *hash = r.linked_etag[0] != '\0' ? r.linked_etag : r.etag;
  const int64_t bytes = r.linked_size >= 0 ? r.linked_size : r.elsewhere ? -1 : r.length;
  if (strcmp(r.commit, commit) != 0)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the server does not say that it is of commit %s: is it a hub?", what,
                       commit);
  if (!hub_is_hash(hash)) return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub gives it no hash (ETag)", what);
  if (bytes < 0 || bytes > max_file_bytes)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub does not say how large it is", what);
  file->bytes = (uint64_t)bytes;
  strcpy(file->hash, hash);
  file->known = true;
  return ELLM_OK;
}
