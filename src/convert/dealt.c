/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See dealt.h. Between rank 0 and any other rank, both sides pass sections in the order of the source, so no message
 * needs a tag. Per section a sender passes a head (bytes of the record, digest), the record, and then the
 * payload in pieces whose sizes both sides compute from the record.
 */
#include "convert/dealt.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "container/hash.h"
#include "container/record.h"
#include "model/team.h"

/* What one's own file has of a matrix: the record of `bytes` bytes, and where its section is. */
typedef struct section {
  uint8_t *record;
  size_t bytes;
  uint64_t at, section_bytes;
  uint8_t digest[16];
} section;

struct dealt {
  const ellm_compress_team *team;
  const tensor_source *input;
  size_t n;
  uint32_t *owner;    /* [n] */
  section *sections;  /* [n]: of one's own matrices, when they are done */
};

enum { HEAD = 20 }; /* before a section on its way: bytes of its record, digest */

static uint32_t share_of(const ellm_compress_team *team, uint32_t rank) {
  return team->shares != NULL ? team->shares[rank] : 1;
}

ellm_status dealt_check_team(const ellm_compress_team *team, ellm_error *err) {
  ELLM_TRY(team_check_ranks(team->rank, team->n_ranks, team->shares, err));
  return team->pass != NULL ? ELLM_OK : ellm_fail(err, ELLM_ERR_USAGE, "a team that compresses needs a pass");
}

/* Each matrix goes to the rank that would finish it first (of equals, the lowest). All ranks compute this from the same
 * numbers in the same order, so they agree without asking each other. */
static ellm_status deal_out(dealt *d, const bool *matrix, ellm_error *err) {
  const ellm_compress_team *team = d->team;
  uint64_t *bytes = calloc(team->n_ranks, sizeof *bytes);
  if (bytes == NULL) return ellm_fail_memory(err, team->n_ranks * sizeof *bytes, "ranks");
  for (size_t i = 0; i < d->n; i++) {
    const uint64_t more = source_at(d->input, i)->bytes;
    uint32_t best = 0;
    d->owner[i] = DEALT_NOBODY;
    if (!matrix[i]) continue;
    for (uint32_t r = 1; r < team->n_ranks; r++)
      if ((double)(bytes[r] + more) / share_of(team, r) < (double)(bytes[best] + more) / share_of(team, best)) best = r;
    bytes[best] += more;
    d->owner[i] = best;
  }
  free(bytes);
  return ELLM_OK;
}

ellm_status dealt_open(const ellm_compress_team *team, const tensor_source *input, const bool *matrix, dealt **out,
                       ellm_error *err) {
  *out = NULL;
  dealt *d = calloc(1, sizeof *d);
  if (d == NULL) return ellm_fail_memory(err, sizeof *d, "matrices");
  *d = (dealt){.team = team, .input = input, .n = source_count(input)};
  d->owner = calloc(d->n + 1, sizeof *d->owner);
  d->sections = calloc(d->n + 1, sizeof *d->sections);
  ellm_status status = d->owner != NULL && d->sections != NULL ? deal_out(d, matrix, err)
                                                               : ellm_fail_memory(err, d->n * sizeof *d->sections, "matrices");
  if (status == ELLM_OK) *out = d;
  else dealt_close(d);
  return status;
}

void dealt_close(dealt *d) {
  if (d == NULL) return;
  for (size_t i = 0; d->sections != NULL && i < d->n; i++) free(d->sections[i].record);
  free(d->sections);
  free(d->owner);
  free(d);
}

uint32_t dealt_owner(const dealt *d, size_t index) { return d->owner[index]; }
bool dealt_is_own(const dealt *d, size_t index) { return d->owner[index] == d->team->rank; }

uint64_t dealt_own_bytes(const dealt *d) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < d->n; i++) bytes += dealt_is_own(d, i) ? source_at(d->input, i)->bytes : 0;
  return bytes;
}

/* ------------------------------------------------------------------------------------ keys */

static ellm_status pass(const dealt *d, uint32_t from, uint32_t to, void *data, size_t bytes, ellm_error *err) {
  return d->team->pass(d->team->user, from, to, data, bytes, err);
}

ellm_status dealt_compare(const dealt *d, const uint8_t key[16], ellm_error *err) {
  uint8_t other[16];
  memcpy(other, key, sizeof other);
  if (d->team->rank != 0) {
    ELLM_TRY(pass(d, d->team->rank, 0, other, sizeof other, err));
    return pass(d, 0, d->team->rank, other, sizeof other, err); /* rank 0 agrees */
  }
  for (uint32_t r = 1; r < d->team->n_ranks; r++) {
    ELLM_TRY(pass(d, r, 0, other, sizeof other, err));
    if (memcmp(other, key, sizeof other) != 0)
      return ellm_fail(err, ELLM_ERR_INPUT, "%s: rank %u compresses another source, or in another way, than rank 0",
                       source_path(d->input), (unsigned)r);
  }
  for (uint32_t r = 1; r < d->team->n_ranks; r++) ELLM_TRY(pass(d, 0, r, other, sizeof other, err));
  return ELLM_OK;
}

void dealt_key(const dealt *d, const uint8_t key[16], uint8_t out[16]) {
  uint8_t text[16 + 4 + 4 * ELLM_TEAM_MOST];
  memcpy(text, key, 16);
  store_u32(text + 16, d->team->n_ranks);
  for (uint32_t r = 0; r < d->team->n_ranks; r++) store_u32(text + 20 + 4 * r, share_of(d->team, r));
  hash128(text, 20 + 4 * (size_t)d->team->n_ranks, out);
}

/* -------------------------------------------------------------------------------- sections */

ellm_status dealt_remember(dealt *d, size_t index, const container_writer *from, const uint8_t digest[16],
                           ellm_error *err) {
  size_t bytes;
  const uint8_t *record = container_writer_last_record(from, &bytes);
  section *s = &d->sections[index];
  s->record = malloc(bytes);
  if (s->record == NULL) return ellm_fail_memory(err, bytes, "a directory record");
  memcpy(s->record, record, bytes);
  s->bytes = bytes;
  container_writer_last_place(from, &s->at, &s->section_bytes);
  memcpy(s->digest, digest, sizeof s->digest);
  return ELLM_OK;
}

/* Where a section is read from, piece by piece: a file of this process, or another process. */
typedef struct origin {
  const dealt *d;
  uint32_t rank;
  container_writer *own;
  uint64_t at;
} origin;

static ellm_status fill_own(void *user, void *data, size_t bytes, ellm_error *err) {
  origin *from = user;
  from->at += bytes;
  return container_writer_read(from->own, from->at - bytes, data, bytes, err);
}

static ellm_status fill_from_other(void *user, void *data, size_t bytes, ellm_error *err) {
  const origin *from = user;
  return pass(from->d, from->rank, 0, data, bytes, err);
}

static ellm_status hand_over(const dealt *d, const section *s, container_writer *from, uint8_t *piece, ellm_error *err) {
  uint8_t head[HEAD];
  const uint32_t rank = d->team->rank;
  origin own = {.own = from, .at = s->at};
  store_u32(head, (uint32_t)s->bytes);
  memcpy(head + 4, s->digest, sizeof s->digest);
  ELLM_TRY(pass(d, rank, 0, head, sizeof head, err));
  ELLM_TRY(pass(d, rank, 0, s->record, s->bytes, err));
  for (uint64_t left = s->section_bytes; left > 0;) {
    const size_t n = left < CONTAINER_PIECE ? (size_t)left : CONTAINER_PIECE;
    ELLM_TRY(fill_own(&own, piece, n, err));
    ELLM_TRY(pass(d, rank, 0, piece, n, err));
    left -= n;
  }
  return ELLM_OK;
}

ellm_status dealt_hand_over(const dealt *d, container_writer *from, ellm_error *err) {
  uint8_t done, *piece = malloc(CONTAINER_PIECE);
  if (piece == NULL) return ellm_fail_memory(err, CONTAINER_PIECE, "a section");
  ellm_status status = ELLM_OK;
  for (size_t i = 0; i < d->n && status == ELLM_OK; i++)
    if (dealt_is_own(d, i)) status = hand_over(d, &d->sections[i], from, piece, err);
  free(piece);
  return status == ELLM_OK ? pass(d, 0, d->team->rank, &done, 1, err) : status;
}

/* From another process. */
static ellm_status take_from(const dealt *d, uint32_t rank, const source_tensor *source, container_writer *to,
                             uint8_t digest[16], container_tensor *tensor, ellm_error *err) {
  uint8_t head[HEAD];
  origin from = {.d = d, .rank = rank};
  ELLM_TRY(pass(d, rank, 0, head, sizeof head, err));
  const size_t bytes = load_u32(head);
  memcpy(digest, head + 4, 16);
  if (bytes < FORMAT_RECORD_FIXED || bytes > FORMAT_RECORD_MAX)
    return ellm_fail(err, ELLM_ERR_INPUT, "tensor %s: rank %u gives a record of %zu bytes", source->name, (unsigned)rank,
                     bytes);
  uint8_t *record = malloc(bytes);
  if (record == NULL) return ellm_fail_memory(err, bytes, "a directory record");
  ellm_status status = pass(d, rank, 0, record, bytes, err);
  if (status == ELLM_OK) status = container_writer_take(to, record, bytes, fill_from_other, &from, tensor, err);
  free(record);
  return status;
}

ellm_status dealt_take(const dealt *d, size_t index, container_writer *own, container_writer *to, uint8_t digest[16],
                       container_tensor *tensor, ellm_error *err) {
  const source_tensor *source = source_at(d->input, index);
  const section *s = &d->sections[index];
  if (dealt_is_own(d, index)) {
    origin from = {.own = own, .at = s->at};
    memcpy(digest, s->digest, 16);
    ELLM_TRY(container_writer_take(to, s->record, s->bytes, fill_own, &from, tensor, err));
  } else {
    ELLM_TRY(take_from(d, d->owner[index], source, to, digest, tensor, err));
  }
  if (strcmp(tensor->name, source->name) == 0) return ELLM_OK;
  return ellm_fail(err, ELLM_ERR_INPUT, "tensor %s: rank %u gives %s instead", source->name, (unsigned)d->owner[index],
                   tensor->name);
}

/* The byte that dealt_hand_over waits for. Until it comes, the sender's file is the only copy on a disk. A rank that
 * left earlier would delete it, and a failure of rank 0 would cost all of that rank's work. */
ellm_status dealt_release(const dealt *d, ellm_error *err) {
  uint8_t done = 1;
  for (uint32_t r = 1; r < d->team->n_ranks; r++) ELLM_TRY(pass(d, 0, r, &done, 1, err));
  return ELLM_OK;
}
