/* SPDX-License-Identifier: Apache-2.0 */
/* See faults.h: reading what shall fail, counting, failing, and the log. */
#include "faults.h"

#include <errno.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_loss.h"

static const char *const fault_group_names[FAULT_GROUPS] = {"memory", "open", "read", "write", "sync", "name",
                                                            "map", "thread", "stat", "lock", "clock", "disk"};
static const struct { const char *name; int code; } errors[] = {
  {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN}, {"EACCES", EACCES},
  {"EMFILE", EMFILE}, {"EDQUOT", EDQUOT}, {"ENOLCK", ENOLCK}, {"EROFS", EROFS}, {"EXDEV", EXDEV},
};

enum { WHAT_ERROR, WHAT_SHORT, WHAT_LATE, WHAT_KILL, WHAT_LOSS };
static struct {
  int group; /* FAULT_GROUPS: none */
  long from;
  bool all_later;
  int what, code;
  loss_kind loss;
  int log;
  bool trace;
} plan = {.group = FAULT_GROUPS, .log = -1};
static atomic_long counts[FAULT_GROUPS];

extern const char __executable_start, etext;

/* By their real names: calls from here would be led astray, too. */
void *__real_malloc(size_t bytes);
ssize_t __real_write(int fd, const void *data, size_t bytes);
int __real_open64(const char *path, int flags, ...);

static void complain(const char *text) {
  fprintf(stderr, "entrollm-faults: %s\n", text);
  _exit(99);
}

static void read_what(const char *word) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(word, errors[i].name) == 0) {
      plan.what = WHAT_ERROR;
      plan.code = errors[i].code;
      return;
    }
  for (int i = 0; i < LOSS_KINDS; i++)
    if (strcmp(word, loss_kind_names[i]) == 0) {
      plan.what = WHAT_LOSS;
      plan.loss = (loss_kind)i;
      return;
    }
  if (strcmp(word, "short") == 0) plan.what = WHAT_SHORT;
  else if (strcmp(word, "late") == 0) plan.what = WHAT_LATE;
  else if (strcmp(word, "kill") == 0) plan.what = WHAT_KILL;
  else complain("ENTROLLM_FAULT has an unknown WHAT");
}

static void *json_malloc(size_t bytes) {
  return fault_next(FAULT_MEMORY, false, "json", __builtin_return_address(0)) == FAULT_ERROR ? NULL : __real_malloc(bytes);
}

__attribute__((constructor)) static void read_plan(void) {
  const char *log = getenv("ENTROLLM_FAULT_LOG"), *text = getenv("ENTROLLM_FAULT");
  if (log != NULL && (plan.log = __real_open64(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
    complain("ENTROLLM_FAULT_LOG cannot be opened");
  json_set_alloc_funcs(json_malloc, free);
  plan.trace = getenv("ENTROLLM_FAULT_TRACE") != NULL && plan.log >= 0;
  if (text == NULL) return;
  const char *colon = strchr(text, ':');
  char *end;
  for (int g = 0; colon != NULL && g < FAULT_GROUPS; g++)
    if (strlen(fault_group_names[g]) == (size_t)(colon - text) && memcmp(fault_group_names[g], text, (size_t)(colon - text)) == 0)
      plan.group = g;
  if (plan.group == FAULT_GROUPS) complain("ENTROLLM_FAULT has an unknown GROUP");
  plan.from = strtol(colon + 1, &end, 10);
  plan.all_later = *end == '+';
  if (plan.all_later) end++;
  if (plan.from < 1 || *end != ':') complain("ENTROLLM_FAULT is not GROUP:N:WHAT");
  read_what(end + 1);
}

bool fault_keeps(void) { return plan.what == WHAT_LOSS; }

static void put_log(const char *line, size_t bytes) {
  if (plan.log >= 0 && __real_write(plan.log, line, bytes) < 0) _exit(99);
}

/* The end of a run: the numbers, and the loss of power that comes when all is said to be done. */
__attribute__((destructor)) static void finish(void) {
  char line[512] = "calls";
  size_t used = 5;
  for (int g = 0; g < FAULT_GROUPS; g++)
    used += (size_t)snprintf(line + used, sizeof line - used, " %s %ld", fault_group_names[g], atomic_load(&counts[g]));
  line[used++] = '\n';
  put_log(line, used);
  if (plan.what == WHAT_LOSS) loss_happens(plan.loss, (unsigned)plan.from);
}

static fault_kind strike(const char *name, long n, void *caller) {
  char line[160];
  const int length = snprintf(line, sizeof line, "fault %s %ld %s 0x%lx\n", fault_group_names[plan.group], n, name,
                              (unsigned long)((const char *)caller - &__executable_start));
  if (n == plan.from) put_log(line, (size_t)length);
  if (plan.what == WHAT_LOSS) loss_happens(plan.loss, (unsigned)n);
  if (plan.what == WHAT_LOSS || plan.what == WHAT_KILL) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  errno = plan.code;
  return plan.what == WHAT_ERROR ? FAULT_ERROR : plan.what == WHAT_SHORT ? FAULT_SHORT : FAULT_LATE;
}

/* "place GROUP N HASH" in the log: HASH is the same, in all runs, for calls that came the same way through the program. */
static void trace_place(fault_group group, long n) {
#ifdef __GLIBC__
  static _Thread_local bool inside; /* the first backtrace of a thread may ask for memory */
  void *frames[48];
  char line[96];
  if (inside) return;
  inside = true;
  const int depth = backtrace(frames, sizeof frames / sizeof *frames);
  unsigned long long hash = 14695981039346656037u; /* FNV-1a */
  for (int i = 0; i < depth; i++) { /* in shared libraries, which lie elsewhere in each run: that it is there */
    const uintptr_t at = (uintptr_t)frames[i], start = (uintptr_t)&__executable_start;
    hash = (hash ^ (at >= start && at < (uintptr_t)&etext ? at - start : 0)) * 1099511628211u;
  }
  const int length = snprintf(line, sizeof line, "place %s %ld %llx\n", fault_group_names[group], n, hash);
  put_log(line, (size_t)length);
  inside = false;
#else
  (void)group, (void)n;
#endif
}

static bool comes(fault_group group, long *n) {
  *n = atomic_fetch_add(&counts[group], 1) + 1;
  if (plan.trace) trace_place(group, *n);
  return (int)group == plan.group && (*n == plan.from || (plan.all_later && *n > plan.from));
}

fault_kind fault_next(fault_group group, bool changes_disk, const char *name, void *caller) {
  long n;
  if (changes_disk && comes(FAULT_DISK, &n)) return strike(name, n, caller);
  return comes(group, &n) ? strike(name, n, caller) : FAULT_NONE;
}
