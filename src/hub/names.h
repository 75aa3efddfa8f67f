/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: what users type and what servers send. All of them become parts of paths in the cache and of URLs, so each is
 * checked here before it is used anywhere: nothing may leave the cache's folder.
 */
#ifndef ELLM_HUB_NAMES_H
#define ELLM_HUB_NAMES_H

#include <stdbool.h>

#include "program/failure.h"

enum { HUB_COMMIT_DIGITS = 40, HUB_HASH_DIGITS = 64 /* at most: SHA-256; SHA-1 has 40 */ };

/* "OWNER/NAME[@REVISION][:FILE]". */
typedef struct hub_name {
  char repository[200]; /* "OWNER/NAME" */
  char revision[200];   /* a branch, a tag or a commit; "main" where none was given */
  char file[512];       /* a path within the repository or a pattern; "": none was given */
} hub_name;

/* ELLM_ERR_USAGE, saying what is wrong, where it is no such name. */
ellm_status hub_parse_name(const char *text, hub_name *name, ellm_error *err);

/* So many digits 0-9a-f and nothing else. */
bool hub_is_hex(const char *text, size_t digits);
/* A commit: 40 digits. */
bool hub_is_commit(const char *text);
/* What the hub calls a file's content by: 40 or 64 digits. */
bool hub_is_hash(const char *text);

/* A path of a file within a repository: relative, parts separated by one '/', none of them ".", ".." or longer than 255
 * bytes, no control characters, no backslash, at most 1,000 bytes. */
bool hub_is_path(const char *path);

/* Percent-encoded for a URL; '/' stays where `keep_slashes`. False: no room. */
bool hub_quote(const char *text, bool keep_slashes, char *out, size_t room);

#endif
