/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See prompts.h. A file is IDENTITY-ACTIVATIONS-CACHE-HASH.ellmkv: the model's
 * identity, the numbers of its activations and of its cache type, which prompt
 * caches are bound to as well, and a hash of the ids. The library writes it whole
 * or not at all, and checks all of it before it is used, so that names only have
 * to keep files apart.
 *
 * Invariants, between calls:
 *  1. Files are in `files` in the order of use, the longest unused first. Those of
 *     other models count for room and may go for it; they are not looked into.
 *  2. `ids` of a file are those that it is known to begin with. A sequence that a
 *     file begins with is covered by it and not written.
 *  3. A file that covers a newer sequence never goes for an older one: so writing
 *     comes to an end, however little room there is.
 */
#include "serve/prompts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "program/buffer.h"
#include "program/failure.h"

enum {
  LEAST = 32,            /* positions that are worth a file */
  NAME_BYTES = 96,
  LEFTOVER_SECONDS = 600 /* an unfinished file that is older is nobody's */
};

static const char ending[] = ".ellmkv", unfinished[] = ".ellmkv.partial";

typedef struct prompt_file {
  char name[NAME_BYTES];
  uint64_t bytes;
  struct timespec used;
  uint32_t *ids;         /* [n]; NULL: not known */
  size_t n;
  bool needed;           /* by a newer sequence, while room is made */
} prompt_file;

struct prompts {
  const serve_options *options;
  ellm_model *model;
  ellm_generator *generator;
  char prefix[NAME_BYTES / 2]; /* of the names of files for this model */
  prompt_file *files;
  size_t n_files, room;
  double position_bytes; /* of the files that were seen, the most; 0: none was */
  size_t too_long;       /* sequences of so many positions have no room */
  bool broken;           /* nothing can be written */
};

static void note(const prompts *p, const char *line) {
  if (p->options->note) p->options->note(line);
}

static char *path_of(const prompts *p, const char *name) {
  prog_buffer path = {0};
  if (prog_print(&path, "%s/%s", p->options->prompt_folder, name)) return path.data;
  prog_buffer_free(&path);
  return NULL;
}

/* -------------------------------------------------------------------- the list */

static void forget(prompts *p, size_t i) {
  free(p->files[i].ids);
  memmove(p->files + i, p->files + i + 1, (--p->n_files - i) * sizeof *p->files);
}

static void remove_file(prompts *p, size_t i) {
  char *path = path_of(p, p->files[i].name);
  if (path) unlink(path);
  free(path);
  forget(p, i);
}

static prompt_file *add_file(prompts *p, const char *name) {
  if (p->n_files == p->room) {
    const size_t room = p->room > 0 ? 2 * p->room : 64;
    prompt_file *grown = realloc(p->files, room * sizeof *grown);
    if (!grown) return NULL;
    p->files = grown;
    p->room = room;
  }
  prompt_file *f = &p->files[p->n_files++];
  *f = (prompt_file){.n = 0};
  snprintf(f->name, sizeof f->name, "%s", name);
  return f;
}

static bool know_ids(prompts *p, prompt_file *f, const uint32_t *ids, size_t n) {
  f->ids = malloc((n + 1) * sizeof *ids);
  if (!f->ids) return false;
  memcpy(f->ids, ids, n * sizeof *ids);
  f->n = n;
  if (n > 0 && (double)f->bytes / (double)n > p->position_bytes) p->position_bytes = (double)f->bytes / (double)n;
  return true;
}

static bool begins_with(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b) {
  return n_a >= n_b && memcmp(a, b, n_b * sizeof *b) == 0;
}

static prompt_file *covers(const prompts *p, const ellm_sequence *s) {
  for (size_t i = 0; i < p->n_files; i++)
    if (p->files[i].ids &&
        begins_with(p->files[i].ids, p->files[i].n, ellm_sequence_ids(s), ellm_sequence_length(s)))
      return &p->files[i];
  return NULL;
}

/* ------------------------------------------------------------------ what is there */

static bool ends_with(const char *name, const char *end) {
  const size_t n = strlen(name), m = strlen(end);
  return n > m && strcmp(name + n - m, end) == 0;
}

/* 32 hex digits and a '-': written by a server. */
static bool of_a_model(const char *name) {
  return strlen(name) < NAME_BYTES && strspn(name, "0123456789abcdef") == 32 && name[32] == '-';
}

static int by_use(const void *a, const void *b) {
  const struct timespec *x = &((const prompt_file *)a)->used, *y = &((const prompt_file *)b)->used;
  if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
  return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

static ellm_status list_files(prompts *p, ellm_error *err) {
  const char *folder = p->options->prompt_folder;
  if (mkdir(folder, 0700) != 0 && errno != EEXIST) return prog_failure_errno(err, errno, "create the folder", folder);
  DIR *d = opendir(folder);
  if (!d) return prog_failure_errno(err, errno, "open the folder", folder);
  bool good = true;
  int code = errno = 0;
  for (const struct dirent *entry; good && code == 0 && (entry = readdir(d)) != NULL; errno = 0) {
    struct stat facts;
    if (!of_a_model(entry->d_name)) continue;
    if (fstatat(dirfd(d), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) code = errno; /* else another server has just removed it */
      continue;
    }
    if (!S_ISREG(facts.st_mode)) continue;
    if (ends_with(entry->d_name, unfinished) && time(NULL) - facts.st_mtim.tv_sec > LEFTOVER_SECONDS)
      unlinkat(dirfd(d), entry->d_name, 0); /* of a process that was killed */
    if (!ends_with(entry->d_name, ending)) continue;
    prompt_file *f = add_file(p, entry->d_name);
    good = f != NULL;
    if (!good) continue;
    f->bytes = (uint64_t)facts.st_size;
    f->used = facts.st_mtim;
  }
  if (good && code == 0) code = errno;
  closedir(d);
  if (!good) return prog_failure_memory(err, 0, "the list of prompt caches");
  if (code != 0) return prog_failure_errno(err, code, "read the folder", folder); /* the bound counts all files */
  if (access(folder, W_OK | X_OK) != 0) return prog_failure_errno(err, errno, "write into the folder", folder);
  if (p->n_files > 0) qsort(p->files, p->n_files, sizeof *p->files, by_use);
  return ELLM_OK;
}

/* One file's positions, or NULL. *full: the pool has no room for all of it, nor for more. */
static ellm_sequence *restore(prompts *p, prompt_file *f, bool *full) {
  ellm_error err;
  ellm_sequence *sequence = NULL;
  char line[sizeof err.message + 32], *path = path_of(p, f->name);
  ellm_status status = path ? ellm_sequence_create(p->model, &sequence, &err)
                            : prog_failure_memory(&err, 0, "a path");
  if (status == ELLM_OK) status = ellm_sequence_restore(sequence, path, NULL, 0, NULL, NULL, &err);
  free(path);
  const size_t n = status == ELLM_OK ? ellm_sequence_length(sequence) : 0;
  const bool known = n >= LEAST && know_ids(p, f, ellm_sequence_ids(sequence), n);
  if (n >= LEAST && !known) status = prog_failure_memory(&err, n * sizeof *f->ids, f->name);
  if (status != ELLM_OK) {
    snprintf(line, sizeof line, "%s: it is not used", err.message);
    note(p, line);
  }
  uint32_t free_positions;
  ellm_model_cache_usage(p->model, NULL, &free_positions);
  *full = free_positions == 0;
  if (known) return sequence;
  ellm_sequence_free(sequence);
  return NULL;
}

/* The newest ones first, as long as there is room; handed over in the order of use. */
static void restore_all(prompts *p) {
  ellm_error err;
  ellm_sequence *found[PROMPTS_KEPT];
  size_t n = 0;
  bool full = false;
  for (size_t i = p->n_files; i-- > 0 && n < PROMPTS_KEPT && !full;) {
    if (strncmp(p->files[i].name, p->prefix, strlen(p->prefix)) != 0) continue;
    found[n] = restore(p, &p->files[i], &full);
    if (found[n]) n++;
  }
  while (n-- > 0)
    if (ellm_generator_keep(p->generator, found[n], &err) != ELLM_OK) ellm_sequence_free(found[n]);
}

ellm_status prompts_open(const serve_options *options, ellm_model *model, ellm_generator *generator, prompts **out,
                         ellm_error *err) {
  char identity[33];
  ellm_model_info info;
  *out = NULL;
  PROG_TRY(ellm_model_identity(model, identity, NULL, NULL, err));
  prompts *p = calloc(1, sizeof *p);
  if (!p) return prog_failure_memory(err, sizeof *p, "prompt caches");
  p->options = options;
  p->model = model;
  p->generator = generator;
  p->too_long = SIZE_MAX;
  ellm_model_get_info(model, &info);
  snprintf(p->prefix, sizeof p->prefix, "%s-%d-%d-", identity, (int)info.activations, (int)info.cache_type);
  const ellm_status status = list_files(p, err);
  if (status != ELLM_OK) {
    prompts_close(p);
    return status;
  }
  restore_all(p);
  *out = p;
  return ELLM_OK;
}

void prompts_close(prompts *p) {
  if (!p) return;
  while (p->n_files > 0) forget(p, p->n_files - 1);
  free(p->files);
  free(p);
}

/* --------------------------------------------------------------------- writing */

static void stop_writing(prompts *p, const ellm_error *err) {
  char line[sizeof err->message + 64];
  p->broken = true;
  snprintf(line, sizeof line, "%s: prompts are not kept any more", err->message);
  note(p, line);
}

static size_t count_kept(const prompts *p) {
  size_t n = 0;
  while (ellm_generator_kept(p->generator, n)) n++;
  return n;
}

/* Is there a file for it, or need there be none: it is short, or the beginning of another one? */
static bool settled(const prompts *p, size_t index, size_t n_kept) {
  const ellm_sequence *s = ellm_generator_kept(p->generator, index);
  const size_t n = ellm_sequence_length(s);
  if (n < LEAST || n >= p->too_long || covers(p, s)) return true;
  for (size_t i = 0; i < n_kept; i++) {
    const ellm_sequence *other = ellm_generator_kept(p->generator, i);
    const size_t m = ellm_sequence_length(other);
    if (i != index && (m > n || (m == n && i > index)) &&
        begins_with(ellm_sequence_ids(other), m, ellm_sequence_ids(s), n))
      return true;
  }
  return false;
}

/* Let the longest unused files go until there are `bytes` of room, but none that newer sequences need. */
static bool make_room(prompts *p, uint64_t bytes) {
  for (;;) {
    uint64_t total = 0;
    size_t known = 0, oldest = SIZE_MAX;
    for (size_t i = p->n_files; i-- > 0;) {
      total += p->files[i].bytes;
      known += p->files[i].ids != NULL;
      if (!p->files[i].needed) oldest = i;
    }
    if (total + bytes <= p->options->prompt_bytes && known < PROMPTS_MOST) return true;
    if (oldest == SIZE_MAX) return false;
    remove_file(p, oldest);
  }
}

/* FNV-1a. */
static uint64_t hash(const uint32_t *ids, size_t n) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < n; i++)
    for (int shift = 0; shift < 32; shift += 8) h = (h ^ (ids[i] >> shift & 255)) * 0x100000001b3u;
  return h;
}

/* What a new file begins with needs no file of its own. */
static void remove_beginnings(prompts *p, const uint32_t *ids, size_t n) {
  for (size_t i = p->n_files; i-- > 0;)
    if (p->files[i].ids && begins_with(ids, n, p->files[i].ids, p->files[i].n)) remove_file(p, i);
}

static ellm_status write_file(prompts *p, const ellm_sequence *s, ellm_error *err) {
  char name[NAME_BYTES];
  struct stat facts;
  const uint32_t *ids = ellm_sequence_ids(s);
  const size_t n = ellm_sequence_length(s);
  snprintf(name, sizeof name, "%s%016" PRIx64 "%s", p->prefix, hash(ids, n), ending);
  char *path = path_of(p, name);
  if (!path) return prog_failure_memory(err, 0, "a path");
  ellm_status status = ellm_sequence_save(s, path, NULL, NULL, err);
  if (status == ELLM_OK && stat(path, &facts) != 0) status = prog_failure_errno(err, errno, "look at", path);
  if (status == ELLM_OK) {
    for (size_t i = p->n_files; i-- > 0;) /* one of the name was there, and not of use */
      if (strcmp(p->files[i].name, name) == 0) forget(p, i);
    remove_beginnings(p, ids, n);
    prompt_file *f = add_file(p, name);
    if (f) f->bytes = (uint64_t)facts.st_size;
    if (!f || !know_ids(p, f, ids, n)) status = prog_failure_memory(err, n * sizeof *ids, "the ids of a prompt");
  }
  if (status == ELLM_OK && (uint64_t)facts.st_size > p->options->prompt_bytes) { /* the first: its size was not known */
    remove_file(p, p->n_files - 1);
    p->too_long = n;
  }
  free(path);
  return status;
}

/* Which files are used, in the order of the sequences that they cover: in the list, and in their times for the next
 * run. */
static void write_order(prompts *p) {
  struct timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};
  const size_t n_kept = count_kept(p);
  clock_gettime(CLOCK_REALTIME, &times[1]);
  for (size_t i = 0; i < n_kept; i++) {
    prompt_file *f = covers(p, ellm_generator_kept(p->generator, i));
    if (!f) continue;
    prompt_file moved = *f;
    times[1].tv_sec += times[1].tv_nsec >= 999999000;
    times[1].tv_nsec = times[1].tv_nsec >= 999999000 ? 0 : times[1].tv_nsec + 1000;
    char *path = path_of(p, moved.name);
    if (path) utimensat(AT_FDCWD, path, times, 0);
    free(path);
    memmove(f, f + 1, (size_t)(p->files + p->n_files - f - 1) * sizeof *f);
    p->files[p->n_files - 1] = moved;
  }
}

bool prompts_save_next(prompts *p) {
  ellm_error err;
  const size_t n_kept = count_kept(p);
  size_t i = n_kept;
  if (p->broken) return false;
  for (size_t k = 0; k < p->n_files; k++) p->files[k].needed = false;
  while (i-- > 0) {
    if (!settled(p, i, n_kept)) break;
    prompt_file *f = covers(p, ellm_generator_kept(p->generator, i));
    if (f) f->needed = true;
  }
  const ellm_sequence *s = i < n_kept ? ellm_generator_kept(p->generator, i) : NULL;
  const double expected = s ? p->position_bytes * ellm_sequence_length(s) : 0;
  if (!s || !make_room(p, (uint64_t)expected)) {
    write_order(p);
    return false;
  }
  if (write_file(p, s, &err) == ELLM_OK) return true;
  stop_writing(p, &err);
  return false;
}
