/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hub answers and what users call models. The first byte chooses: the list
 * of files of a revision, from which a model is chosen; an index of shards; lines
 * of headers; a name, a path, a revision. What is accepted is looked at: no name
 * leaves the cache's folder, every error is one line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hub/answers.h"
#include "hub/choose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)      \
  do {                       \
    if (!(condition)) abort(); \
  } while (0)

static void check_error(ellm_status status, const ellm_error *err) {
  if (status == ELLM_OK) return;
  MUST(err->status == status && err->message[0] != '\0');
  for (const char *c = err->message; *c != '\0'; c++) MUST((unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* Is it a path that stays below a folder? */
static bool stays(const char *path) {
  for (const char *part = path; part != NULL; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
    const size_t n = strcspn(part, "/");
    if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0)) return false;
  }
  return true;
}

/* Inside of the snapshot's folder, whatever the server has said. */
static void check_list(const hub_list *list) {
  for (size_t i = 0; i < list->n; i++) {
    const hub_file *f = &list->files[i];
    MUST(hub_is_path(f->path) && stays(f->path));
    MUST(!f->known || (hub_is_hash(f->hash) && f->bytes <= HUB_MAX_FILE_BYTES));
    MUST(i == 0 || strcmp(f[-1].path, f->path) < 0);
    MUST(hub_list_find(list, f->path) == f);
  }
}

static void read_listing(const char *text, size_t bytes) {
  static const char *const patterns[] = {"*q8*", "*.safetensors"};
  const hub_name name = {.repository = "own/model", .revision = "main"};
  for (size_t n = 0; n <= 2; n++) {
    char commit[HUB_COMMIT_DIGITS + 1] = "";
    hub_list list = {0};
    hub_choice choice;
    ellm_error err = {0};
    ellm_status status = hub_read_listing(text, bytes, "own/model", commit, &list, &err);
    check_error(status, &err);
    if (status == ELLM_OK) {
      MUST(hub_is_commit(commit));
      check_list(&list);
      status = hub_choose(&name, patterns, n, n == 1, &list, &choice, &err);
      check_error(status, &err);
      MUST(status != ELLM_OK || choice.main[0] == '\0' || hub_list_find(&list, choice.main));
    }
    hub_list_free(&list);
  }
}

static void read_index(const char *text, size_t bytes) {
  static FILE *file;
  char path[64];
  const hub_name name = {.repository = "own/model", .revision = "main"};
  hub_list list = {0};
  ellm_error err = {0};
  if (!file) file = tmpfile();
  const int fd = file ? fileno(file) : -1;
  MUST(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, bytes, 0) == (ssize_t)bytes);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  MUST(hub_list_add(&list, "a.safetensors") && hub_list_add(&list, "b.safetensors"));
  MUST(hub_list_sort(&list) == NULL);
  check_error(hub_choose_shards(&name, path, &list, &err), &err);
  hub_list_free(&list);
}

static void read_headers(const char *text, size_t bytes) {
  hub_response r = {.linked_size = -1, .length = -1};
  for (size_t at = 0; at < bytes;) {
    const char *end = memchr(text + at, '\n', bytes - at);
    const size_t n = end ? (size_t)(end - text) + 1 - at : bytes - at;
    char *line = malloc(n); /* a line has no NUL behind it */
    MUST(line != NULL);
    memcpy(line, text + at, n);
    hub_read_header(&r, at % 2 == 0, line, n);
    free(line);
    at += n;
    MUST(r.length >= -1 && r.linked_size >= -1 && strlen(r.location) < HUB_MAX_URL);
    MUST(strlen(r.etag) <= HUB_HASH_DIGITS && strlen(r.commit) <= HUB_COMMIT_DIGITS && strlen(r.linked_etag) <= HUB_HASH_DIGITS);
    MUST(r.length < INT64_C(1) << 62 && r.linked_size < INT64_C(1) << 62);
  }
}

static void read_name(const char *text) {
  static char quoted[HUB_MAX_URL];
  hub_name name;
  ellm_error err = {0};
  const ellm_status status = hub_parse_name(text, &name, &err);
  check_error(status, &err);
  if (status == ELLM_OK) {
    const char *slash = strchr(name.repository, '/');
    MUST(slash != NULL && slash != name.repository && slash[1] != '\0' && strchr(slash + 1, '/') == NULL);
    MUST(stays(name.repository) && stays(name.revision));
    MUST(name.file[0] == '\0' || hub_is_path(name.file));
    char whole[sizeof name + 2]; /* said again, it is the same */
    hub_name again;
    snprintf(whole, sizeof whole, "%s@%s%s%s", name.repository, name.revision, name.file[0] ? ":" : "", name.file);
    MUST(hub_parse_name(whole, &again, &err) == ELLM_OK && memcmp(&again, &name, sizeof name) == 0);
  }
  if (hub_quote(text, true, quoted, sizeof quoted))
    MUST(strspn(quoted, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%/") == strlen(quoted));
  (void)hub_is_path(text);
  MUST(!hub_is_commit(text) || hub_is_hash(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 65536) return 0;
  char *text = malloc(size);
  MUST(text != NULL);
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  switch (data[0] % 4) {
    case 0: read_listing(text, size - 1); break;
    case 1: read_index(text, size - 1); break;
    case 2: read_headers(text, size - 1); break;
    default: read_name(text);
  }
  free(text);
  return 0;
}
