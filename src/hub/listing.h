/* SPDX-License-Identifier: Apache-2.0 */
/* What the hub says about a revision of a repository: its commit and its files. */
#ifndef ELLM_HUB_LISTING_H
#define ELLM_HUB_LISTING_H

#include "hub/http.h"
#include "hub/list.h"

/* Ask for the commit and all files; sorted. Sizes and hashes where the hub says them (it mostly does). */
ellm_status hub_ask_listing(hub_http *http, const hub_name *name, char commit[HUB_COMMIT_DIGITS + 1], hub_list *list,
                            ellm_error *err);
/* Ask for the size and the hash of one file, if they are not known. */
ellm_status hub_ask_file(hub_http *http, const hub_name *name, const char *commit, hub_file *file, ellm_error *err);
/* The URL of a file's content. False: no room. */
bool hub_file_url(const hub_http *http, const hub_name *name, const char *commit, const char *path,
                  char url[HUB_MAX_URL]);

#endif
