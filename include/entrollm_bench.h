/* SPDX-License-Identifier: Apache-2.0 */
/* The part of entrollm.h that concerns measuring; entrollm.h includes it, and what it says at its top holds here. */
#ifndef ENTROLLM_BENCH_H
#define ENTROLLM_BENCH_H
#ifndef ENTROLLM_H
#error "include entrollm.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How fast this machine works through coded weights, and what of a model's time goes where. `bench` of the program is
 * made of these. A speed is the median of some repetitions, with the least and the most.
 */
typedef struct ellm_bench_speed { double median, least, most; } ellm_bench_speed;
enum { ELLM_BENCH_REPEATS = 31, ELLM_BENCH_TOKENS = 4096 }; /* at most */

/* A coded matrix to measure with; may be used by several threads at once. */
typedef struct ellm_bench_matrix ellm_bench_matrix;
typedef struct ellm_bench_matrix_options {
  size_t size;         /* set by ellm_bench_matrix_options_init */
  double step;         /* of the codes, in standard deviations of normally distributed weights */
  int bits;            /* of a code, 2..8; codes beyond are clipped */
  ellm_prefer prefer;
  ellm_code code;
  uint64_t n_codes;    /* rounded up to whole panels of 4096 columns; blocks repeat after the first 4 Mi */
  ellm_machine machine; /* for ELLM_PREFER_SPEED */
} ellm_bench_matrix_options;
/* 1 Mi codes of 8 bits, with an entropy of about 3.4. */
ELLM_INIT(ellm_bench_matrix_options)
ELLM_API ellm_status ellm_bench_matrix_create(const ellm_bench_matrix_options *options, ellm_bench_matrix **matrix,
                                              ellm_error *err);
/* A quantized tensor of a file, which must stay open. */
ELLM_API ellm_status ellm_bench_matrix_of_file(const ellm_file *file, size_t index, ellm_bench_matrix **matrix,
                                               ellm_error *err);
ELLM_API void ellm_bench_matrix_free(ellm_bench_matrix *matrix);

typedef struct ellm_bench_matrix_info {
  const char *layout;  /* "huffman", "levels", "fields", "plain8", "plain4"; static */
  double entropy;      /* of single codes, bits a weight */
  double coded_bits;   /* of the blocks, bits a weight */
  uint64_t weights, coded_bytes;
} ellm_bench_matrix_info;
/* Owned by the matrix. */
ELLM_API const ellm_bench_matrix_info *ellm_bench_matrix_get_info(const ellm_bench_matrix *matrix);

typedef enum ellm_bench_op {
  ELLM_BENCH_READ = 0,    /* the bytes, summed by one loop; ellm_bench_read looks for the fastest */
  ELLM_BENCH_DECODE = 1,  /* blocks to codes */
  ELLM_BENCH_DOT = 2,     /* decoding and product with one token */
  ELLM_BENCH_MULTIPLY = 3 /* decoding, then the product with many tokens */
} ellm_bench_op;
typedef struct ellm_bench_job {
  size_t size;         /* set by ellm_bench_job_init */
  ellm_bench_op op;
  const char *isa;     /* instruction set; NULL: the best */
  int threads;         /* 0: all */
  int digits;          /* of activations, 1 (i8) or 2 (i16); DOT and MULTIPLY */
  uint32_t tokens;     /* 1..ELLM_BENCH_TOKENS; MULTIPLY */
  bool cached;         /* only the first blocks, again and again: 128 Ki codes a thread */
  uint64_t max_blocks; /* of a pass, for kernels that would take too long with all; 0: all */
  int repeats;         /* 1..ELLM_BENCH_REPEATS, after one to warm up */
} ellm_bench_job;
/* READ, the best instruction set, all threads, 2 digits, 128 tokens, 5 repeats. */
ELLM_INIT(ellm_bench_job)
/* G (10^9) weights a second of all threads together; times bits / 8, GB a second; times tokens, G products a second.
 * Runs on threads of its own. ELLM_ERR_INPUT if a block is damaged. */
ELLM_API ellm_status ellm_bench_kernel(const ellm_bench_matrix *matrix, const ellm_bench_job *job,
                                       ellm_bench_speed *speed, ellm_error *err);

/*
 * What memory gives, at most: bytes are read by several loops, plain ones, with prefetches at several distances, of
 * several streams a thread, and by the product of plain codes, in pages of 4 KiB and in huge ones, all in turns. The
 * fastest counts.
 */
typedef struct ellm_bench_read_options {
  size_t size;         /* set by ellm_bench_read_options_init */
  uint64_t bytes;      /* of all threads together; rounded up to 1 MiB */
  int threads;         /* 0: all */
  int repeats;         /* 1..ELLM_BENCH_REPEATS, of the loops that are fastest at first sight */
  bool cached;         /* 128 KiB a thread, again and again, whatever `bytes` says */
} ellm_bench_read_options;
ELLM_INIT(ellm_bench_read_options) /* 256 MiB, all threads, 5 repeats */

typedef struct ellm_bench_ceiling {
  ellm_bench_speed speed; /* GB (10^9 bytes) a second of all threads together */
  const char *loop;       /* "prefetch 2 KiB ahead", ...; static */
  bool huge_pages;
  uint64_t reserved[4];
} ellm_bench_ceiling;
/* Takes about a second. Runs on threads of its own. */
ELLM_API ellm_status ellm_bench_read(const ellm_bench_read_options *options, ellm_bench_ceiling *ceiling,
                                     ellm_error *err);

/* Decode all blocks of a file again and again: G weights a second, and how many weights there are (may be NULL). All
 * checksums are verified first. `progress` (may be NULL) is called between repetitions and can stop. */
ELLM_API ellm_status ellm_bench_decode(const ellm_file *file, int threads, int repeats, ellm_progress_fn progress,
                                       void *progress_user, ellm_bench_speed *speed, uint64_t *weights,
                                       ellm_error *err);

/*
 * Files as large as models that are at hand nowhere: a configuration, and random weights with about the entropies of
 * trained ones, which are made while they are read and lie nowhere. They run as the model would and say nothing.
 */
typedef struct ellm_bench_shape {
  size_t size;         /* set by ellm_bench_shape_init */
  const char *name;    /* of a published shape; with `config`: what errors call it */
  const void *config;  /* the text of a config.json; NULL: that of the published shape */
  size_t config_bytes;
  uint32_t layers;     /* instead of the configuration's; 0: those */
  uint64_t seed;       /* the same one gives the same weights everywhere */
} ellm_bench_shape;
ELLM_INIT(ellm_bench_shape) /* nothing but seed 1 */
ELLM_API const char *ellm_bench_shape_name(size_t index);     /* of published shapes, static; NULL: no more */
/* As ellm_compress, with BF16 weights of the shape as source; a target size, which needs a model that can be run, is
 * ELLM_ERR_USAGE, and so is an unknown name. */
ELLM_API ellm_status ellm_bench_compress(const ellm_bench_shape *shape, const char *out_path,
                                         const ellm_compress_options *options, ellm_report **report, ellm_error *err);

/*
 * Which way of compressing suits a machine: how many tokens a second a model generates when it is coded for size, for
 * balance, for speed, or not coded at all. Products of some layers of the model are made as when generating, in turns
 * for all codes; one thread is measured with everything in its cache, too, which tells what decoding allows. A machine that
 * is not at hand is modelled: cycles are those of the tables of its class, which `compress` chooses by for speed.
 */
typedef struct ellm_bench_advise_options {
  size_t size;            /* set by ellm_bench_advise_options_init */
  const char *model;      /* a .ellm file: its own codes; a folder or a GGUF file: codes by the paper's method */
  const ellm_bench_shape *shape; /* where there is no model; NULL: the published shape "smollm-1.7b" */
  int bits;               /* width of codes, 2..8, where the model is not quantized; 0: 4, 5, 6 and 8 */
  int threads;            /* at most; 1, 2, 4, ... and this many are measured; 0: all */
  int digits;             /* of activations, 1 (i8) or 2 (i16) */
  double gbytes_per_s;    /* above 0: of a machine that is not at hand, which has */
  int cores;              /* these many cores, */
  double ghz;             /* of this clock, */
  ellm_machine machine;   /* of this class */
  ellm_progress_fn progress; /* may be NULL */
  void *progress_user;
} ellm_bench_advise_options;
ELLM_INIT(ellm_bench_advise_options) /* this machine, 2 digits, else 0 */

typedef struct ellm_bench_advice_speed {
  int threads;
  double read;         /* GB/s that so many threads read, at most */
  double memory;       /* tokens/s that memory allows, */
  double decoding;     /* that decoding and multiplying allow where nothing waits for memory, */
  double tokens_per_s; /* and that both together give */
} ellm_bench_advice_speed;

typedef struct ellm_bench_advice_row {
  const char *code;      /* "file": as it is; "size", "balanced", "speed", "plain" (no code); static */
  int bits;              /* width of the codes; 0: those of the file */
  double entropy;        /* of the codes, bits a weight */
  double bits_a_weight;  /* as stored */
  double weight_error;   /* root mean square by that of the weights; negative: unknown */
  double file_bytes, token_bytes; /* of the whole file, and what a token reads, about */
  double gweights_per_s; /* 10^9 weights a second that a thread decodes and multiplies, from its cache */
  double break_even;     /* GB/s of all threads together below which it is faster than plain codes of its width; 0: plain
                          * codes themselves, infinity: always */
  const ellm_bench_advice_speed *speeds; /* [n_threads] */
} ellm_bench_advice_row;

typedef struct ellm_bench_advice {
  bool measured;         /* or modelled */
  const char *isa;       /* instruction set, or class of machine: "avx512", "avx2", "neon"; static */
  ellm_machine machine;  /* the class, of this machine too */
  double weights, token_weights; /* of the model's matrices, of those that a token multiplies */
  const char *read_loop; /* that read the most with all threads; static, "" where nothing was measured */
  bool huge_pages;       /* that it read from */
  size_t n_threads, n_rows;
  const ellm_bench_advice_row *rows; /* by width; in each: as it is, for size, balanced, for speed, plain */
} ellm_bench_advice;
/* Takes some seconds. ELLM_ERR_USAGE: there is no such class of machine or shape, or no quantized weights in the file. */
ELLM_API ellm_status ellm_bench_advise(const ellm_bench_advise_options *options, ellm_bench_advice **advice,
                                       ellm_error *err);
ELLM_API void ellm_bench_advice_free(ellm_bench_advice *advice);

/* Seconds that this model has spent in products of matrices so far. */
ELLM_API double ellm_bench_product_seconds(const ellm_model *model);

#ifdef __cplusplus
}
#endif
#endif
