/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loss of power. A disk promises only what was synced: the bytes of a file by fsync of the file, its name by fsync
 * of the folder. This keeps each written file as it was when it was opened or last synced, and the changes of names
 * since their folder was synced. At the loss all that is not promised is put back, in one of these ways:
 *   loss        files have their synced bytes; names stay changed
 *   loss-zero   files have their new lengths, and zeros for what was not synced; names stay changed
 *   loss-mix    of each 512 bytes the old or the new ones; names stay changed
 *   loss-names  files have their synced bytes; names are put back, too
 */
#ifndef TESTS_FAULT_LOSS_H
#define TESTS_FAULT_LOSS_H

#include <stdbool.h>

typedef enum loss_kind { LOSS_DROP, LOSS_ZERO, LOSS_MIX, LOSS_NAMES, LOSS_KINDS } loss_kind;
extern const char *const loss_kind_names[LOSS_KINDS];

/* The following do nothing where fault_keeps() is false. */
void loss_before_open(const char *path, int flags);         /* what O_TRUNC will empty, and whether O_CREAT will create */
void loss_opened(int fd, const char *path, int flags);      /* an fd that may be written to */
void loss_synced(int fd);
void loss_before_rename(const char *from, const char *to);
void loss_before_unlink(const char *path);
void loss_renamed(bool done);                               /* whether what was announced came to be */
void loss_made_folder(const char *path);

/* Puts back what was not promised. */
void loss_happens(loss_kind kind, unsigned seed);

#endif
