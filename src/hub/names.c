/* SPDX-License-Identifier: Apache-2.0 */
/* See names.h. */
#include "hub/names.h"

#include <string.h>

enum { MAX_PART = 96, MAX_PATH_BYTES = 1000, MAX_PATH_PART = 255 };

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool hub_is_hex(const char *text, size_t digits) {
  for (size_t i = 0; i < digits; i++)
    if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) return false;
  return text[digits] == '\0';
}

bool hub_is_commit(const char *text) { return hub_is_hex(text, HUB_COMMIT_DIGITS); }

bool hub_is_hash(const char *text) { return hub_is_hex(text, 40) || hub_is_hex(text, 64); }

/* An owner or a name, as the hub allows them. The cache writes '/' as "--", so that must not occur. */
static bool is_part(const char *text, size_t bytes) {
  if (bytes == 0 || bytes > MAX_PART || strchr("-.", text[0]) != NULL || strchr("-.", text[bytes - 1]) != NULL)
    return false;
  for (size_t i = 0; i < bytes; i++) {
    if (!is_word(text[i])) return false;
    if (i > 0 && text[i] == text[i - 1] && (text[i] == '-' || text[i] == '.')) return false;
  }
  return true;
}

/* Parts between slashes, none empty, none that moves about in a file system. */
static bool has_plain_parts(const char *path, size_t most) {
  for (const char *part = path;;) {
    const size_t bytes = strcspn(part, "/");
    if (bytes == 0 || bytes > most) return false;
    if (part[0] == '.' && (bytes == 1 || (bytes == 2 && part[1] == '.'))) return false;
    if (part[bytes] == '\0') return true;
    part += bytes + 1;
  }
}

static bool is_revision(const char *text) {
  for (const char *c = text; *c != '\0'; c++)
    if (!is_word(*c) && *c != '/' && *c != '+') return false;
  return has_plain_parts(text, MAX_PATH_PART) && text[0] != '-';
}

bool hub_is_path(const char *path) {
  if (strlen(path) > MAX_PATH_BYTES) return false;
  for (const char *c = path; *c != '\0'; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\') return false;
  return has_plain_parts(path, MAX_PATH_PART);
}

ellm_status hub_parse_name(const char *text, hub_name *name, ellm_error *err) {
  *name = (hub_name){0};
  const size_t repository = strcspn(text, "@:");
  const char *slash = memchr(text, '/', repository);
  const size_t owner = slash != NULL ? (size_t)(slash - text) : 0;
  if (slash == NULL || !is_part(text, owner) || !is_part(slash + 1, repository - owner - 1))
    return prog_failure(err, ELLM_ERR_USAGE, "'%s' is not the name of a repository: OWNER/NAME[@REVISION][:FILE] is "
                                             "expected",
                        text);
  memcpy(name->repository, text, repository);
  const char *rest = text + repository;
  strcpy(name->revision, "main");
  if (*rest == '@') {
    const size_t bytes = strcspn(++rest, ":");
    if (bytes >= sizeof name->revision)
      return prog_failure(err, ELLM_ERR_USAGE, "%s: the name of the revision is too long", name->repository);
    memcpy(name->revision, rest, bytes);
    name->revision[bytes] = '\0';
    if (!is_revision(name->revision))
      return prog_failure(err, ELLM_ERR_USAGE, "%s: '%s' is not the name of a revision", name->repository,
                          name->revision);
    rest += bytes;
  }
  if (*rest == ':') {
    if (strlen(rest + 1) >= sizeof name->file || !hub_is_path(rest + 1))
      return prog_failure(err, ELLM_ERR_USAGE, "%s: '%s' is not the name of a file in a repository", name->repository,
                          rest + 1);
    strcpy(name->file, rest + 1);
  }
  return ELLM_OK;
}

bool hub_quote(const char *text, bool keep_slashes, char *out, size_t room) {
  static const char digits[] = "0123456789ABCDEF";
  size_t used = 0;
  for (const char *c = text; *c != '\0'; c++) {
    const unsigned char byte = (unsigned char)*c;
    if (room - used < 4) return false;
    if (is_word(*c) || *c == '~' || (*c == '/' && keep_slashes)) {
      out[used++] = *c;
      continue;
    }
    out[used++] = '%';
    out[used++] = digits[byte >> 4];
    out[used++] = digits[byte & 15];
  }
  if (used >= room) return false;
  out[used] = '\0';
  return true;
}
