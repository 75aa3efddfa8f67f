/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OUT.journal.partial: what a compression that can be resumed has finished. A
 * key of 16 bytes stands for source and options; then one entry a finished
 * section: its directory record and the data digest of its source tensor. Each
 * entry has a checksum, and the sections are checked again when adopted, so
 * that a machine that lost power costs time but never correctness.
 */
#ifndef ELLM_CONVERT_JOURNAL_H
#define ELLM_CONVERT_JOURNAL_H

#include "base/file.h"

typedef struct journal journal;

/* No asset of a checkpoint, should it lie in one, and no file of another output: none may be called
 * OUT.journal.partial. */
#define JOURNAL_ENDING ".journal" PARTIAL_ENDING PARTIAL_ENDING

typedef struct journal_entry {
  const uint8_t *record;   /* inside the journal's memory */
  size_t bytes;
  const uint8_t *digest;   /* 16 bytes */
} journal_entry;

/* The journal of out_path; entries of an earlier run are kept where its key is the same. */
ellm_status journal_open(const char *out_path, const uint8_t key[16], journal **out, ellm_error *err);
bool journal_has_entries(const journal *j);
/* The next entry of the earlier run, false after the last. */
bool journal_next(journal *j, journal_entry *entry);
/* The entry last given, and those after it, do not hold: forget them. */
void journal_reject(journal *j);
/* The next entry, if it is a pair of numbers (journal_add_pair) and no section. */
bool journal_next_pair(journal *j, double *a, double *b);
ellm_status journal_add_pair(journal *j, double a, double b, ellm_error *err);
ellm_status journal_add(journal *j, const uint8_t *record, size_t bytes, const uint8_t digest[16], ellm_error *err);
/* Where the journal stands, and back to there: entries after it are forgotten when the next one is added. */
size_t journal_mark(const journal *j);
ellm_status journal_rewind(journal *j, size_t mark, ellm_error *err);
void journal_close(journal *j); /* the file stays; NULL is fine */
/* Remove the file of out_path, if there is one. */
void journal_remove(const char *out_path);

#endif
