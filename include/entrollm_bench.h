/* SPDX-License-Identifier: Apache-2.0 */
/* The part of entrollm.h for measuring. entrollm.h includes it, and the rules at the top of entrollm.h apply here. */
#ifndef ENTROLLM_BENCH_H
#define ENTROLLM_BENCH_H
#ifndef ENTROLLM_H
#error "include entrollm.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How fast this machine works through coded weights, and where a model spends its time. The program's `bench` is made
 * of these functions. A speed is the median of several repetitions, with the least and the most.
 */
typedef struct ellm_bench_speed { double median, least, most; } ellm_bench_speed;
enum { ELLM_BENCH_REPEATS = 31, ELLM_BENCH_TOKENS = 4096 }; /* at most */

/* A coded matrix for measurements. It may be used by several threads at once. */
typedef struct ellm_bench_matrix ellm_bench_matrix;
typedef struct ellm_bench_matrix_options {
  size_t size;         /* set by ellm_bench_matrix_options_init */
  double step;         /* step of the codes, in standard deviations of normally distributed weights */
  int bits;            /* bits of a code, 2..8; codes that do not fit are clipped */
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
  double entropy;      /* of single codes, in bits per weight */
  double coded_bits;   /* of the blocks, in bits per weight */
  uint64_t weights, coded_bytes;
} ellm_bench_matrix_info;
/* Owned by the matrix. */
ELLM_API const ellm_bench_matrix_info *ellm_bench_matrix_get_info(const ellm_bench_matrix *matrix);

typedef enum ellm_bench_op {
  ELLM_BENCH_READ = 0,    /* sum the bytes with one loop; ellm_bench_read finds the fastest loop */
  ELLM_BENCH_DECODE = 1,  /* decode blocks to codes */
  ELLM_BENCH_DOT = 2,     /* decode, and multiply by one token */
  ELLM_BENCH_MULTIPLY = 3 /* decode, then multiply by many tokens */
} ellm_bench_op;
typedef struct ellm_bench_job {
  size_t size;         /* set by ellm_bench_job_init */
  ellm_bench_op op;
  const char *isa;     /* instruction set; NULL: the best */
  int threads;         /* 0: all */
  int digits;          /* of activations, 1 (i8) or 2 (i16); DOT and MULTIPLY */
  uint32_t tokens;     /* 1..ELLM_BENCH_TOKENS; MULTIPLY */
  bool cached;         /* only the first blocks, again and again: 128 Ki codes per thread */
  uint64_t max_blocks; /* blocks in a pass, for kernels that would take too long with all of them; 0: all */
  int repeats;         /* 1..ELLM_BENCH_REPEATS, after one to warm up */
} ellm_bench_job;
/* READ, the best instruction set, all threads, 2 digits, 128 tokens, 5 repeats. */
ELLM_INIT(ellm_bench_job)
/* The speed in G (10^9) weights per second, all threads together. Multiplied by bits / 8 it is GB per second;
 * multiplied by tokens it is G products per second. Runs on threads of its own. ELLM_ERR_INPUT if a block is
 * damaged. */
ELLM_API ellm_status ellm_bench_kernel(const ellm_bench_matrix *matrix, const ellm_bench_job *job,
                                       ellm_bench_speed *speed, ellm_error *err);

/*
 * How much memory can deliver. Several loops read the same bytes in turns: plain ones, some with prefetches at several
 * distances, some with several streams per thread, and the product of plain codes; each in pages of 4 KiB and in huge
 * pages. The fastest loop counts.
 */
typedef struct ellm_bench_read_options {
  size_t size;         /* set by ellm_bench_read_options_init */
  uint64_t bytes;      /* all threads together; rounded up to 1 MiB */
  int threads;         /* 0: all */
  int repeats;         /* 1..ELLM_BENCH_REPEATS, for the loops that are fastest in a first pass */
  bool cached;         /* 128 KiB per thread, again and again, whatever `bytes` says */
} ellm_bench_read_options;
ELLM_INIT(ellm_bench_read_options) /* 256 MiB, all threads, 5 repeats */

typedef struct ellm_bench_ceiling {
  ellm_bench_speed speed; /* GB (10^9 bytes) per second, all threads together */
  const char *loop;       /* "prefetch 2 KiB ahead", ...; static */
  bool huge_pages;
  uint64_t reserved[4];
} ellm_bench_ceiling;
/* Takes about a second. Runs on threads of its own. */
ELLM_API ellm_status ellm_bench_read(const ellm_bench_read_options *options, ellm_bench_ceiling *ceiling,
                                     ellm_error *err);

/* Decode all blocks of a file again and again. *speed is in G weights per second; *weights (may be NULL) is the number
 * of weights. All checksums are verified first. `progress` (may be NULL) is called between repetitions and can stop
 * it. */
ELLM_API ellm_status ellm_bench_decode(const ellm_file *file, int threads, int repeats, ellm_progress_fn progress,
                                       void *progress_user, ellm_bench_speed *speed, uint64_t *weights,
                                       ellm_error *err);

/*
 * Files as large as a model whose weights are not available: a configuration, and random weights whose entropies are
 * about those of trained weights. The weights are made while they are read and are never stored. Such a file runs as
 * fast as the model would, but its text means nothing.
 */
typedef struct ellm_bench_shape {
  size_t size;         /* set by ellm_bench_shape_init */
  const char *name;    /* name of a published shape; with `config`: what errors call it */
  const void *config;  /* the text of a config.json; NULL: that of the published shape */
  size_t config_bytes;
  uint32_t layers;     /* number of layers; 0: as in the configuration */
  uint64_t seed;       /* the same seed gives the same weights everywhere */
} ellm_bench_shape;
ELLM_INIT(ellm_bench_shape) /* seed 1, else NULL and 0 */
ELLM_API const char *ellm_bench_shape_name(size_t index);     /* names of the published shapes, static; NULL: no more */
/* Like ellm_compress, with BF16 weights of the shape as source. ELLM_ERR_USAGE if the name is unknown, or if there is a
 * target: that needs a model that can be run. */
ELLM_API ellm_status ellm_bench_compress(const ellm_bench_shape *shape, const char *out_path,
                                         const ellm_compress_options *options, ellm_report **report, ellm_error *err);

/*
 * Which way of compressing suits a machine: how many tokens per second a model generates if it is coded for size, for
 * balance, for speed, or not coded at all. The products of some layers are computed as in generation, in turns for all
 * codes. One thread is also measured with all its data in the cache, which shows how fast decoding can be. A machine
 * that is not at hand is modelled: the cycles come from the tables of its class, which `compress` uses to choose for
 * speed.
 */
typedef struct ellm_bench_advise_options {
  size_t size;            /* set by ellm_bench_advise_options_init */
  const char *model;      /* a .ellm file: its own codes; a folder or a GGUF file: codes by the paper's method */
  const ellm_bench_shape *shape; /* if there is no model; NULL: the published shape "smollm-1.7b" */
  int bits;               /* width of the codes, 2..8, if the model is not quantized; 0: 4, 5, 6 and 8 */
  int threads;            /* the most threads; 1, 2, 4, ... and this number are measured; 0: all */
  int digits;             /* of activations, 1 (i8) or 2 (i16) */
  double gbytes_per_s;    /* above 0: model a machine that reads this many GB per second */
  int cores;              /* cores, clock and class of the modelled machine */
  double ghz;
  ellm_machine machine;
  ellm_progress_fn progress; /* may be NULL */
  void *progress_user;
} ellm_bench_advise_options;
ELLM_INIT(ellm_bench_advise_options) /* this machine, 2 digits, else 0 */

typedef struct ellm_bench_advice_speed {
  int threads;
  double read;         /* the most GB/s that this number of threads reads */
  double memory;       /* tokens/s that memory allows */
  double decoding;     /* tokens/s that decoding and multiplying allow if nothing waits for memory */
  double tokens_per_s; /* tokens/s that both together give */
} ellm_bench_advice_speed;

typedef struct ellm_bench_advice_row {
  const char *code;      /* "file" (as it is), "size", "balanced", "speed", "plain" (no code); static */
  int bits;              /* width of the codes; 0: as in the file */
  double entropy;        /* of the codes, in bits per weight */
  double bits_a_weight;  /* as stored */
  double weight_error;   /* root mean square, relative to that of the weights; negative: unknown */
  double file_bytes, token_bytes; /* bytes of the whole file, and bytes read per token; both approximate */
  double gweights_per_s; /* 10^9 weights per second that a thread decodes and multiplies, from its cache */
  double break_even;     /* below this many GB/s, all threads together, it beats plain codes of its width. 0 for
                          * plain codes themselves; infinity: always faster */
  const ellm_bench_advice_speed *speeds; /* [n_threads] */
} ellm_bench_advice_row;

typedef struct ellm_bench_advice {
  bool measured;         /* false: modelled */
  const char *isa;       /* instruction set, or class of machine: "avx512", "avx2", "neon"; static */
  ellm_machine machine;  /* the class of the modelled machine, or of this one */
  double weights, token_weights; /* weights of all matrices, and weights that one token multiplies */
  const char *read_loop; /* the loop that read the most with all threads; static, "" if nothing was measured */
  bool huge_pages;       /* whether that loop read from huge pages */
  size_t n_threads, n_rows;
  const ellm_bench_advice_row *rows; /* by width; for each width: as it is, for size, balanced, for speed, plain */
} ellm_bench_advice;
/* Takes some seconds. ELLM_ERR_USAGE if the class of machine or the shape is unknown, or if the file has no quantized
 * weights. */
ELLM_API ellm_status ellm_bench_advise(const ellm_bench_advise_options *options, ellm_bench_advice **advice,
                                       ellm_error *err);
ELLM_API void ellm_bench_advice_free(ellm_bench_advice *advice);

/* The seconds that this model has spent in matrix products so far. */
ELLM_API double ellm_bench_product_seconds(const ellm_model *model);

#ifdef __cplusplus
}
#endif
#endif
