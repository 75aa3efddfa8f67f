/* SPDX-License-Identifier: Apache-2.0 */
/* One file from the hub into the cache: its blob, checked by size and hash, and the link to it. */
#ifndef ELLM_HUB_DOWNLOAD_H
#define ELLM_HUB_DOWNLOAD_H

#include "hub/cache.h"
#include "hub/http.h"

/* What the downloads of one pull share. */
typedef struct hub_transfer {
  hub_http *http;
  const hub_cache *cache;
  const hub_name *name;
  const char *commit;
  const char *path;      /* of the file at work, for progress */
  uint64_t done, total;  /* bytes of what is to be brought now, with parts that were there already; total 0: none yet */
} hub_transfer;

/* For hub_http.tick: tells progress; `user` is a hub_transfer. */
bool hub_transfer_tick(void *user);

/* Is the blob there whole? *part: bytes of its beginning that are there otherwise. */
bool hub_blob_is_there(const hub_cache *cache, const hub_file *file, uint64_t *part);

/* Bring a file whose size and hash are known, if it is not there, and link it. A beginning that is there is gone on
 * with. On an error the beginning stays for the next time, unless it was not what the hash says. */
ellm_status hub_download(hub_transfer *transfer, hub_file *file, ellm_error *err);

#endif
