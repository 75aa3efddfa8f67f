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
ELLM_API void ellm_bench_matrix_options_init(ellm_bench_matrix_options *options);
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
ELLM_API void ellm_bench_job_init(ellm_bench_job *job);
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
ELLM_API void ellm_bench_read_options_init(ellm_bench_read_options *options); /* 256 MiB, all threads, 5 repeats */

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
ELLM_API void ellm_bench_shape_init(ellm_bench_shape *shape); /* nothing but seed 1 */
ELLM_API const char *ellm_bench_shape_name(size_t index);     /* of published shapes, static; NULL: no more */
/* As ellm_compress, with BF16 weights of the shape as source; a target size, which needs a model that can be run, is
 * ELLM_ERR_USAGE, and so is an unknown name. */
ELLM_API ellm_status ellm_bench_compress(const ellm_bench_shape *shape, const char *out_path,
                                         const ellm_compress_options *options, ellm_report **report, ellm_error *err);

/* Seconds that this model has spent in products of matrices so far. */
ELLM_API double ellm_bench_product_seconds(const ellm_model *model);

#ifdef __cplusplus
}
#endif
#endif
