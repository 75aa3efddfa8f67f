/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam of the system: memory, files, names, maps, threads and the clock of the program `entrollm-faults`, which is
 * `entrollm` linked once more, with every call of such a function led here (--wrap of the linker, cmake/faults.cmake).
 * The objects are those of the ordinary program, so that has nothing of it and pays nothing for it. What a shared
 * library allocates or reads inside is not seen, but for jansson, which gets our allocator.
 *
 * ENTROLLM_FAULT=GROUP:N:WHAT  the N-th call of a group, counted from 1, fails; N+ : that and all later ones
 *   GROUP  one of fault_group_names; `disk` counts the calls that change what is on the disk (groups of them included)
 *   WHAT   an error (EIO, ENOSPC, ...), `short` (half of the bytes), `late` (of the clock: a day more), `kill` (SIGKILL),
 *          or the loss of power: what was written and not synced is gone, see fault_loss.h
 * ENTROLLM_FAULT_LOG=PATH      lines are added: "fault GROUP N FUNCTION ADDRESS" when it comes, "calls GROUP N ..." at the end
 * ENTROLLM_FAULT_TRACE=1       further lines, "place GROUP N HASH": calls of one HASH came the same way through the program
 * ENTROLLM_FAULT_KEEP=FOLDER   for the loss of power: an existing folder of the same file system for what was replaced
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef enum fault_group {
  FAULT_MEMORY, FAULT_OPEN, FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_NAME, FAULT_MAP, FAULT_THREAD, FAULT_STAT,
  FAULT_LOCK, FAULT_CLOCK, FAULT_DISK,
  FAULT_GROUPS
} fault_group;

typedef enum fault_kind { FAULT_NONE, FAULT_ERROR, FAULT_SHORT, FAULT_LATE } fault_kind;

/* Counts a call of the group and of `disk`, if it changes something there. FAULT_ERROR has set errno. Kills and the loss
 * of power do not return. `name` is the function's, `caller` the place of the call. */
fault_kind fault_next(fault_group group, bool changes_disk, const char *name, void *caller);

/* Whether the run is one that ends with the loss of power, so that what is needed for it must be kept. */
bool fault_keeps(void);

#endif
