/* SPDX-License-Identifier: Apache-2.0 */
/* See listing.h. What is in an answer is read by answers.c. */
#include "hub/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/buffer.h"

enum { MAX_LISTING_BYTES = 64 << 20 };

/* -------------------------------------------------------------- a body in memory */

typedef struct memory { const char *what; prog_buffer body; } memory;

static uint64_t memory_have(void *user) {
  (void)user;
  return 0;
}

static ellm_status memory_begin(void *user, const hub_response *response, ellm_error *err) {
  memory *m = user;
  prog_buffer_clear(&m->body);
  if (response->status == 200) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_INPUT, "%s: the server sends a part of the list of files", m->what);
}

static ellm_status memory_take(void *user, const void *data, size_t bytes, ellm_error *err) {
  memory *m = user;
  if (bytes > MAX_LISTING_BYTES - m->body.bytes)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the list of files has more than %d MiB", m->what,
                        MAX_LISTING_BYTES >> 20);
  return prog_append(&m->body, data, bytes) ? ELLM_OK : prog_failure_memory(err, 0, "the list of files");
}

static bool memory_whole(void *user) {
  (void)user;
  return true; /* libcurl knows when a length that was announced is not reached */
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
  if (status == ELLM_OK) status = hub_read_listing(m.body.data, m.body.bytes, what, commit, list, err);
  prog_buffer_free(&m.body);
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
  if (bytes < 0 || bytes > HUB_MAX_FILE_BYTES)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the hub does not say how large it is", what);
  file->bytes = (uint64_t)bytes;
  strcpy(file->hash, hash);
  file->known = true;
  return ELLM_OK;
}
