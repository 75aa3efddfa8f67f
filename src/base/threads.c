/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads for many short parallel sections. Everything that workers
 * and the caller agree on is one word, `gate`: the number of the section, whether
 * it is open, and how many workers are in it. A worker that sees a new number
 * enters if the section is still open. The caller works as thread 0; where items
 * are dealt out it closes the section once none is left and waits for those
 * inside only, so that a worker which the system has not scheduled, or which
 * sleeps, costs nothing but its help. Waiting spins (the token loop has hundreds
 * of sections a token), then sleeps.
 */
#define _GNU_SOURCE
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

enum { MAX_THREADS = 1024, SPINS = 20000 }; /* half a millisecond or so */

/* gate: section number in the high half, then a bit, then a count. */
#define GATE_SECTION ((uint64_t)1 << 32)
#define GATE_OPEN ((uint64_t)1 << 31)
#define GATE_INSIDE (GATE_OPEN - 1)

struct thread_pool {
  int n_threads, n_started;
  int spins; /* 0 when there are fewer CPUs than threads: spinning would keep others from work */
  pthread_t *threads;
  pthread_mutex_t mutex;
  pthread_cond_t wake, done;
  _Atomic uint64_t gate;
  atomic_int still_out;   /* workers that a pool_run waits for */
  atomic_int sleepers;    /* workers asleep or about to */
  atomic_bool caller_sleeps, stop;
  pool_run_fn fn;
  void *user;
};

typedef struct worker_start {
  thread_pool *pool;
  int thread;
} worker_start;

static void cpu_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  atomic_signal_fence(memory_order_seq_cst);
#endif
}

int cpu_affinity_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
  const long online = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t holds */
  return online < 1 ? 1 : online > MAX_THREADS ? MAX_THREADS : (int)online;
}

static uint32_t section_of(uint64_t gate) { return (uint32_t)(gate / GATE_SECTION); }

/* Waits until the section's number differs from `seen` and returns it. */
static uint32_t wait_for_work(thread_pool *pool, uint32_t seen) {
  for (int i = 0; i < pool->spins; i++) {
    const uint32_t now = section_of(atomic_load_explicit(&pool->gate, memory_order_acquire));
    if (now != seen) return now;
    cpu_pause();
  }
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  uint32_t now;
  while ((now = section_of(atomic_load(&pool->gate))) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
  return now;
}

/* True when the worker is inside section number `section`, which then lasts until it leaves. */
static bool enter(thread_pool *pool, uint32_t section) {
  uint64_t gate = atomic_load(&pool->gate);
  while (section_of(gate) == section && (gate & GATE_OPEN) != 0)
    if (atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1)) return true;
  return false;
}

static void wake_caller(thread_pool *pool) {
  if (!atomic_load(&pool->caller_sleeps)) return;
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_signal(&pool->done);
  pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
  const worker_start start = *(worker_start *)argument;
  free(argument);
  thread_pool *pool = start.pool;
  uint32_t seen = 0;
  for (;;) {
    seen = wait_for_work(pool, seen);
    if (atomic_load(&pool->stop)) return NULL;
    if (!enter(pool, seen)) continue;
    pool->fn(pool->user, start.thread, pool->n_threads);
    atomic_fetch_sub(&pool->still_out, 1);
    atomic_fetch_sub(&pool->gate, 1);
    wake_caller(pool);
  }
}

/* A new section, open. The one before is closed and empty. Who goes to sleep counts itself first and looks at the gate
 * then; here the gate comes first and the count then, so that one of both sees the other. That needs a store which no
 * later load overtakes: an exchange. (A plain sequentially consistent store says so, too, but an emulator of Arm on
 * x86 was seen to hang with it.) */
static void announce(thread_pool *pool) {
  const uint64_t number = (uint64_t)(section_of(atomic_load(&pool->gate)) + 1u);
  (void)atomic_exchange(&pool->gate, number * GATE_SECTION | GATE_OPEN);
  if (atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
  }
}

/* Whether the caller may continue: nobody inside and, where all must have come, nobody still out. */
static bool finished(thread_pool *pool) {
  return atomic_load(&pool->still_out) <= 0 && (atomic_load(&pool->gate) & GATE_INSIDE) == 0;
}

static void wait_until_finished(thread_pool *pool) {
  for (int i = 0; i < pool->spins; i++) {
    if (finished(pool)) return;
    cpu_pause();
  }
  pthread_mutex_lock(&pool->mutex);
  (void)atomic_exchange(&pool->caller_sleeps, true); /* before the look at the gate: see announce */
  while (!finished(pool)) pthread_cond_wait(&pool->done, &pool->mutex);
  atomic_store(&pool->caller_sleeps, false);
  pthread_mutex_unlock(&pool->mutex);
}

/* One section: the caller's part is run here. `all`: every worker must take part. */
static void run_section(thread_pool *pool, pool_run_fn fn, void *user, bool all) {
  if (pool->n_threads == 1) {
    fn(user, 0, 1);
    return;
  }
  pool->fn = fn;
  pool->user = user;
  atomic_store(&pool->still_out, all ? pool->n_threads - 1 : 0);
  announce(pool);
  fn(user, 0, pool->n_threads);
  if (!all) atomic_fetch_and(&pool->gate, ~GATE_OPEN);
  wait_until_finished(pool);
  if (all) atomic_fetch_and(&pool->gate, ~GATE_OPEN);
}

void pool_run(thread_pool *pool, pool_run_fn fn, void *user) { run_section(pool, fn, user, true); }

typedef struct for_state {
  atomic_size_t next;
  size_t n_items;
  pool_for_fn fn;
  void *user;
} for_state;

static void for_thread(void *user, int thread, int n_threads) {
  (void)n_threads;
  for_state *state = user;
  size_t item;
  while ((item = atomic_fetch_add_explicit(&state->next, 1, memory_order_relaxed)) < state->n_items) {
    state->fn(state->user, item, thread);
  }
}

void pool_for(thread_pool *pool, size_t n_items, pool_for_fn fn, void *user) {
  for_state state = {.n_items = n_items, .fn = fn, .user = user};
  atomic_init(&state.next, 0);
  run_section(pool, for_thread, &state, false);
}

/* Starts workers 1..n_threads-1; an errno value, -1 for no memory, 0. */
static int start_workers(thread_pool *pool) {
  for (int thread = 1; thread < pool->n_threads; thread++) {
    worker_start *start = malloc(sizeof *start);
    if (start == NULL) return -1;
    *start = (worker_start){pool, thread};
    const int code = pthread_create(&pool->threads[thread], NULL, worker_main, start);
    if (code != 0) {
      free(start);
      return code;
    }
    pool->n_started++;
  }
  return 0;
}

ellm_status thread_pool_create(int n_threads, thread_pool **out, ellm_error *err) {
  *out = NULL;
  if (n_threads == 0) n_threads = cpu_affinity_count();
  if (n_threads < 1 || n_threads > MAX_THREADS) {
    return ellm_fail(err, ELLM_ERR_USAGE, "threads: %d is not in 1..%d", n_threads, MAX_THREADS);
  }
  thread_pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return ellm_fail_memory(err, sizeof *pool, "the thread pool");
  pool->n_threads = n_threads;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pthread_cond_init(&pool->done, NULL);
  pool->spins = n_threads <= cpu_affinity_count() ? SPINS : 0;
  pool->threads = calloc((size_t)n_threads, sizeof *pool->threads);
  int code = -1;
  if (pool->threads != NULL) {
    /* Signals sent to the process are for the program's own threads. */
    sigset_t blocked, before;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    code = start_workers(pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  if (code != 0) {
    thread_pool_free(pool);
    if (code < 0) return ellm_fail_memory(err, (size_t)n_threads * sizeof *pool->threads, "the thread pool");
    return ellm_fail_errno(err, code, "start", "threads");
  }
  *out = pool;
  return ELLM_OK;
}

void thread_pool_free(thread_pool *pool) {
  if (pool == NULL) return;
  atomic_store(&pool->stop, true);
  announce(pool);
  for (int i = 1; i <= pool->n_started; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->threads);
  free(pool);
}

int thread_pool_size(const thread_pool *pool) { return pool->n_threads; }
