/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of the kernels as a Markdown table: reading, decoding and decoding with
 * product, for normally distributed codes at the entropies of the usual widths,
 * by layout, instruction set, threads and where the blocks lie.
 *
 *   bench_kernels [-n MEGACODES] [-t THREADS] [-r REPEATS] [-i ISA] [-o read|decode|dot] [-s ram|cache]
 *
 * -n: codes in memory, in 2^20 (128); -t: most threads (all); the scalar set only when asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/speed.h"

typedef struct source { double step; int bits; } source; /* entropies 1.4, 2.2, 3.0, 4.0, 5.5 */
static const source sources[] = {{1.77, 4}, {0.95, 5}, {0.52, 6}, {0.26, 7}, {0.09, 8}};
enum { N_SOURCES = sizeof sources / sizeof sources[0] };

typedef struct layout { const char *name; ellm_prefer prefer; ellm_code code; } layout;
static const layout layouts[] = {
  {"speed", ELLM_PREFER_SPEED, ELLM_CODE_HUFFMAN}, {"size", ELLM_PREFER_SIZE, ELLM_CODE_HUFFMAN},
  {"none", ELLM_PREFER_SPEED, ELLM_CODE_NONE},
};

static const char *const op_names[] = {"read", "decode", "dot"};

typedef struct options { size_t codes; int threads, repeats; const char *isa, *op, *where; } options;

static bool measure_row(const options *o, const kernel_coded *coded, const kernel_table *table, kernel_op op,
                        unsigned digits, bool cached, int threads, const char *prefer) {
  const kernel_speed_job job = {.coded = coded, .table = table, .op = op, .digits = digits, .cached = cached,
                                .repeats = o->repeats};
  thread_pool *pool = NULL;
  kernel_speed speed;
  ellm_error err;
  if (thread_pool_create(threads, &pool, &err) != ELLM_OK ||
      kernel_speed_measure(&job, pool, &speed, &err) != ELLM_OK) {
    fprintf(stderr, "%s\n", err.message);
    thread_pool_free(pool);
    return false;
  }
  thread_pool_free(pool);
  const char *name = op != KERNEL_DOT ? op_names[op] : digits == 1 ? "dot i8" : "dot i16";
  printf("| %s | %.2f | %s | %s | %.3f | %s | %s | %d | %.2f | %.2f | %.2f | %.2f |\n", name, coded->entropy, prefer,
         kernel_coded_layout(coded), kernel_coded_bits(coded), op == KERNEL_READ ? "-" : table->isa,
         cached ? "cache" : "ram", threads, speed.median, speed.min, speed.max,
         speed.median * kernel_coded_bits(coded) / 8);
  fflush(stdout);
  return true;
}

static bool wanted(const char *choice, const char *name) { return choice == NULL || strcmp(choice, name) == 0; }

static bool measure_coded(const options *o, const kernel_coded *coded, const char *prefer) {
  for (int op = KERNEL_READ; op <= KERNEL_DOT; op++)
    for (size_t i = 0; kernels_at(i); i++) {
      const kernel_table *table = kernels_at(i);
      if (!wanted(o->op, op_names[op]) || (op == KERNEL_READ && i > 0)) continue;
      if (op != KERNEL_READ && (o->isa ? strcmp(o->isa, table->isa) != 0 : i == 0)) continue;
      for (unsigned digits = op == KERNEL_DOT ? 1 : 2; digits <= 2; digits++)
        for (int cached = 0; cached < 2; cached++)
          for (int threads = 1; threads <= o->threads; threads = threads < o->threads ? o->threads : threads + 1)
            if (wanted(o->where, cached ? "cache" : "ram") &&
                !measure_row(o, coded, table, (kernel_op)op, digits, cached, threads, prefer))
              return false;
    }
  return true;
}

int main(int argc, char **argv) {
  options o = {.codes = (size_t)128 << 20, .threads = cpu_affinity_count(), .repeats = 7};
  for (int option; (option = getopt(argc, argv, "n:t:r:i:o:s:")) != -1;) {
    switch (option) {
      case 'n': o.codes = (size_t)strtoul(optarg, NULL, 10) << 20; break;
      case 't': o.threads = atoi(optarg); break;
      case 'r': o.repeats = atoi(optarg); break;
      case 'i': o.isa = optarg; break;
      case 'o': o.op = optarg; break;
      case 's': o.where = optarg; break;
      default: fprintf(stderr, "see the head of bench/bench_kernels.c\n"); return 2;
    }
  }
  printf("| op | entropy | prefer | layout | coded bits | isa | source | threads | G weights/s | min | max | GB/s |\n"
         "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (size_t l = 0; l < sizeof layouts / sizeof layouts[0]; l++)
    for (size_t s = 0; s < N_SOURCES; s++) {
      kernel_coded coded;
      ellm_error err;
      if (layouts[l].code == ELLM_CODE_NONE && s != 0 && s != N_SOURCES - 1) continue; /* one of 4 bits, one of 8 */
      if (kernel_coded_normal(&coded, sources[s].step, sources[s].bits, layouts[l].prefer, layouts[l].code, o.codes,
                              &err) != ELLM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
      }
      const bool good = measure_coded(&o, &coded, layouts[l].name);
      kernel_coded_free(&coded);
      if (!good) return 1;
    }
  return 0;
}
