/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EntroLLM: language models that stay entropy-coded in memory.
 *
 * This is the one public header of libentrollm. It includes entrollm_bench.h (measuring), entrollm_eval.h (evaluations)
 * and entrollm_team.h (several processes). The library never prints, exits, or reads the environment. Every call that
 * can fail returns an ellm_status. If `err` is not NULL, a failed call writes one line there that names file, tensor,
 * field and value; a successful call leaves *err as it was. Handles are opaque. Texts and paths are NUL-terminated
 * unless a number of bytes is passed with them. Texts are UTF-8; paths are whatever the system accepts.
 *
 * Binary compatibility, as long as ELLM_ABI stays the same: functions are only added, and structs only grow, at their
 * end. A struct that callers fill begins with its size. Its _init function sets the size and the defaults, so always
 * call it. A program that was built earlier then passes a smaller struct, and the fields it lacks have their defaults.
 * A program that was built with a newer header is refused (ELLM_ERR_USAGE). Where such a struct is passed, NULL stands
 * for all defaults. Results that may grow are allocated by the library. Structs that the library fills in for the
 * caller end with reserved room, which is zero. Callers must not embed either kind in structs that cross a library
 * boundary of their own. Structs without size or reserved room never change: ellm_error, ellm_notes and
 * ellm_batch_item. Enumerators keep their values, but new ones may be added: give each switch a default.
 *
 * Ownership: what a function hands out through a pointer to a pointer belongs to the caller, who frees it with the
 * function named beside it, or with free() where the comment says malloc'ed. It is NULL after an error. What a function
 * returns as a const pointer belongs to the handle and lives as long as the handle. What is passed in is copied, or
 * only read during the call. Comments name the exceptions. All functions that free accept NULL.
 *
 * Errors: any function with a status may return ELLM_ERR_IO (memory is not available, or a file cannot be read or
 * written), ELLM_ERR_INPUT (a file has bad content) and ELLM_ERR_USAGE (arguments make no sense). Comments name what a
 * function returns beyond that.
 *
 * Thread safety: functions on different handles may run at the same time. A handle may be shared between threads only
 * where its declaration says so. `err` and results belong to the calling thread. docs/GLOSSARY.md explains the terms.
 */
#ifndef ENTROLLM_H
#define ENTROLLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version is defined only here: the build, the pkg-config file and the name of the shared library take it from this
 * place. ELLM_ABI is the number in libentrollm.so.N. It changes when programs built earlier would no longer run. */
#define ELLM_VERSION_MAJOR 0
#define ELLM_VERSION_MINOR 1
#define ELLM_VERSION_PATCH 0
#define ELLM_ABI 1

/* What the library exports; everything else in it is hidden. */
#if defined(__GNUC__)
#define ELLM_API __attribute__((visibility("default")))
#else
#define ELLM_API
#endif

/* ellm_X_init(&x) sets the size and the defaults of a struct that callers fill. It is inline so that the size is the
 * one in the caller's header: a newer library, whose struct may be larger, then writes no more than the caller has. */
#define ELLM_INIT(type)                                       \
  ELLM_API void type##_init_sized(type *given, size_t size);  \
  static inline void type##_init(type *given) { type##_init_sized(given, sizeof *given); }

/* The version of the library as "MAJOR.MINOR.PATCH"; static storage. */
ELLM_API const char *ellm_version(void);
/* The library's ELLM_ABI, for programs that load the library by a path and not by its name. */
ELLM_API int ellm_abi(void);

/* ----------------------------------------------------------------- machine */

/* The number of processors that this process may use, at least 1. Where a number of threads is 0, this one is used. */
ELLM_API int ellm_cpu_count(void);
/* The instruction set in use: "scalar", "avx2", "avxvnni", "avx512", "neon", ... (static). Results do not depend on
 * it. */
ELLM_API const char *ellm_isa(void);
/* The instruction sets of this machine, best first; NULL after the last one. Static. */
ELLM_API const char *ellm_isa_at(size_t index);
/* Use this instruction set from now on, in the whole process. Call it before any model is opened. Returns false and
 * changes nothing if this machine does not have the instruction set. Not thread-safe. */
ELLM_API bool ellm_isa_force(const char *name);

/* ------------------------------------------------------------------ errors */

/* All of these except FULL and EXISTS are also exit statuses of the program. */
typedef enum ellm_status {
  ELLM_OK = 0,
  ELLM_ERR_INTERNAL = 1,   /* a broken invariant: a bug */
  ELLM_ERR_USAGE = 2,      /* an option or argument that makes no sense */
  ELLM_ERR_INPUT = 3,      /* a damaged, hostile, unsupported or mismatched input */
  ELLM_ERR_IO = 4,         /* the system refused: files, disk, memory */
  ELLM_ERR_DIFFERENCE = 5, /* verification found a difference */
  ELLM_ERR_FULL = 6,       /* the pool of pages has no room now; nothing was changed; free sequences and call again */
  ELLM_ERR_EXISTS = 7,     /* the output already exists and was not to be replaced; it is as it was */
  ELLM_INTERRUPTED = 130   /* a progress callback asked to stop */
} ellm_status;

typedef struct ellm_error {
  ellm_status status;
  char message[496]; /* one line, no newline, NUL-terminated, printable */
} ellm_error;

/* Receives notes. A note reports something that is wrong but stops nothing, such as a senseless value that is not used.
 * `take` gets one printable line without a newline, valid during the call. It runs on the calling thread and must not
 * use the handle that is being made. If it is NULL, notes are dropped. */
typedef struct ellm_notes {
  void (*take)(void *user, const char *line);
  void *user;
} ellm_notes;

/* ---------------------------------------------------------------- progress */

typedef enum ellm_unit { ELLM_UNIT_BYTES, ELLM_UNIT_ITEMS, ELLM_UNIT_TOKENS, ELLM_UNIT_WEIGHTS } ellm_unit;

typedef struct ellm_progress {
  const char *stage;  /* "analyse", "encode", "verify", ...; valid during the call */
  const char *tensor; /* the tensor being processed, the running result of an evaluation, or "" */
  uint64_t done;      /* in `unit`, like `total` */
  uint64_t total;     /* 0 if unknown */
  ellm_unit unit;
} ellm_progress;

/* Called from the thread that made the library call, at most a few times per second. Returning false stops the
 * operation with ELLM_INTERRUPTED. */
typedef bool (*ellm_progress_fn)(void *user, const ellm_progress *progress);

/* ------------------------------------------------------------------- types */

typedef enum ellm_dtype { /* element types of safetensors; these numbers are stored in files */
  ELLM_F32 = 0, ELLM_F16 = 1, ELLM_BF16 = 2, ELLM_F64 = 3,
  ELLM_I8 = 4, ELLM_U8 = 5, ELLM_I16 = 6, ELLM_U16 = 7, ELLM_I32 = 8, ELLM_U32 = 9,
  ELLM_I64 = 10, ELLM_U64 = 11, ELLM_BOOL = 12, ELLM_F8_E4M3 = 13, ELLM_F8_E5M2 = 14
} ellm_dtype;

ELLM_API const char *ellm_dtype_name(ellm_dtype dtype);  /* "F32", "BF16", ...; "?" if unknown */
ELLM_API size_t ellm_dtype_size(ellm_dtype dtype);       /* bytes per element; 0 if unknown */

typedef enum ellm_scheme { ELLM_SCHEME_MIXED = 0, ELLM_SCHEME_SYMMETRIC = 1, ELLM_SCHEME_ASYMMETRIC = 2 } ellm_scheme;
ELLM_API const char *ellm_scheme_name(ellm_scheme scheme); /* "mixed", ...; "?" if unknown */
/* How the code book of a matrix is chosen. SIZE: the one with the fewest bits. BALANCED: among the books that are at
 * most a few percent larger than that, the fastest one on a processor with AVX-512. SPEED: the one that takes the least
 * time on a class of machines, counting the bits that are read and the cycles that decoding takes. */
typedef enum ellm_prefer { ELLM_PREFER_BALANCED = 0, ELLM_PREFER_SIZE = 1, ELLM_PREFER_SPEED = 2 } ellm_prefer;
/* The class of machine for ELLM_PREFER_SPEED. Every machine can read the result. */
typedef enum ellm_machine { ELLM_MACHINE_AVX2 = 0, ELLM_MACHINE_AVX512 = 1, ELLM_MACHINE_NEON = 2 } ellm_machine;
/* HUFFMAN: any code book. NONE: plain codes. FIELDS: all codes of a matrix have fields of one width, and codes that do
 * not fit have exact patches. The width is the smallest of 2 to 6 bits for which at most one code in 200 needs a patch.
 * If there is none, the codes are plain. */
typedef enum ellm_code { ELLM_CODE_HUFFMAN = 0, ELLM_CODE_NONE = 1, ELLM_CODE_FIELDS = 2 } ellm_code;
/* How a model is quantized. NONE: by the paper's method (bits, scheme). The others aim at target_value. BYTES: the size
 * of the whole file. BITS: bits per weight, counting everything that belongs to quantized matrices. DIVERGENCE: the
 * smallest file whose mean divergence from the source is at most this many nats per token, on text that the model wrote
 * and that was used for nothing else. */
typedef enum ellm_target {
  ELLM_TARGET_NONE = 0, ELLM_TARGET_BYTES = 1, ELLM_TARGET_BITS = 2, ELLM_TARGET_DIVERGENCE = 3
} ellm_target;
/* What calibration measures about the inputs of matrices. QUICK: their mean squares. FULL: their second moments, which
 * allow later columns to compensate for the rounding error of a column (error feedback). AUTO: FULL below a billion
 * weights, else QUICK. */
typedef enum ellm_effort { ELLM_EFFORT_AUTO = 0, ELLM_EFFORT_QUICK = 1, ELLM_EFFORT_FULL = 2 } ellm_effort;
/* The text for calibration. SELF: the model writes it. FILE: the caller names a file. NONE: there is no text, and only
 * rows have scales. AUTO: SELF if that is possible, else NONE with a note. */
typedef enum ellm_calibrate {
  ELLM_CALIBRATE_AUTO = 0, ELLM_CALIBRATE_SELF = 1, ELLM_CALIBRATE_FILE = 2, ELLM_CALIBRATE_NONE = 3
} ellm_calibrate;
/* How activations are represented when they are multiplied by coded weights. F32: floats. I8 and I16: integers of one
 * or two 8-bit digits, with a scale for each group. Both are faster than F32, and I16 loses next to nothing. Folders,
 * and files that were compressed without loss, run with F32 only. AUTO: F32 for these, and for other .ellm files what
 * ellm_quality_activations returns. With I8, the product that gives the logits still has two digits. */
typedef enum ellm_activations {
  ELLM_ACTIVATIONS_AUTO = 0, ELLM_ACTIVATIONS_F32 = 1, ELLM_ACTIVATIONS_I8 = 2, ELLM_ACTIVATIONS_I16 = 3
} ellm_activations;

enum { ELLM_MAX_DIMS = 8 };

/* A description of one tensor of a model. Strings live as long as the object that the description came from. */
typedef struct ellm_tensor_info {
  const char *name;
  int n_dims;
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;
  ellm_dtype dtype;     /* of the source */
  bool kept;            /* stored verbatim, not quantized; the fields below are then 0 */
  int bits;             /* code width, 2..8 */
  ellm_scheme scheme;   /* the scheme used, never MIXED */
  float step;           /* w' = (q - zero) * step * the scales of row and column; may be negative */
  int zero;
  bool row_scales, column_scales; /* each row, each column has a scale */
  uint64_t outliers;    /* codes that do not fit the width or the fields; they are stored as exact patches */
  const char *layout;   /* "huffman", "levels", "fields", "plain8", "plain4"; static */
  int raw_bits;         /* low bits of a code that are stored verbatim; for "fields", their width */
  int tuple;            /* how many codes form one symbol: 1 or 2 */
  int symbols;          /* leaves of the code book */
  double entropy;       /* of the codes, in bits per weight */
  double huffman_bits_per_weight; /* optimum of a Huffman code for single codes, without a length limit */
  uint64_t payload_bytes; /* blocks only */
  uint64_t stored_bytes;  /* everything of this tensor: blocks, tables, padding, checksums, directory entry */
  /* Coded without loss: the codes are the exponents (for F16 together with the highest bits of the fraction). The rest
   * of each element is stored as it is and is counted in entropy and huffman_bits_per_weight. scheme, step and zero
   * are 0. */
  bool exact;
  uint64_t stored_elements; /* those that the file has: all, or, of a part of a model, whole row groups */
  uint64_t reserved[6];
} ellm_tensor_info;

/* Sums over the tensors of a file. */
typedef struct ellm_totals {
  uint64_t weights;        /* quantized weights, and weights coded without loss */
  uint64_t parameters;     /* elements of all tensors */
  uint64_t file_bytes;
  uint64_t quantized_bytes;    /* sum of stored_bytes over quantized tensors */
  double entropy;              /* weighted mean over quantized tensors, in bits per weight */
  double huffman_bits_per_weight;
  double coded_bits_per_weight; /* 8 * quantized_bytes / weights: everything counted */
  uint64_t reserved[4];
} ellm_totals;

/* ---------------------------------------------------------------- compress */

typedef struct ellm_compress_team ellm_compress_team; /* processes that compress together: entrollm_team.h */

typedef struct ellm_compress_options {
  size_t size;              /* set by ellm_compress_options_init */
  int bits;                 /* 2..8 */
  ellm_scheme scheme;
  const char *const *keep;  /* globs; tensors whose full names match are stored verbatim */
  size_t n_keep;
  ellm_prefer prefer;
  ellm_code code;
  bool dry_run;             /* write nothing, only analyse; with a target: measure and plan */
  bool overwrite;           /* replace an existing output */
  bool resume;              /* keep OUT.partial when stopped, and continue from one */
  int threads;              /* 0 = all processors in the process's affinity */
  ellm_progress_fn progress; /* may be NULL */
  void *progress_user;
  /* Small files of the folder that are stored, too: configuration, tokenizer and chat templates always; licence and
   * model card unless no_assets; and files whose names match a glob of `include`. */
  const char *const *include;
  size_t n_include;
  bool no_assets;
  bool strict;              /* a model that could not be run is ELLM_ERR_INPUT before anything is written, instead of a
                               warning */
  /* These apply if there is a target; bits, scheme and code are then ignored. With ELLM_TARGET_NONE these are
   * ignored. */
  ellm_target target;
  double target_value;
  ellm_effort effort;
  ellm_calibrate calibrate;
  const char *calibrate_file;    /* UTF-8 text, for ELLM_CALIBRATE_FILE */
  size_t calibration_sequences, calibration_length; /* sequences of the text, and tokens in each; 0: 32 and 512 */
  uint64_t memory;               /* bytes that may be used, without mapped files; 0: 2.5 GB */
  /* Quantize nothing: code the matrices so that their elements come back bit for bit, including NaN and -0. A matrix
   * that would not become smaller is kept. Excludes a target; bits, scheme, prefer and code are ignored. */
  bool lossless;
  ellm_machine machine;          /* for ELLM_PREFER_SPEED */
  const char *plan;              /* a file that keeps what was measured, for other sizes of the same model; it is read
                                    if it exists, else written; NULL: none */
  ellm_notes notes;              /* receives notes before and during measuring, such as how long it will take */
  const ellm_compress_team *team; /* NULL: this process alone */
} ellm_compress_options;

ELLM_INIT(ellm_compress_options) /* the paper's method at 8 bits, mixed scheme, balanced, no target */

/* A small file of the source that a .ellm file holds: "config.json", "tokenizer.json", "LICENSE", ... */
typedef struct ellm_asset_info {
  const char *name;
  uint64_t bytes;
  uint64_t reserved[2];
} ellm_asset_info;

/* What a compression did, or would do (dry_run). Allocated by the library; free with ellm_report_free. */
typedef struct ellm_report {
  ellm_tensor_info *tensors;
  size_t n_tensors;
  ellm_totals totals;
  uint64_t source_bytes;  /* tensor bytes read from the checkpoint */
  const char **warnings;  /* [n_warnings], one line each: things that are missing or ignored */
  size_t n_warnings;
  ellm_asset_info *assets; /* stored files, sorted by name */
  size_t n_assets;
  const char *quality;    /* with a target: ellm_file_metadata "entrollm.quality"; else NULL */
  /* With a target, what the plan expects, as a JSON object; else NULL. Its fields: "file_bytes", "bits_per_weight",
   * "divergence" (nats per token; null without calibration), "memory_bytes" (to run it with 4096 positions),
   * "measure_seconds"; "tensors", each with "name", "step" (relative to the root mean square of a row), "bits" (per
   * weight) and "damage" (its share of the divergence, or of the squared error); and "curve", which has
   * "bits_per_weight" and "divergence" of other sizes, ascending, empty without calibration. The `totals` and `tensors`
   * of a dry run cover what is not quantized. */
  const char *plan;
} ellm_report;

/* Compress a Hugging Face checkpoint folder or a GGUF file into one .ellm file. The same input gives the same bytes for
 * every number of threads and every instruction set. The output appears under its name only when it is complete. Until
 * then its folder also needs room for the codes of the largest matrix, about one byte per weight. `report` may be NULL;
 * *report is NULL after an error. */
ELLM_API ellm_status ellm_compress(const char *checkpoint_dir, const char *out_path,
                                   const ellm_compress_options *options, ellm_report **report, ellm_error *err);
ELLM_API void ellm_report_free(ellm_report *report);

/* -------------------------------------------------------------- .ellm files */

typedef struct ellm_file ellm_file;

/* Map a file and check its header and directory; blocks are checked when they are first used. Nobody may write to the
 * file while it is open. Functions that read may be called from several threads at once. Free with ellm_file_close. */
ELLM_API ellm_status ellm_file_open(const char *path, ellm_file **file, ellm_error *err);
ELLM_API void ellm_file_close(ellm_file *file);

ELLM_API size_t ellm_file_tensor_count(const ellm_file *file);
/* The tensors are in the order of the source. Returns false if index >= count. */
ELLM_API bool ellm_file_tensor(const ellm_file *file, size_t index, ellm_tensor_info *info);
ELLM_API void ellm_file_totals(const ellm_file *file, ellm_totals *totals);
/* The identities of the source checkpoint and of this file, as 32 hex digits and NUL. */
ELLM_API void ellm_file_identity(const ellm_file *file, char source[33], char self[33]);
/* The content of a stored source file ("config.json", "tokenizer.json", ...), or NULL. */
ELLM_API const void *ellm_file_asset(const ellm_file *file, const char *name, size_t *bytes);
/* All stored files, sorted by name. Returns false if index >= count. */
ELLM_API size_t ellm_file_asset_count(const ellm_file *file);
ELLM_API bool ellm_file_asset_at(const ellm_file *file, size_t index, ellm_asset_info *info);
/* A text for people and tools, by its name, or NULL. Most are JSON objects; docs/FORMAT.md lists them. The text lives
 * as long as the file. */
ELLM_API const char *ellm_file_metadata(const ellm_file *file, const char *name);
/* What ELLM_ACTIVATIONS_AUTO stands for in a quantized file with this metadata "entrollm.quality". It is I8 if one
 * digit adds at most a twentieth to the file's own divergence from its source. Otherwise, and if the text is NULL or
 * does not say, it is I16. *added is the divergence of I8 from I16, and *own that of I16 from the source, in nats per
 * token; -1 if unknown. Both may be NULL. */
ELLM_API ellm_activations ellm_quality_activations(const char *quality, double *added, double *own);
/* Decode all codes of a quantized tensor, row by row and one byte each, into codes[n_elements]. An outlier becomes the
 * nearest code that fits. `threads`: 0 means all. ELLM_ERR_INPUT if a block is damaged (the message names it),
 * ELLM_ERR_USAGE if the tensor is kept or no tensor has this index. */
ELLM_API ellm_status ellm_file_codes(const ellm_file *file, size_t index, int threads, uint8_t *codes, ellm_error *err);

typedef struct ellm_verify_options {
  size_t size;               /* set by ellm_verify_options_init */
  const char *against;       /* a checkpoint folder or a GGUF file; NULL: the file alone */
  int threads;               /* 0 = all of the process's affinity */
  ellm_progress_fn progress; /* bytes of the file; may be NULL */
  void *progress_user;
  bool requantize;           /* with `against`: also make the file again and compare the bytes */
  const char *calibrate_file; /* for requantize: the text the file was calibrated on, if that was a file; else NULL */
} ellm_verify_options;
ELLM_INIT(ellm_verify_options)

/* What was found. Allocated by the library; free with ellm_verify_free. */
typedef struct ellm_verify_result {
  bool ok;
  uint64_t checked_bytes;
  const char **problems; /* [n_problems], one line each: section, tensor and block; at most 1000 are kept */
  size_t n_problems;
} ellm_verify_result;

/* Check every byte of a file. With `against`, also check that the file holds what that checkpoint quantizes to; for a
 * file that was made with a target, check that the error of each matrix is the one that the file records.
 * ELLM_ERR_DIFFERENCE if problems were found, ELLM_ERR_INPUT if the file cannot be read as .ellm at all. `result` may
 * be NULL; *result is NULL unless the status is ELLM_OK or ELLM_ERR_DIFFERENCE. */
ELLM_API ellm_status ellm_verify(const char *path, const ellm_verify_options *options, ellm_verify_result **result,
                                 ellm_error *err);
ELLM_API void ellm_verify_free(ellm_verify_result *result);

typedef struct ellm_decompress_options {
  size_t size;               /* set by ellm_decompress_options_init */
  int dtype;                 /* of the weights: ELLM_F32, ELLM_F16, ELLM_BF16, or -1 for the source's */
  bool overwrite;            /* write into a folder that is not empty */
  int threads;               /* 0 = all of the process's affinity */
  ellm_progress_fn progress; /* bytes of tensors; may be NULL */
  void *progress_user;
} ellm_decompress_options;
ELLM_INIT(ellm_decompress_options) /* the source's type, no overwriting */

/* Write a dequantized Hugging Face folder. It appears under its name only when it is complete. The folder must be empty
 * or not exist, unless `overwrite` is set. */
ELLM_API ellm_status ellm_decompress(const char *path, const char *out_dir, const ellm_decompress_options *options,
                                     ellm_error *err);

/* ----------------------------------------------------------------- sources */

/* Named tensors with a configuration and small files: a checkpoint folder, a .ellm file or a GGUF file, told apart by
 * content. All functions except opening and closing may be called by several threads at once. */
typedef struct ellm_source ellm_source;
/* Free with ellm_source_close. */
ELLM_API ellm_status ellm_source_open(const char *path, ellm_source **source, ellm_error *err);
ELLM_API void ellm_source_close(ellm_source *source);
ELLM_API size_t ellm_source_tensor_count(const ellm_source *source);
/* Returns false if index >= count. A tensor that is not quantized is `kept`, and its stored_bytes are the bytes of its
 * elements. */
ELLM_API bool ellm_source_tensor(const ellm_source *source, size_t index, ellm_tensor_info *info);
/* The index of the tensor with this name; false if there is none. */
ELLM_API bool ellm_source_find(const ellm_source *source, const char *name, size_t *index);
/* Read the elements [first, first + n) of a tensor, row by row, as float32 into values[n]; a quantized tensor gives the
 * weights that its codes stand for. Efficient for pieces of 64 rows or more. ELLM_ERR_INPUT if the elements are not
 * floats of 16, 32 or 64 bits, ELLM_ERR_USAGE if the range goes beyond the tensor. */
ELLM_API ellm_status ellm_source_read(const ellm_source *source, size_t index, uint64_t first, size_t n, float *values,
                                      ellm_error *err);
/* Describe the source as a whole, as a malloc'ed JSON object: "format" ("GGUF", "safetensors", "ellm"), "architecture",
 * sizes ("layers", "hidden_size", "heads", "context", ...), "parameters", "tensor_bytes", "bits_per_weight", "types"
 * (how tensors are stored: "type", "tensors", "elements", "bytes", "bits_per_weight"), "tokenizer" (null if there is
 * none) and "chat_template" (whether there is one). Unknown fields are left out, and new ones may be added. */
ELLM_API ellm_status ellm_source_describe(const ellm_source *source, char **json, ellm_error *err);
/* The content of a small file ("config.json", "tokenizer.json", ...), owned by the source, or NULL. */
ELLM_API const void *ellm_source_asset(const ellm_source *source, const char *name, size_t *bytes);

/* --------------------------------------------------------------- tokenizer */

typedef struct ellm_tokenizer ellm_tokenizer;

/* Make a tokenizer from the bytes of a tokenizer.json. Errors call it `origin`. Once made, a tokenizer may be used by
 * several threads at once. ELLM_ERR_INPUT if it is damaged or of an unsupported kind; the message names the part. Free
 * with ellm_tokenizer_free. */
ELLM_API ellm_status ellm_tokenizer_create(const void *json, size_t bytes, const char *origin,
                                           ellm_tokenizer **tokenizer, ellm_error *err);
/* Make the tokenizer of a .ellm file, or of any folder with a tokenizer.json or else a tokenizer.model (SentencePiece),
 * without opening the model. */
ELLM_API ellm_status ellm_tokenizer_open(const char *path, ellm_tokenizer **tokenizer, ellm_error *err);
ELLM_API void ellm_tokenizer_free(ellm_tokenizer *tokenizer);

typedef enum ellm_encode_flags {
  ELLM_ENCODE_DEFAULT = 0,
  ELLM_ENCODE_NO_POST = 1,         /* the post-processor adds nothing (no BOS) */
  ELLM_ENCODE_SPECIAL_AS_TEXT = 2  /* added tokens with special: true are not recognized */
} ellm_encode_flags;

/* Turn text into ids. The text may be any bytes: invalid UTF-8 becomes U+FFFD, as with Python's errors="replace". *ids
 * is malloc'ed. `flags` are ellm_encode_flags. */
ELLM_API ellm_status ellm_tokenizer_encode(const ellm_tokenizer *tokenizer, const char *text, size_t bytes,
                                           unsigned flags, uint32_t **ids, size_t *n_ids, ellm_error *err);
/* Turn ids into text, as the `tokenizers` library decodes a whole sequence. *text is malloc'ed and NUL-terminated;
 * *bytes does not count the NUL. */
ELLM_API ellm_status ellm_tokenizer_decode(const ellm_tokenizer *tokenizer, const uint32_t *ids, size_t n_ids,
                                           bool skip_special, char **text, size_t *bytes, ellm_error *err);
ELLM_API size_t ellm_tokenizer_vocab_size(const ellm_tokenizer *tokenizer);             /* largest id + 1 */
ELLM_API const char *ellm_tokenizer_piece(const ellm_tokenizer *tokenizer, uint32_t id); /* NULL if none */
/* The id of a piece, spelled as in the vocabulary; and whether an id is an added token with special: true. */
ELLM_API bool ellm_tokenizer_find(const ellm_tokenizer *tokenizer, const char *piece, uint32_t *id);
ELLM_API bool ellm_tokenizer_is_special(const ellm_tokenizer *tokenizer, uint32_t id);

/* ------------------------------------------------------------------- model */

typedef struct ellm_model ellm_model;
typedef struct ellm_sequence ellm_sequence;

/* Element type of the KV cache. DEFAULT: F32 with f32 activations, which allow no other type; else F16. Q8: 8-bit
 * integers with a scale for each head and position. They take about half the memory of F16 and change logits a
 * little. */
typedef enum ellm_cache_type {
  ELLM_CACHE_DEFAULT = 0,
  ELLM_CACHE_F32 = 1,
  ELLM_CACHE_F16 = 2,
  ELLM_CACHE_Q8 = 3
} ellm_cache_type;

typedef struct ellm_team ellm_team; /* processes that compute one model together: entrollm_team.h */
typedef struct ellm_model_options {
  size_t size;                 /* set by ellm_model_options_init */
  int threads;                 /* 0 = all processors in the process's affinity */
  ellm_activations activations;
  ellm_cache_type cache_type;
  bool check_all;              /* verify every checksum when opening */
  bool lock_memory;            /* keep a .ellm file in memory (mlock) */
  bool load;                   /* copy a .ellm file into memory with huge pages instead of mapping it: it starts later
                                  and runs faster, but is not shared with other processes */
  bool expand;                 /* decode all weights of a .ellm file once, into plain codes in memory: one byte per
                                  weight, half a byte up to 4 bits. Results are the same. It starts later, and generates
                                  faster where decoding is slower than memory */
  ellm_notes notes;            /* receives the notes of opening */
  uint32_t cache_positions;    /* size of the pool of pages (see below), rounded up to whole pages; 0: the smaller of
                                  4096 and max_context. Memory is reserved with the first sequence, used as it fills */
  ellm_progress_fn progress;   /* of load (stage "load"), lock_memory ("lock"), expand ("expand") and check_all
                                  ("check"), one after the other, in bytes of the file; may be NULL. No other part of
                                  opening takes long */
  void *progress_user;
  const ellm_team *team;       /* what it points at must outlive the model; NULL: this process alone */
} ellm_model_options;

ELLM_INIT(ellm_model_options) /* all threads, AUTO, DEFAULT, no check */

/* Open a .ellm file, a checkpoint folder or a GGUF file, told apart by content. Free with ellm_model_close. A model may
 * be used by several threads at once: evaluations wait for each other, other calls do not. ELLM_ERR_INPUT if the model
 * cannot be run; the message names what is missing or not supported. */
ELLM_API ellm_status ellm_model_open(const char *path, const ellm_model_options *options, ellm_model **model,
                                     ellm_error *err);
/* Close a model. Its sequences may live on: the memory is freed with the last of them. They can still be read and
 * freed, but evaluating them is ELLM_ERR_USAGE. */
ELLM_API void ellm_model_close(ellm_model *model);

typedef struct ellm_model_info {
  const char *architecture;    /* "LlamaForCausalLM" */
  uint32_t vocab_size;         /* rows of the embedding */
  uint32_t hidden_size, n_layers, n_heads, n_kv_heads, head_dim;
  uint32_t max_context;        /* positions that can be computed, usually max_position_embeddings */
  const char *max_context_reason; /* if other programs compute more: why not here (static, for messages); else NULL */
  uint64_t parameters;
  ellm_activations activations;  /* in use, never AUTO */
  ellm_cache_type cache_type;    /* in use, never DEFAULT */
  int64_t bos_id;              /* -1 if none */
  uint32_t eos_ids[16];        /* ids that end a turn: those of generation_config, else of config, else of the
                                * architecture's class; and the eos_token of tokenizer_config.json */
  size_t n_eos;
  /* defaults of generation_config; negative if not given there */
  int do_sample;
  float temperature, top_p, min_p, repetition_penalty;
  int top_k;                   /* 0: all tokens; 50 where nothing names it, as in Transformers */
  uint64_t reserved[8];
} ellm_model_info;

/* May be called from any thread. Strings belong to the model. */
ELLM_API void ellm_model_get_info(const ellm_model *model, ellm_model_info *info);
/* The model's own tokenizer, owned by the model. ELLM_ERR_INPUT when it has none. */
ELLM_API ellm_status ellm_model_tokenizer(ellm_model *model, const ellm_tokenizer **tokenizer, ellm_error *err);
/* The content of a small file of the checkpoint ("config.json", ...), followed by a NUL; owned by the model. If there
 * is no such file, the result is NULL and *bytes is 0. `bytes` may be NULL. */
ELLM_API const void *ellm_model_asset(ellm_model *model, const char *name, size_t *bytes);

/* --------------------------------------------------------------- sequences */

/*
 * A sequence is a list of token ids with what the model computed from them: keys and values, in pages of 16 positions.
 * Pages come from one pool, which belongs to the model and has a fixed size. Sequences share pages: a fork takes no
 * page until it grows. Many sequences are evaluated together in one batch, and each weight is decoded once for all of
 * them. The logits of a sequence never depend on what else is in the batch, on how its ids were cut into batches, on
 * the number of threads, or on the instruction set.
 *
 * Threads: a sequence may be used by one thread at a time. A second thread gets ELLM_ERR_USAGE from calls that can
 * fail. Different sequences of a model may be used by different threads; evaluations of one model wait for each other.
 */
enum { ELLM_PAGE_POSITIONS = 16 };

/* Make the whole pool at least `positions` large. Sequences keep what they hold. Old and new pool take memory at the
 * same time for a moment. */
ELLM_API ellm_status ellm_model_reserve(ellm_model *model, uint32_t positions, ellm_error *err);
/* The bytes of keys and values for this many positions, rounded up to whole pages; UINT64_MAX if they exceed 64
 * bits. */
ELLM_API uint64_t ellm_model_cache_bytes(const ellm_model *model, uint64_t positions);
/* All positions of the pool, and the positions of its free pages. Either pointer may be NULL. */
ELLM_API void ellm_model_cache_usage(ellm_model *model, uint32_t *positions, uint32_t *free_positions);

/* An empty sequence. Free with ellm_sequence_free. */
ELLM_API ellm_status ellm_sequence_create(ellm_model *model, ellm_sequence **sequence, ellm_error *err);
/* A sequence that begins with everything that `from` holds. It takes no page: both share the pages until one grows. */
ELLM_API ellm_status ellm_sequence_fork(const ellm_sequence *from, ellm_sequence **sequence, ellm_error *err);
/* If another thread is evaluating the sequence, its memory is freed as soon as that is done. */
ELLM_API void ellm_sequence_free(ellm_sequence *sequence);

ELLM_API uint32_t ellm_sequence_length(const ellm_sequence *sequence);
/* The ids of all positions, [length]; valid until the sequence is next evaluated or restored. */
ELLM_API const uint32_t *ellm_sequence_ids(const ellm_sequence *sequence);
/* Forget all positions from `length` on. A length beyond the sequence's changes nothing. Fails only if another thread
 * uses the sequence. */
ELLM_API ellm_status ellm_sequence_truncate(ellm_sequence *sequence, uint32_t length, ellm_error *err);
/* Announce how long the sequence will become, if that is known. Models with rope type longrope use other factors for
 * long texts. The greater of the reached and the announced length decides. A sequence that crosses the boundary without
 * an announcement is computed again from its ids. The announcement holds until another one; 0 cancels it. */
ELLM_API ellm_status ellm_sequence_announce(ellm_sequence *sequence, uint32_t length, ellm_error *err);

/* What is added to one sequence: ids[n_ids]. The logits of its last n_logits (<= n_ids) positions are written to
 * logits[n_logits][vocab_size]; 0 and NULL for none. */
typedef struct ellm_batch_item {
  ellm_sequence *sequence;
  const uint32_t *ids;
  size_t n_ids;
  float *logits;
  size_t n_logits;
} ellm_batch_item;

/* Append ids to sequences of the model and compute them in one batch, which may mix prompts and single tokens.
 *
 * After an error every sequence has the ids that it had before and can be used on; the contents of logits are
 * undefined. Two things may have changed. Each sequence may have got its own copy of a page that it shared. And a
 * longrope sequence whose factors were about to change may have lost its keys and values: it computes them again when
 * it is next evaluated, and cannot be saved before. ELLM_ERR_FULL: the pool is full. ELLM_ERR_INPUT: a sequence would
 * be longer than the pool or than the model's context, or an id is beyond the vocabulary. ELLM_ERR_USAGE: a sequence
 * comes twice, belongs to another model, or is in use by another thread.
 *
 * If the logits of all items form one array in memory, in the order of the items, they are written without a copy. */
ELLM_API ellm_status ellm_evaluate(ellm_model *model, const ellm_batch_item *items, size_t n_items, ellm_error *err);

/* Check row[vocab_size] of logits. ELLM_ERR_INPUT if one of them is NaN or +infinity, so that the model cannot tell
 * what comes next; the message names position and id. -infinity (a masked id) is allowed. */
ELLM_API ellm_status ellm_logits_check(const float *row, size_t vocab_size, uint32_t position, ellm_error *err);

/* Prompt caches (docs/format/prompt-cache.md) hold the ids of a sequence with their keys and values, in a file that is
 * bound to the model, its activations and its cache type. After restoring one, evaluation continues exactly as it would
 * have without it. For a checkpoint folder, the first of these calls reads all weights once to identify them. Then
 * `progress` (may be NULL) is called with stage "identify" and can stop it: ELLM_INTERRUPTED, and nothing has changed.
 *
 * Write all positions to `path`. The file appears under its name only when it is complete, and replaces an existing
 * one. ELLM_ERR_USAGE if the sequence is empty, or if a failed evaluation has left it without keys and values. */
ELLM_API ellm_status ellm_sequence_save(const ellm_sequence *sequence, const char *path, ellm_progress_fn progress,
                                        void *user, ellm_error *err);
/* Replace what the sequence holds by the positions of a prompt cache, up to the first one that differs from ids[n_ids].
 * If ids is NULL, take as many positions as the pool has room for. Their number is then the sequence's length.
 * ELLM_ERR_INPUT if the cache is damaged, or does not belong to the model, its activations or its cache type; the
 * sequence is then left as it was. */
ELLM_API ellm_status ellm_sequence_restore(ellm_sequence *sequence, const char *path, const uint32_t *ids,
                                           size_t n_ids, ellm_progress_fn progress, void *user, ellm_error *err);

/* What binds a prompt cache to its model, as 32 hex digits and NUL: the identity of a .ellm file, or one of all weights
 * of a folder, which are read once for it. May be called from any thread; `progress` as above. */
ELLM_API ellm_status ellm_model_identity(ellm_model *model, char text[33], ellm_progress_fn progress, void *user,
                                         ellm_error *err);

/* ---------------------------------------------------------------- grammars */

/*
 * A grammar says which texts are allowed, as GBNF or as a JSON Schema (docs/GRAMMARS.md describes both, the supported
 * part of schemas, and the limits). A grammar does not change, and may be used by several threads and any number of
 * answers at once. Which tokens may come next is computed when it is first needed, and kept in the grammar. So keep a
 * grammar that will be needed again. `tokenizer` is the model's own (ellm_model_tokenizer); the grammar may outlive it.
 * Errors call the text `origin`; NULL: "the grammar", "the schema". ELLM_ERR_INPUT if the text is damaged, not
 * supported or too large, or if a rule begins with itself or never ends; the message names the line, or the JSON
 * pointer and the keyword. Free with ellm_grammar_free; answers that use the grammar keep what they need.
 */
typedef struct ellm_grammar ellm_grammar;
ELLM_API ellm_status ellm_grammar_create(const ellm_tokenizer *tokenizer, const char *text, size_t bytes,
                                         const char *origin, ellm_grammar **grammar, ellm_error *err);
ELLM_API ellm_status ellm_grammar_create_schema(const ellm_tokenizer *tokenizer, const char *json, size_t bytes,
                                                const char *origin, ellm_grammar **grammar, ellm_error *err);
ELLM_API void ellm_grammar_free(ellm_grammar *grammar);
/* The memory that the grammar takes, without the tokenizer's vocabulary, which all of its grammars share. Never
 * waits. */
ELLM_API size_t ellm_grammar_bytes(const ellm_grammar *grammar);
/* Take at most this much memory from now on. Without this call the limit is 192 MiB plus the grammar itself. Beyond
 * half of the limit the grammar forgets what no answer needs. An answer fails if a single token needs more than the
 * limit. ELLM_ERR_INPUT if the grammar already takes more than half. */
ELLM_API ellm_status ellm_grammar_limit(ellm_grammar *grammar, size_t bytes, ellm_error *err);
/* Forget now what no answer needs. */
ELLM_API void ellm_grammar_forget(ellm_grammar *grammar);

/* ---------------------------------------------------------------- sampling */

typedef struct ellm_bias { uint32_t id; float value; } ellm_bias; /* finite */

/* How the next token is chosen. */
typedef struct ellm_sampling {
  size_t size;           /* set by ellm_sampling_init */
  float temperature;     /* 0 = greedy */
  int top_k;             /* 0 = off */
  float top_p;           /* 1 = off */
  float min_p;           /* 0 = off */
  float repeat_penalty;  /* 1 = off; over all ids of the sequence, as Transformers does */
  uint64_t seed;
  /* Changes of logits after the repetition penalty. The bias of an id is added to its logit. For ids that were accepted
   * after the first n_prompt ones, presence_penalty is subtracted once, and frequency_penalty for each occurrence. */
  float frequency_penalty, presence_penalty; /* 0 = off; -100..100 */
  const ellm_bias *biases;                   /* [n_biases], copied; of several for one id, the last counts */
  size_t n_biases;
  size_t n_prompt;       /* the generator sets it */
} ellm_sampling;
ELLM_INIT(ellm_sampling) /* greedy, all filters off, seed 0 */
/* Set what the model's generation_config asks for, after ellm_sampling_init. A model that does not ask for sampling
 * stays greedy. If it names no top_k, that is 50, as in Transformers. */
ELLM_API void ellm_model_sampling(const ellm_model *model, ellm_sampling *sampling);

/* Chooses the tokens of one sequence. Use it from one thread at a time. The same seed and logits give the same ids
 * everywhere. */
typedef struct ellm_sampler ellm_sampler;
ELLM_API ellm_status ellm_sampler_create(const ellm_sampling *sampling, uint32_t vocab_size, ellm_sampler **sampler,
                                         ellm_error *err);
ELLM_API void ellm_sampler_free(ellm_sampler *sampler);
ELLM_API void ellm_sampler_accept(ellm_sampler *sampler, uint32_t id); /* id is now part of the sequence */
/* Choose the next id from logits[vocab_size], which follow the last accepted id. NaN or +infinity among them is
 * ELLM_ERR_INPUT, and *id is 0. Allocates nothing. */
ELLM_API ellm_status ellm_sampler_next(ellm_sampler *sampler, const float *logits, uint32_t *id, ellm_error *err);

/* -------------------------------------------------------------- generation */

/*
 * A generator computes answers to many requests together. Requests may come at any time. Each step is one batch of the
 * model: the next id of every answer in progress, and a piece of the prompts that are being read, so that a long prompt
 * does not keep the others waiting. What prompts have in common is computed once. Each answer is, bit for bit, the one
 * that its request would get alone.
 *
 * All answers take their pages from the model's pool. Requests for which it has no room wait. If the pool becomes full
 * during a step, the answer that was begun last gives its pages back and is computed again later, with the same result.
 *
 * Threads: a generator, its answers and the sequences of its requests are used by one thread at a time, except for
 * ellm_answer_cancel. The library prints nothing and handles no signals; its caller does.
 */
typedef struct ellm_generator ellm_generator;
typedef struct ellm_answer ellm_answer;

typedef struct ellm_generator_options {
  size_t size;   /* set by ellm_generator_options_init */
  size_t most;   /* how many answers are computed together, up to 256; others wait. 0: 16 */
  size_t piece;  /* prompt ids per step while answers are being generated; 0: 32. Otherwise a step takes 256 */
  size_t keep;   /* how many sequences of ended answers stay in the pool, for requests that begin alike. 0: none */
} ellm_generator_options;
ELLM_INIT(ellm_generator_options) /* size; else 0 */

/* Make a generator for the model, whose memory it keeps alive. If the model is closed first, requests are refused
 * (ELLM_ERR_USAGE) and unfinished answers fail. `options` may be NULL. */
ELLM_API ellm_status ellm_generator_create(ellm_model *model, const ellm_generator_options *options,
                                           ellm_generator **generator, ellm_error *err);
ELLM_API void ellm_generator_free(ellm_generator *generator); /* with all of its answers */

/* Why an answer has ended. */
typedef enum ellm_end {
  ELLM_END_NOT = 0,       /* it has not ended */
  ELLM_END_LIMIT = 1,     /* it has as many ids as were asked for */
  ELLM_END_ID = 2,        /* an id ended it, which is not among the answer's ids */
  ELLM_END_STOP = 3,      /* a stop string came; the text ends before it */
  ELLM_END_CONTEXT = 4,   /* no position is left in the request or in the model's context */
  ELLM_END_FULL = 5,      /* no page is left in the model's pool, and no other answer could give way */
  ELLM_END_CANCELLED = 6,
  ELLM_END_FAILED = 7,    /* ellm_answer_error says why */
  ELLM_END_GRAMMAR = 8    /* the grammar of the request allows nothing more: the text is complete */
} ellm_end;
ELLM_API const char *ellm_end_name(ellm_end end); /* "length", "eos", "stop", "context", ...; static */

typedef struct ellm_chance { uint32_t id; double log_probability; } ellm_chance;
enum { ELLM_MAX_CHANCES = 32 };

/* What was added to an answer. */
typedef struct ellm_answer_part {
  bool has_id;
  uint32_t id;      /* the new id, if there is one */
  const char *text; /* text[bytes], whole UTF-8 characters, often empty; valid during the call */
  size_t bytes;
  /* If the request asks for chances (n_chances > 0) and there is an id: the natural logarithm of the probability that
   * the model gave it, and the likeliest ids, top[n_top], likeliest first, equal ones in the order of their ids. These
   * come from the model's logits before penalties, biases and filters. Valid during the call. */
  double log_probability;
  const ellm_chance *top;
  size_t n_top;
} ellm_answer_part;

typedef struct ellm_request {
  size_t size;                   /* set by ellm_request_init */
  const uint32_t *prompt;        /* [n_prompt], at least 1 id; copied, as is everything here */
  size_t n_prompt;
  size_t limit;                  /* largest number of new ids; SIZE_MAX: no limit; 0: only compute the prompt */
  uint32_t positions;            /* largest number for prompt and answer together; 0: the model's context */
  const ellm_sampling *sampling; /* NULL: greedy */
  const uint32_t *end_ids;       /* [n_end_ids] that end the answer; NULL: the model's (ellm_model_info.eos_ids) */
  size_t n_end_ids;
  bool ignore_end;               /* no id ends the answer */
  const char *const *stops;      /* [n_stops] texts, not empty; the answer ends before the first that appears */
  size_t n_stops;
  bool no_text;                  /* ids only, without stop strings: the model needs no tokenizer */
  ellm_sequence *sequence;       /* the caller's sequence for prompt and answer; positions that agree with the prompt
                                    are kept. It must outlive the answer, and must not be used otherwise until the
                                    answer has ended. NULL: the generator makes one */
  /* Called in ellm_generator_step when the answer has grown, and once more at the end if text was held back. Returning
   * false cancels the answer. It must not call the generator. It may read and save the request's own sequence, which
   * holds all ids except the newest. May be NULL. */
  bool (*take)(void *user, const ellm_answer *answer, const ellm_answer_part *part);
  /* Called when no position is left. It may set *prompt[*n_prompt], malloc'ed, which then replaces the prompt before
   * the ids of the answer; both and one more id must fit. If it leaves NULL, the answer ends (ELLM_END_CONTEXT). If it
   * returns an error, the answer fails with it. May be NULL. */
  ellm_status (*make_room)(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n_prompt,
                           ellm_error *err);
  void *user;
  /* Which texts the answer may have. It must be made for the model's tokenizer (else ELLM_ERR_USAGE). Sampling chooses
   * only among ids that may come next, and among ids that end the answer only where the grammar may end. The answer
   * ends with ELLM_END_GRAMMAR where nothing more may come, and fails where more must come but no token fits. A limit,
   * a stop string and a full context end it as always. NULL: any text. */
  const ellm_grammar *grammar;
  size_t n_chances;              /* how many of the likeliest ids each part has with their log-probabilities, up to
                                    ELLM_MAX_CHANCES; each token then takes one more pass over its logits. 0: none */
} ellm_request;
ELLM_INIT(ellm_request) /* size, no limit; else NULL, 0 and false */

/* Queue a request. The answer belongs to the generator; free it with ellm_answer_free or leave that to
 * ellm_generator_free. ELLM_ERR_INPUT: the prompt has no ids, more than there are positions, or one beyond the
 * vocabulary; the model has no tokenizer. ELLM_ERR_USAGE: the sequence is another model's or serves an answer that
 * has not ended; a stop string is empty; the model was closed. */
ELLM_API ellm_status ellm_generator_add(ellm_generator *generator, const ellm_request *request, ellm_answer **answer,
                                        ellm_error *err);
/* Compute one batch. *more (may be NULL) says whether some answers have not ended. A failure of one answer ends only
 * that answer (ELLM_END_FAILED). An error of the evaluation itself is returned; then all answers are as before, and
 * another step may be tried. */
ELLM_API ellm_status ellm_generator_step(ellm_generator *generator, bool *more, ellm_error *err);
/* Make steps until all answers have ended. go_on (may be NULL) is called before each step. If it returns false, the
 * result is ELLM_INTERRUPTED, and the generator can be run again to continue. */
ELLM_API ellm_status ellm_generator_run(ellm_generator *generator, bool (*go_on)(void *user), void *user,
                                        ellm_error *err);

/* The kept sequences (ellm_generator_options.keep), the oldest first; NULL if index is too large. They belong to the
 * generator, and may be read and saved until the generator's next step or change. */
ELLM_API const ellm_sequence *ellm_generator_kept(const ellm_generator *generator, size_t index);
/* Keep one more sequence, as the newest: requests that begin like it need not compute that beginning. The sequence then
 * belongs to the generator, even if the generator keeps nothing. ELLM_ERR_USAGE if it is of another model; then it
 * stays the caller's. */
ELLM_API ellm_status ellm_generator_keep(ellm_generator *generator, ellm_sequence *sequence, ellm_error *err);

/* May be called from any thread while the answer exists. The answer ends with the next step, which hands out the text
 * that was held back. */
ELLM_API void ellm_answer_cancel(ellm_answer *answer);
ELLM_API void ellm_answer_free(ellm_answer *answer); /* also for an answer that has not ended */

typedef struct ellm_answer_info {
  ellm_end end;
  size_t n_prompt;        /* ids of the request's prompt */
  size_t n_kept;          /* how many of these needed no computing: in the request's sequence or another answer's */
  size_t n_ids;           /* ids of the answer */
  double prompt_seconds;  /* from the first batch with this request to the first logits */
  double seconds;         /* from then to the newest id */
  uint64_t reserved[4];
} ellm_answer_info;
ELLM_API void ellm_answer_get_info(const ellm_answer *answer, ellm_answer_info *info);
/* The ids, [n_ids], and the text without special tokens, NUL-terminated. Both are valid until the next step. n_ids and
 * bytes may be NULL. */
ELLM_API const uint32_t *ellm_answer_ids(const ellm_answer *answer, size_t *n_ids);
ELLM_API const char *ellm_answer_text(const ellm_answer *answer, size_t *bytes);
/* The status of an answer that has failed, with *err (may be NULL); ELLM_OK if it has not failed. */
ELLM_API ellm_status ellm_answer_error(const ellm_answer *answer, ellm_error *err);

/* -------------------------------------------------------------------- chat */

/* The chat templates of a model. Once opened, a chat may be used by several threads at once. */
typedef struct ellm_chat ellm_chat;

typedef struct ellm_chat_options {
  size_t size;            /* set by ellm_chat_options_init */
  const char *name;       /* name of one of the model's templates. NULL: "tool_use" if the model has it and the
                             conversation has tools (even an empty list); else "default" */
  const char *source;     /* a template (Jinja, UTF-8) to use instead of the model's; NULL: none */
  size_t source_bytes;
  const char *origin;     /* what errors call `source`; NULL: "the template" */
} ellm_chat_options;
ELLM_INIT(ellm_chat_options) /* size; else NULL and 0 */

/* A conversation, to be rendered. */
typedef struct ellm_conversation {
  size_t size;            /* set by ellm_conversation_init */
  const char *json;       /* a list of messages, or an object with "messages" and optionally "tools" and "documents".
                             Its other fields are variables of the template and override the model's (bos_token, ...) */
  size_t bytes;
  const char *origin;     /* what errors call it; NULL: "the conversation" */
  bool answer;            /* end with the beginning of an answer */
  bool recognize_special; /* for ellm_chat_encode: special tokens in messages are tokens, not text */
  const struct tm *now;   /* local time, for templates that ask for it; if it is NULL, these are refused */
} ellm_conversation;
ELLM_INIT(ellm_conversation) /* size; else NULL, 0 and false */

/* Open the chat templates of a model. `options` may be NULL. ELLM_ERR_INPUT if the model has no such template, or if
 * the template is not supported. The chat keeps the model's memory alive, because it uses its tokenizer. */
ELLM_API ellm_status ellm_chat_open(ellm_model *model, const ellm_chat_options *options, ellm_chat **chat,
                                    ellm_error *err);
/* Open the chat templates of a .ellm file or of a folder, which needs to hold nothing else. Such a chat renders texts
 * only: ellm_chat_encode is refused, and no ids end an answer. */
ELLM_API ellm_status ellm_chat_open_files(const char *path, const ellm_chat_options *options, ellm_chat **chat,
                                          ellm_error *err);
ELLM_API void ellm_chat_free(ellm_chat *chat);

/* Render the text of a conversation. *text is malloc'ed and NUL-terminated; *bytes does not count the NUL.
 * ELLM_ERR_INPUT if the template refuses the conversation. */
ELLM_API ellm_status ellm_chat_render(const ellm_chat *chat, const ellm_conversation *conversation, char **text,
                                      size_t *bytes, ellm_error *err);
/* The ids of that text. The tokenizer's post-processor adds nothing. Special tokens in messages, tools and documents
 * are text unless `recognize_special` is set; docs/ARCHITECTURE.md, "Conversations", says how this works and where it
 * cannot. *ids is malloc'ed. */
ELLM_API ellm_status ellm_chat_encode(const ellm_chat *chat, const ellm_conversation *conversation, uint32_t **ids,
                                      size_t *n_ids, ellm_error *err);
/* The ids that end an answer of a chat: the model's own (ellm_model_info.eos_ids) and, if the vocabulary has no
 * "<|channel|>", the special token that the template writes after an answer. Returns their number; *ids belongs to the
 * chat. */
ELLM_API size_t ellm_chat_end_ids(const ellm_chat *chat, const uint32_t **ids);

#ifdef __cplusplus
}
#endif

#include "entrollm_bench.h"
#include "entrollm_eval.h"
#include "entrollm_team.h"

#endif
