/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hub answers, as bytes: headers and the list of files. Nothing here touches the network or the disk. A server
 * is not trusted: lengths, names, hashes and sizes are checked here, before anybody uses them.
 */
#ifndef ELLM_HUB_ANSWERS_H
#define ELLM_HUB_ANSWERS_H

#include <stdint.h>

#include "hub/list.h"

enum { HUB_MAX_URL = 4096 };
#define HUB_MAX_FILE_BYTES (INT64_C(1) << 50)

/* What an answer says of a file, in the hub's own headers: of the endpoint's hops, not of those of other hosts. */
typedef struct hub_response {
  long status;
  char commit[HUB_COMMIT_DIGITS + 1];   /* X-Repo-Commit; "": not given */
  char etag[HUB_HASH_DIGITS + 1];       /* ETag without quotes; "": not given, or longer than a hash */
  char linked_etag[HUB_HASH_DIGITS + 1]; /* X-Linked-ETag, that of the file where ETag is another's */
  int64_t linked_size, length;          /* X-Linked-Size, Content-Length; -1: not given */
  bool ranged;                          /* Content-Range was said */
  uint64_t range_from, range_total;
  char code[64];                        /* X-Error-Code */
  bool elsewhere;                       /* a HEAD that ended where the hub sends to another host */
  char location[HUB_MAX_URL];
} hub_response;

/* One line of headers, line[bytes], whose end of line may be there. `ours`: of the endpoint, whose own headers count.
 * What is not known or does not fit is nothing; false: a number in it makes no sense. */
bool hub_read_header(hub_response *response, bool ours, const char *line, size_t bytes);

/* The commit and the files of a revision, data[bytes] of JSON; the list is sorted. `what` names it in errors. Frees
 * nothing: after an error, too, the list is the caller's. */
ellm_status hub_read_listing(const char *data, size_t bytes, const char *what, char commit[HUB_COMMIT_DIGITS + 1],
                             hub_list *list, ellm_error *err);

#endif
