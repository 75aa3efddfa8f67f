/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EntroLLM: language models that stay entropy-coded in memory.
 *
 * The one public header of libentrollm; it includes entrollm_bench.h (measuring), _eval.h and _team.h. The
 * library never prints, exits, or reads the environment. Every call that can fail returns an ellm_status and, where `err`
 * is not NULL, writes one line that names file, tensor, field and value. After success *err is left as it was. Handles are
 * opaque. Texts and paths are NUL-terminated UTF-8 (paths: whatever the system takes) where no number of bytes is given
 * with them.
 *
 * Binary compatibility, within one number ELLM_ABI: functions are only added; structs only grow, at their end. A struct
 * that callers fill begins with its size, which its _init function sets together with the defaults: always call that. A
 * program that was built before then passes a smaller struct, and what that lacks has its default; one that was built
 * with a newer header is refused (ELLM_ERR_USAGE). Where such a struct is passed, NULL stands for all defaults. Results
 * that may grow are allocated by the library; structs that it fills in for the caller end with reserved room, which is
 * zero. Callers embed neither in structs that cross a boundary of their own. Structs without either stay as they are:
 * ellm_error, ellm_notes and, as elements of arrays, ellm_batch_item. Enumerators keep their values; new ones may come:
 * a switch has a default.
 *
 * Ownership: what a function hands out through a pointer to a pointer belongs to the caller, who frees it with the
 * function named beside it, or with free() where it is said to be malloc'ed; it is NULL after an error. What is
 * returned as a const pointer belongs to the handle and lives as long, unless something else is said. Functions that
 * free take NULL. What is passed in is copied or only read during the call, unless something else is said.
 *
 * Errors: ELLM_ERR_IO stands for memory that is not to be had and files that cannot be read or written, ELLM_ERR_INPUT
 * for what is in them, ELLM_ERR_USAGE for arguments that make no sense; any function with a status may return these.
 * Declarations say what is particular.
 *
 * Thread safety: functions on different handles may run at the same time. A handle may be shared between threads only
 * where its declaration says so. `err` and results belong to the calling thread.
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

/* The one place of the version: the build, the pkg-config file and the name of the shared library read it here.
 * ELLM_ABI is the number in libentrollm.so.N; it changes when a program built before would no longer run. */
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

/* ellm_X_init(&x) sets the size of a struct that callers fill, and its defaults. The size is that of the caller's
 * header: of a struct that was smaller then, a newer library writes no more than there is. */
#define ELLM_INIT(type)                                       \
  ELLM_API void type##_init_sized(type *given, size_t size);  \
  static inline void type##_init(type *given) { type##_init_sized(given, sizeof *given); }

/* The version of the library as "MAJOR.MINOR.PATCH"; static storage. */
ELLM_API const char *ellm_version(void);
/* ELLM_ABI of the library, for those who load it by a path and not by its name. */
ELLM_API int ellm_abi(void);

/* ----------------------------------------------------------------- machine */

/* Usable processors of this process, at least 1: the number of threads that 0 stands for. */
ELLM_API int ellm_cpu_count(void);
/* The instruction set that is computed with: "scalar", "avx2", "avxvnni", "avx512", "neon", ...; static. Results do not
 * depend on it. */
ELLM_API const char *ellm_isa(void);
/* Those that this machine has, best first; NULL after the last. Static. */
ELLM_API const char *ellm_isa_at(size_t index);
/* Compute with this one from now on, for the whole process; before any model is opened. False, and nothing changes, if
 * this machine does not have it. Not thread-safe. */
ELLM_API bool ellm_isa_force(const char *name);

/* ------------------------------------------------------------------ errors */

/* Those but FULL and EXISTS are the exit status of the program as well. */
typedef enum ellm_status {
  ELLM_OK = 0,
  ELLM_ERR_INTERNAL = 1,   /* a broken invariant: a bug */
  ELLM_ERR_USAGE = 2,      /* an option or argument that makes no sense */
  ELLM_ERR_INPUT = 3,      /* a damaged, hostile, unsupported or mismatched input */
  ELLM_ERR_IO = 4,         /* the system refused: files, disk, memory */
  ELLM_ERR_DIFFERENCE = 5, /* verification found a difference */
  ELLM_ERR_FULL = 6,       /* no room in the pool of pages now: nothing was changed; free sequences and call again */
  ELLM_ERR_EXISTS = 7,     /* what was to be written is there already and was not to be replaced: it is as it was */
  ELLM_INTERRUPTED = 130   /* a progress callback asked to stop */
} ellm_status;

typedef struct ellm_error {
  ellm_status status;
  char message[496]; /* one line, no newline, NUL-terminated, printable */
} ellm_error;

/* Where notes go: what is not as it should be and stops nothing, such as a value that is not used and makes no sense.
 * `take` gets one line, no newline, printable, valid during the call; NULL: nobody wants them. It is called on the
 * calling thread and must not use the handle that is being made. */
typedef struct ellm_notes {
  void (*take)(void *user, const char *line);
  void *user;
} ellm_notes;

/* ---------------------------------------------------------------- progress */

typedef enum ellm_unit { ELLM_UNIT_BYTES, ELLM_UNIT_ITEMS, ELLM_UNIT_TOKENS, ELLM_UNIT_WEIGHTS } ellm_unit;

typedef struct ellm_progress {
  const char *stage;  /* "analyse", "encode", "verify", ...; valid during the call */
  const char *tensor; /* tensor now at work, the running result of an evaluation, or "" */
  uint64_t done;      /* as `total`, in this unit */
  uint64_t total;     /* 0 when unknown */
  ellm_unit unit;
} ellm_progress;

/* Called from the thread that made the library call, a few times a second at
 * most. Returning false stops the operation with ELLM_INTERRUPTED. */
typedef bool (*ellm_progress_fn)(void *user, const ellm_progress *progress);

/* ------------------------------------------------------------------- types */

typedef enum ellm_dtype { /* element types of safetensors; values are stored in files */
  ELLM_F32 = 0, ELLM_F16 = 1, ELLM_BF16 = 2, ELLM_F64 = 3,
  ELLM_I8 = 4, ELLM_U8 = 5, ELLM_I16 = 6, ELLM_U16 = 7, ELLM_I32 = 8, ELLM_U32 = 9,
  ELLM_I64 = 10, ELLM_U64 = 11, ELLM_BOOL = 12, ELLM_F8_E4M3 = 13, ELLM_F8_E5M2 = 14
} ellm_dtype;

ELLM_API const char *ellm_dtype_name(ellm_dtype dtype);  /* "F32", "BF16", ...; "?" if unknown */
ELLM_API size_t ellm_dtype_size(ellm_dtype dtype);       /* bytes an element; 0 if unknown */

typedef enum ellm_scheme { ELLM_SCHEME_MIXED = 0, ELLM_SCHEME_SYMMETRIC = 1, ELLM_SCHEME_ASYMMETRIC = 2 } ellm_scheme;
ELLM_API const char *ellm_scheme_name(ellm_scheme scheme); /* "mixed", ...; "?" if unknown */
/* What the code book of a matrix is chosen for. BALANCED: of the books within some percent of the least size, the
 * fastest one on a processor with AVX-512. SIZE: the fewest bits. SPEED: the least time on a class of machines,
 * counting the bits that are read and the cycles that decoding takes. */
typedef enum ellm_prefer { ELLM_PREFER_BALANCED = 0, ELLM_PREFER_SIZE = 1, ELLM_PREFER_SPEED = 2 } ellm_prefer;
/* The class of machine for ELLM_PREFER_SPEED; every machine reads the result. */
typedef enum ellm_machine { ELLM_MACHINE_AVX2 = 0, ELLM_MACHINE_AVX512 = 1, ELLM_MACHINE_NEON = 2 } ellm_machine;
/* HUFFMAN: any code book. NONE: plain codes. FIELDS: all codes of a matrix lie in fields of one width, and codes
 * beyond have exact patches. The width is the least of 2 to 6 bits with which at most one code in 200 needs a patch;
 * where there is none, codes are plain. */
typedef enum ellm_code { ELLM_CODE_HUFFMAN = 0, ELLM_CODE_NONE = 1, ELLM_CODE_FIELDS = 2 } ellm_code;
/* How a model is quantized. NONE: by the paper's method (bits, scheme). Else to target_value: BYTES of the whole file;
 * BITS a weight, counting everything that belongs to quantized matrices; or DIVERGENCE, the smallest file whose mean
 * divergence from the source is at most so many nats a token, on text that the model wrote and that was not used
 * otherwise. */
typedef enum ellm_target {
  ELLM_TARGET_NONE = 0, ELLM_TARGET_BYTES = 1, ELLM_TARGET_BITS = 2, ELLM_TARGET_DIVERGENCE = 3
} ellm_target;
/* What calibration finds out about the inputs of matrices. QUICK: their mean squares. FULL: their second moments, with
 * which the error of a column is made good in later columns. AUTO: FULL below a billion weights, else QUICK. */
typedef enum ellm_effort { ELLM_EFFORT_AUTO = 0, ELLM_EFFORT_QUICK = 1, ELLM_EFFORT_FULL = 2 } ellm_effort;
/* The text of the calibration. SELF: the model writes it. FILE: it is given. NONE: there is none, and only rows have
 * scales. AUTO: SELF where that is possible, else NONE with a note. */
typedef enum ellm_calibrate {
  ELLM_CALIBRATE_AUTO = 0, ELLM_CALIBRATE_SELF = 1, ELLM_CALIBRATE_FILE = 2, ELLM_CALIBRATE_NONE = 3
} ellm_calibrate;
/* How activations are represented where coded weights multiply them. F32: floats. I8 and I16: integers of one or two
 * digits of 8 bits, with a scale for each group; both are faster, and I16 loses next to nothing. Folders, and files
 * that were compressed without loss, run with F32 only. AUTO: F32 for these; for other .ellm files what
 * ellm_quality_activations says. With I8 the product that gives the logits still has two digits. */
typedef enum ellm_activations {
  ELLM_ACTIVATIONS_AUTO = 0, ELLM_ACTIVATIONS_F32 = 1, ELLM_ACTIVATIONS_I8 = 2, ELLM_ACTIVATIONS_I16 = 3
} ellm_activations;

enum { ELLM_MAX_DIMS = 8 };

/* What is known of one tensor of a model. Strings live as long as the object
 * that the description came from. */
typedef struct ellm_tensor_info {
  const char *name;
  int n_dims;
  uint64_t shape[ELLM_MAX_DIMS];
  uint64_t n_elements;
  ellm_dtype dtype;     /* of the source */
  bool kept;            /* stored verbatim, not quantized; the rest is then 0 */
  int bits;             /* code width, 2..8 */
  ellm_scheme scheme;   /* the scheme used, never MIXED */
  float step;           /* w' = (q - zero) * step * the scales of row and column; may be negative */
  int zero;
  bool row_scales, column_scales; /* rows, columns have a scale each */
  uint64_t outliers;    /* codes beyond the width, or beyond the fields, stored as exact patches */
  const char *layout;   /* "huffman", "levels", "fields", "plain8", "plain4"; static */
  int raw_bits;         /* low bits of a code stored verbatim; of fields their width */
  int tuple;            /* codes coded together as one symbol: 1 or 2 */
  int symbols;          /* leaves of the code book */
  double entropy;       /* of the codes, bits a weight */
  double huffman_bits_per_weight; /* unlimited single-symbol optimum */
  uint64_t payload_bytes; /* blocks only */
  uint64_t stored_bytes;  /* everything of this tensor: blocks, tables, padding, checksums, directory entry */
  /* Coded without loss: codes are exponents (of F16 with the highest bits of the fraction), what is left of the
   * elements is stored as it is and counted in entropy and huffman_bits_per_weight; scheme, step and zero are 0. */
  bool exact;
  uint64_t reserved[7];
} ellm_tensor_info;

/* Sums over the tensors of a file. */
typedef struct ellm_totals {
  uint64_t weights;        /* quantized weights, and those coded without loss */
  uint64_t parameters;     /* elements of all tensors */
  uint64_t file_bytes;
  uint64_t quantized_bytes;    /* stored_bytes over quantized tensors */
  double entropy;              /* weighted mean over quantized tensors, bits a weight */
  double huffman_bits_per_weight;
  double coded_bits_per_weight; /* 8 * quantized_bytes / weights: everything counted */
  uint64_t reserved[4];
} ellm_totals;

/* ---------------------------------------------------------------- compress */

typedef struct ellm_compress_options {
  size_t size;              /* set by ellm_compress_options_init */
  int bits;                 /* 2..8 */
  ellm_scheme scheme;
  const char *const *keep;  /* globs over full tensor names, stored verbatim */
  size_t n_keep;
  ellm_prefer prefer;
  ellm_code code;
  bool dry_run;             /* analyse only, write nothing; to a size: measure and plan */
  bool overwrite;           /* replace an existing output */
  bool resume;              /* keep OUT.partial when stopped, and continue from one */
  int threads;              /* 0 = all of the process's affinity */
  ellm_progress_fn progress; /* may be NULL */
  void *progress_user;
  /* Small files of the folder that are stored, too: configuration, tokenizer and chat templates always, licence and
   * model card unless no_assets, and those whose names match a glob of `include`. */
  const char *const *include;
  size_t n_include;
  bool no_assets;
  bool strict;              /* what could not be run is ELLM_ERR_INPUT before anything is written, not a warning */
  /* To a size; with ELLM_TARGET_NONE none of this is looked at, else bits, scheme and code are not. */
  ellm_target target;
  double target_value;
  ellm_effort effort;
  ellm_calibrate calibrate;
  const char *calibrate_file;    /* UTF-8 text, for ELLM_CALIBRATE_FILE */
  size_t calibration_sequences, calibration_length; /* of the text, in tokens; 0: 32 of 512 */
  uint64_t memory;               /* bytes that may be used, mapped files not counted; 0: 2.5 GB */
  /* Nothing is quantized: matrices are coded so that their elements come back bit for bit, NaN and -0 included. A
   * matrix that would not become smaller is kept. Excludes a target; bits, scheme, prefer and code are not looked
   * at. */
  bool lossless;
  ellm_machine machine;          /* for ELLM_PREFER_SPEED */
  const char *plan;              /* a file that keeps what was measured, for another size of the same model: it is read
                                    if it exists, else written; NULL: none */
  ellm_notes notes;              /* take notes before and during measuring, such as how long that will take */
} ellm_compress_options;

ELLM_INIT(ellm_compress_options) /* the program's defaults */

/* A small file of the source that a .ellm file holds: "config.json", "tokenizer.json", "LICENSE", ... */
typedef struct ellm_asset_info {
  const char *name;
  uint64_t bytes;
  uint64_t reserved[2];
} ellm_asset_info;

/* What a compression did (or would do, dry_run): allocated by the library, free with ellm_report_free. */
typedef struct ellm_report {
  ellm_tensor_info *tensors;
  size_t n_tensors;
  ellm_totals totals;
  uint64_t source_bytes;  /* tensor bytes read from the checkpoint */
  const char **warnings;  /* [n_warnings], a line each: things missing or ignored */
  size_t n_warnings;
  ellm_asset_info *assets; /* stored files, by name */
  size_t n_assets;
  const char *quality;    /* of a model compressed to a size: ellm_file_metadata "entrollm.quality"; else NULL */
  /* Of a model compressed to a size, what was expected before: a JSON object with "file_bytes", "bits_per_weight",
   * "divergence" (nats a token, null without calibration), "memory_bytes" (when running, with 4096 positions),
   * "measure_seconds", and "tensors", each with "name", "step" (relative to the root mean square of a row), "bits" (a
   * weight) and "damage" (its part of the divergence, or of the squared error); and "curve", of other sizes
   * "bits_per_weight" and "divergence", ascending, empty without calibration. A dry run's `totals` and `tensors` cover
   * what is not quantized. Else NULL. */
  const char *plan;
} ellm_report;

/* Compress a Hugging Face checkpoint folder, or a GGUF file, into one .ellm file. The same input gives the same bytes,
 * for every number of threads and every instruction set. The output appears under its name only when it is whole. Until
 * then its folder also needs room for the codes of the largest matrix, about a byte a weight. `report` may be NULL;
 * *report is NULL after an error. */
ELLM_API ellm_status ellm_compress(const char *checkpoint_dir, const char *out_path,
                                   const ellm_compress_options *options, ellm_report **report, ellm_error *err);
ELLM_API void ellm_report_free(ellm_report *report);

/* -------------------------------------------------------------- .ellm files */

typedef struct ellm_file ellm_file;

/* Map a file and check header and directory; blocks are checked when they are first used. It must not be written to
 * while it is open. Reading functions may be called from several threads at once. Free with ellm_file_close. */
ELLM_API ellm_status ellm_file_open(const char *path, ellm_file **file, ellm_error *err);
ELLM_API void ellm_file_close(ellm_file *file);

ELLM_API size_t ellm_file_tensor_count(const ellm_file *file);
/* index < count, in the order of the source; false if out of range. */
ELLM_API bool ellm_file_tensor(const ellm_file *file, size_t index, ellm_tensor_info *info);
ELLM_API void ellm_file_totals(const ellm_file *file, ellm_totals *totals);
/* Identities as 32 hex digits and NUL: of the source checkpoint, of this file. */
ELLM_API void ellm_file_identity(const ellm_file *file, char source[33], char self[33]);
/* Bytes of a stored source file ("config.json", "tokenizer.json", ...), or NULL. */
ELLM_API const void *ellm_file_asset(const ellm_file *file, const char *name, size_t *bytes);
/* All of them, by name; index < count, false if out of range. */
ELLM_API size_t ellm_file_asset_count(const ellm_file *file);
ELLM_API bool ellm_file_asset_at(const ellm_file *file, size_t index, ellm_asset_info *info);
/* A text for people and tools by its name, a JSON object mostly (docs/FORMAT.md lists them), or NULL; lives as long as
 * the file. */
ELLM_API const char *ellm_file_metadata(const ellm_file *file, const char *name);
/* What ELLM_ACTIVATIONS_AUTO stands for, for a quantized file with this metadata "entrollm.quality". It is I8 where
 * one digit adds at most a twentieth to the file's own divergence from its source; else I16, also where the text
 * does not say so, or is NULL. *added is the divergence of I8 from I16, *own that of I16 from the source, in nats a
 * token; -1: not known. Both may be NULL. */
ELLM_API ellm_activations ellm_quality_activations(const char *quality, double *added, double *own);
/* Decode all codes of a quantized tensor, one byte each, row by row, into codes[n_elements]; outliers as the nearest
 * code that fits. On `threads` threads, 0: all. ELLM_ERR_INPUT, naming the block, if one is damaged; ELLM_ERR_USAGE if
 * the tensor is kept or there is none of this index. */
ELLM_API ellm_status ellm_file_codes(const ellm_file *file, size_t index, int threads, uint8_t *codes, ellm_error *err);

typedef struct ellm_verify_options {
  size_t size;               /* set by ellm_verify_options_init */
  const char *against;       /* a checkpoint folder or a GGUF file; NULL: the file alone */
  int threads;               /* 0 = all of the process's affinity */
  ellm_progress_fn progress; /* bytes of the file; may be NULL */
  void *progress_user;
  bool requantize;           /* with `against`: also make the file once more and compare bytes */
  const char *calibrate_file; /* for that: the text that it was calibrated on, where it was one; else NULL */
} ellm_verify_options;
ELLM_INIT(ellm_verify_options)

/* What was found; allocated by the library, free with ellm_verify_free. */
typedef struct ellm_verify_result {
  bool ok;
  uint64_t checked_bytes;
  const char **problems; /* [n_problems], a line each: section, tensor and block; at most 1000 are kept */
  size_t n_problems;
} ellm_verify_result;

/* Check every byte of a file. With `against` also check that it holds what that checkpoint quantizes to; of a file
 * that was made to a size, that each matrix is as far from the checkpoint's as the file says. ELLM_ERR_DIFFERENCE
 * when problems were found; ELLM_ERR_INPUT when the file cannot be read as .ellm at all. `result` may be NULL;
 * *result is NULL unless the status is ELLM_OK or ELLM_ERR_DIFFERENCE. */
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

/* Write a dequantized Hugging Face folder, which appears under its name only when it is whole. It must not exist or be
 * empty unless `overwrite`. */
ELLM_API ellm_status ellm_decompress(const char *path, const char *out_dir, const ellm_decompress_options *options,
                                     ellm_error *err);

/* ----------------------------------------------------------------- sources */

/* Named tensors with a configuration and small files, wherever they lie: a checkpoint folder, a .ellm file or a GGUF
 * file, told apart by content. All but opening and closing may be called by several threads at once. */
typedef struct ellm_source ellm_source;
/* Free with ellm_source_close. */
ELLM_API ellm_status ellm_source_open(const char *path, ellm_source **source, ellm_error *err);
ELLM_API void ellm_source_close(ellm_source *source);
ELLM_API size_t ellm_source_tensor_count(const ellm_source *source);
/* index < count; false if out of range. A tensor that is not quantized is `kept`, its stored_bytes those of its
 * elements. */
ELLM_API bool ellm_source_tensor(const ellm_source *source, size_t index, ellm_tensor_info *info);
/* The index of a tensor by its name; false if there is none. */
ELLM_API bool ellm_source_find(const ellm_source *source, const char *name, size_t *index);
/* Elements [first, first + n) of a tensor, row by row, as float32 into values[n]: of a quantized one the weights that
 * its codes stand for. Cheap for pieces of 64 rows or more. Floats of 16, 32 and 64 bits only (ELLM_ERR_INPUT);
 * ELLM_ERR_USAGE beyond its elements. */
ELLM_API ellm_status ellm_source_read(const ellm_source *source, size_t index, uint64_t first, size_t n, float *values,
                                      ellm_error *err);
/* What it is as a whole, as a JSON object, malloc'ed: "format" ("GGUF", "safetensors", "ellm"), "architecture", sizes
 * ("layers", "hidden_size", "heads", "context", ...), "parameters", "tensor_bytes", "bits_per_weight", "types" (of
 * tensors as they are stored: "type", "tensors", "elements", "bytes", "bits_per_weight"), "tokenizer" (null: there is
 * none), "chat_template" (is there one?). What is not known is left out; further fields may come. */
ELLM_API ellm_status ellm_source_describe(const ellm_source *source, char **json, ellm_error *err);
/* Bytes of a small file ("config.json", "tokenizer.json", ...), owned by the source, or NULL. */
ELLM_API const void *ellm_source_asset(const ellm_source *source, const char *name, size_t *bytes);

/* --------------------------------------------------------------- tokenizer */

typedef struct ellm_tokenizer ellm_tokenizer;

/* From the bytes of a tokenizer.json. `origin` names it in errors. After creation a tokenizer may be used by several
 * threads at once. ELLM_ERR_INPUT, naming the part, where it is damaged or of a kind that is not supported. Free with
 * ellm_tokenizer_free. */
ELLM_API ellm_status ellm_tokenizer_create(const void *json, size_t bytes, const char *origin,
                                           ellm_tokenizer **tokenizer, ellm_error *err);
/* That of a model, a .ellm file or any folder with a tokenizer.json, or else a tokenizer.model (SentencePiece), without
 * opening the model. */
ELLM_API ellm_status ellm_tokenizer_open(const char *path, ellm_tokenizer **tokenizer, ellm_error *err);
ELLM_API void ellm_tokenizer_free(ellm_tokenizer *tokenizer);

typedef enum ellm_encode_flags {
  ELLM_ENCODE_DEFAULT = 0,
  ELLM_ENCODE_NO_POST = 1,         /* nothing added by the post-processor (no BOS) */
  ELLM_ENCODE_SPECIAL_AS_TEXT = 2  /* added tokens with special: true are not recognized */
} ellm_encode_flags;

/* Text (any bytes; invalid UTF-8 becomes U+FFFD as Python's errors="replace" does) to ids. *ids is malloc'ed. `flags`
 * are ellm_encode_flags. */
ELLM_API ellm_status ellm_tokenizer_encode(const ellm_tokenizer *tokenizer, const char *text, size_t bytes,
                                           unsigned flags, uint32_t **ids, size_t *n_ids, ellm_error *err);
/* Ids to text as the `tokenizers` library decodes the whole sequence. *text is malloc'ed and NUL-terminated; *bytes
 * does not count the NUL. */
ELLM_API ellm_status ellm_tokenizer_decode(const ellm_tokenizer *tokenizer, const uint32_t *ids, size_t n_ids,
                                           bool skip_special, char **text, size_t *bytes, ellm_error *err);
ELLM_API size_t ellm_tokenizer_vocab_size(const ellm_tokenizer *tokenizer);             /* largest id + 1 */
ELLM_API const char *ellm_tokenizer_piece(const ellm_tokenizer *tokenizer, uint32_t id); /* NULL if none */
/* The id of a piece as it stands in the vocabulary, and whether an id is an added token with special: true. */
ELLM_API bool ellm_tokenizer_find(const ellm_tokenizer *tokenizer, const char *piece, uint32_t *id);
ELLM_API bool ellm_tokenizer_is_special(const ellm_tokenizer *tokenizer, uint32_t id);

/* ------------------------------------------------------------------- model */

typedef struct ellm_model ellm_model;
typedef struct ellm_sequence ellm_sequence;

/* Element type of the KV cache. DEFAULT: F32 with f32 activations, which allow no other, else F16. Q8: integers of 8
 * bits with a scale for each head and position, about half the memory of F16; logits change a little. */
typedef enum ellm_cache_type {
  ELLM_CACHE_DEFAULT = 0,
  ELLM_CACHE_F32 = 1,
  ELLM_CACHE_F16 = 2,
  ELLM_CACHE_Q8 = 3
} ellm_cache_type;

typedef struct ellm_team ellm_team; /* several that compute one model together: entrollm_team.h */
typedef struct ellm_model_options {
  size_t size;                 /* set by ellm_model_options_init */
  int threads;                 /* 0 = all of the process's affinity */
  ellm_activations activations;
  ellm_cache_type cache_type;
  bool check_all;              /* verify every checksum at opening */
  bool lock_memory;            /* keep a .ellm file in memory (mlock) */
  bool load;                   /* copy a .ellm file into memory with huge pages instead of mapping it: starts later,
                                  runs faster, is not shared with other processes */
  bool expand;                 /* decode all weights of a .ellm file once, into plain codes in memory: a byte a weight,
                                  half of one up to 4 bits. The same results; starts later, generates faster where
                                  decoding is slower than memory */
  ellm_notes notes;            /* what opening has to say */
  uint32_t cache_positions;    /* of the pool of pages (see below), rounded up to whole pages; 0: the smaller of 4096
                                  and max_context. Memory is taken with the first sequence and touched as it fills */
  ellm_progress_fn progress;   /* of load (stage "load"), lock_memory ("lock"), expand ("expand") and check_all ("check"),
                                  one after the other, in bytes of the file; may be NULL. Nothing else of opening takes
                                  long */
  void *progress_user;
  const ellm_team *team;       /* what it points at outlives the model; NULL: alone */
} ellm_model_options;

ELLM_INIT(ellm_model_options) /* all threads, AUTO, DEFAULT, no check */

/* Open a .ellm file, a checkpoint folder or a GGUF file, told apart by content. Free with ellm_model_close. A model may
 * be used by several threads at once: evaluations wait for each other, the rest does not. ELLM_ERR_INPUT, naming what
 * is missing or not supported, where it cannot be run. */
ELLM_API ellm_status ellm_model_open(const char *path, const ellm_model_options *options, ellm_model **model,
                                     ellm_error *err);
/* Sequences may outlive their model: it goes when the last of them goes. They can be looked at and freed then, and
 * evaluating them is ELLM_ERR_USAGE. */
ELLM_API void ellm_model_close(ellm_model *model);

typedef struct ellm_model_info {
  const char *architecture;    /* "LlamaForCausalLM" */
  uint32_t vocab_size;         /* rows of the embedding */
  uint32_t hidden_size, n_layers, n_heads, n_kv_heads, head_dim;
  uint32_t max_context;        /* positions that can be computed: max_position_embeddings mostly */
  const char *max_context_reason; /* why not more, where other programs go on (static, for messages); else NULL */
  uint64_t parameters;
  ellm_activations activations;  /* in use, never AUTO */
  ellm_cache_type cache_type;    /* in use, never DEFAULT */
  int64_t bos_id;              /* -1 if none */
  uint32_t eos_ids[16];        /* ids that end a turn: generation_config's, else config's, else those of the
                                * architecture's class; and eos_token of tokenizer_config.json */
  size_t n_eos;
  /* generation_config's defaults; negative when not given there */
  int do_sample;
  float temperature, top_p, min_p, repetition_penalty;
  int top_k;                   /* 0: all tokens; 50 where nothing names it, as in Transformers */
  uint64_t reserved[8];
} ellm_model_info;

/* From any thread; strings belong to the model. */
ELLM_API void ellm_model_get_info(const ellm_model *model, ellm_model_info *info);
/* The model's own tokenizer, owned by the model. ELLM_ERR_INPUT when it has none. */
ELLM_API ellm_status ellm_model_tokenizer(ellm_model *model, const ellm_tokenizer **tokenizer, ellm_error *err);
/* A small file of the checkpoint ("config.json", ...), a NUL behind it; owned by the model. `bytes` may be NULL. NULL
 * where there is none of that name; then *bytes is 0. */
ELLM_API const void *ellm_model_asset(ellm_model *model, const char *name, size_t *bytes);

/* --------------------------------------------------------------- sequences */

/*
 * A sequence is a list of token ids and what the model computed from them: keys and values, in pages of 16 positions.
 * Pages come from one pool, which belongs to the model and whose size is stated in advance. Sequences share pages:
 * a fork takes none until it goes on. Many sequences are evaluated together, in one batch, each weight being decoded
 * once for all of them; the logits of a sequence never depend on what else is in the batch, nor on threads,
 * instruction set, or on how its ids were cut into batches.
 *
 * Threads: a sequence is used by one thread at a time; a second one is told so (ELLM_ERR_USAGE) where a call can fail.
 * Different sequences of a model may be used by different threads; evaluations of one model wait for each other.
 */
enum { ELLM_PAGE_POSITIONS = 16 };

/* Make the pool at least `positions` large in all. What sequences hold stays; needs memory for both pools meanwhile. */
ELLM_API ellm_status ellm_model_reserve(ellm_model *model, uint32_t positions, ellm_error *err);
/* Bytes of keys and values that so many positions, rounded up to whole pages, take; UINT64_MAX: more than 64 bits
 * hold. */
ELLM_API uint64_t ellm_model_cache_bytes(const ellm_model *model, uint64_t positions);
/* Positions of the pool and those of its free pages; either pointer may be NULL. */
ELLM_API void ellm_model_cache_usage(ellm_model *model, uint32_t *positions, uint32_t *free_positions);

/* An empty sequence. Free with ellm_sequence_free. */
ELLM_API ellm_status ellm_sequence_create(ellm_model *model, ellm_sequence **sequence, ellm_error *err);
/* A sequence that begins with all that `from` holds. Takes no page: both share them until one of them goes on. */
ELLM_API ellm_status ellm_sequence_fork(const ellm_sequence *from, ellm_sequence **sequence, ellm_error *err);
/* While another thread evaluates it, it goes as soon as that is done. */
ELLM_API void ellm_sequence_free(ellm_sequence *sequence);

ELLM_API uint32_t ellm_sequence_length(const ellm_sequence *sequence);
/* The ids of all positions, [length]; valid until the sequence is next evaluated or restored. */
ELLM_API const uint32_t *ellm_sequence_ids(const ellm_sequence *sequence);
/* Forget all positions from `length` on; a length beyond the sequence's changes nothing. Fails only where another
 * thread uses the sequence. */
ELLM_API ellm_status ellm_sequence_truncate(ellm_sequence *sequence, uint32_t length, ellm_error *err);
/* Say how long the sequence will become, where that is known. Models of rope type longrope take other factors for
 * long texts: those of the length that is reached or announced, whichever is greater. A sequence that crosses the
 * boundary is computed anew from its ids, unless that was announced. It stays so until another length is announced;
 * 0: none. */
ELLM_API ellm_status ellm_sequence_announce(ellm_sequence *sequence, uint32_t length, ellm_error *err);

/* What is added to one sequence: ids[n_ids]. Rows of logits of the last n_logits (<= n_ids) positions are written to
 * logits[n_logits * vocab_size]; 0 and NULL for none. */
typedef struct ellm_batch_item {
  ellm_sequence *sequence;
  const uint32_t *ids;
  size_t n_ids;
  float *logits;
  size_t n_logits;
} ellm_batch_item;

/* Append ids to sequences of the model and compute them, all in one batch: any mixture of prompts and single tokens.
 *
 * After any error every sequence has the ids that it had, and can go on; contents of logits are undefined. Two things
 * may have changed: pages that sequences shared may have been copied, one for each; and a longrope sequence whose
 * factors were to change may have to compute its keys and values again, which it does when it is next evaluated (it
 * cannot be saved before). ELLM_ERR_FULL: the pool is full. ELLM_ERR_INPUT: a sequence would be longer than the pool or
 * than the model's context, or an id is beyond the vocabulary. ELLM_ERR_USAGE: a sequence comes twice, is of another
 * model, or is in use by another thread.
 *
 * Logits of items that lie one behind the other in memory, in the order of the items, are written without a copy. */
ELLM_API ellm_status ellm_evaluate(ellm_model *model, const ellm_batch_item *items, size_t n_items, ellm_error *err);

/* ELLM_ERR_INPUT, naming position and id, where one of row[vocab_size] is NaN or +infinity: the model cannot tell what
 * comes next. -infinity (a masked id) is none. */
ELLM_API ellm_status ellm_logits_check(const float *row, size_t vocab_size, uint32_t position, ellm_error *err);

/* Prompt caches (docs/format/prompt-cache.md): the ids of a sequence with their keys and values, in a file that is
 * bound to the model, its activations and its cache type. Evaluation goes on after restoring exactly as it would
 * have without. For a checkpoint folder the first of these calls reads all weights once, to identify them; `progress`
 * (may be NULL) is called then, stage "identify", and can stop that: ELLM_INTERRUPTED, and nothing has changed.
 *
 * Write all positions to `path`, which appears under its name only when it is whole and replaces what was there.
 * An empty sequence, or one that a failed evaluation has left without keys and values, is ELLM_ERR_USAGE. */
ELLM_API ellm_status ellm_sequence_save(const ellm_sequence *sequence, const char *path, ellm_progress_fn progress,
                                        void *user, ellm_error *err);
/* Replace what the sequence holds by the positions of a prompt cache up to the first that differs from ids[n_ids],
 * by as many as the pool has room for where ids is NULL; their number is the sequence's length then. A cache that
 * is damaged or does not belong to the model, its activations or its cache type is ELLM_ERR_INPUT; the sequence is
 * left as it was. */
ELLM_API ellm_status ellm_sequence_restore(ellm_sequence *sequence, const char *path, const uint32_t *ids,
                                           size_t n_ids, ellm_progress_fn progress, void *user, ellm_error *err);

/* What binds a prompt cache to its model: 32 hex digits and NUL, a .ellm file's own identity, or one of all weights
 * of a folder, which are read once for it. From any thread; `progress` as above. */
ELLM_API ellm_status ellm_model_identity(ellm_model *model, char text[33], ellm_progress_fn progress, void *user,
                                         ellm_error *err);

/* ---------------------------------------------------------------- grammars */

/*
 * What a text can be, as GBNF or as a JSON Schema (docs/GRAMMARS.md has both, what of a schema is supported, and the
 * limits). A grammar does not change, and may be used by several threads and any number of answers at once. Which
 * tokens can come where is found out when it is first asked for, and kept in the grammar: so keep a grammar that is
 * needed again. `tokenizer` is the model's own (ellm_model_tokenizer); the grammar may outlive it. `origin` names the
 * text in errors; NULL: "the grammar", "the schema". ELLM_ERR_INPUT names the line, or the JSON pointer and the
 * keyword, where the text is damaged, not supported, begins with itself, never ends, or is too large. Free with
 * ellm_grammar_free; answers that use it keep what they need.
 */
typedef struct ellm_grammar ellm_grammar;
ELLM_API ellm_status ellm_grammar_create(const ellm_tokenizer *tokenizer, const char *text, size_t bytes,
                                         const char *origin, ellm_grammar **grammar, ellm_error *err);
ELLM_API ellm_status ellm_grammar_create_schema(const ellm_tokenizer *tokenizer, const char *json, size_t bytes,
                                                const char *origin, ellm_grammar **grammar, ellm_error *err);
ELLM_API void ellm_grammar_free(ellm_grammar *grammar);
/* Memory that it takes; the tokenizer's vocabulary, which all grammars of one share, does not count. Never waits. */
ELLM_API size_t ellm_grammar_bytes(const ellm_grammar *grammar);
/* Take at most so much memory from now on; without this call it is 192 MiB and the grammar itself. Beyond half of it
 * the grammar forgets what no answer needs; an answer fails where one token needs more than all. ELLM_ERR_INPUT if
 * it takes more than half already. */
ELLM_API ellm_status ellm_grammar_limit(ellm_grammar *grammar, size_t bytes, ellm_error *err);
/* Forget at once what no answer needs. */
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
  /* What is added to logits, after the repetition penalty: the bias of an id, and for ids that were accepted after the
   * first n_prompt ones: less presence_penalty, and less frequency_penalty for each time. */
  float frequency_penalty, presence_penalty; /* 0 = off; -100..100 */
  const ellm_bias *biases;                   /* [n_biases], copied; the last of an id counts */
  size_t n_biases;
  size_t n_prompt;       /* the generator sets it */
} ellm_sampling;
ELLM_INIT(ellm_sampling) /* greedy, all filters off, seed 0 */
/* Set what the model's generation_config asks for, over what ellm_sampling_init has set. A model that does not ask for
 * sampling stays greedy. top_k is 50 where it names none, as in Transformers. */
ELLM_API void ellm_model_sampling(const ellm_model *model, ellm_sampling *sampling);

/* Chooses the tokens of one sequence; one thread at a time. The same seed and logits give the same ids everywhere. */
typedef struct ellm_sampler ellm_sampler;
ELLM_API ellm_status ellm_sampler_create(const ellm_sampling *sampling, uint32_t vocab_size, ellm_sampler **sampler,
                                         ellm_error *err);
ELLM_API void ellm_sampler_free(ellm_sampler *sampler);
ELLM_API void ellm_sampler_accept(ellm_sampler *sampler, uint32_t id); /* id is now part of the sequence */
/* The next id of logits[vocab_size], those of the last accepted one. NaN or +infinity among them is ELLM_ERR_INPUT, and
 * *id is 0. Allocates nothing. */
ELLM_API ellm_status ellm_sampler_next(ellm_sampler *sampler, const float *logits, uint32_t *id, ellm_error *err);

/* -------------------------------------------------------------- generation */

/*
 * A generator computes answers to many requests together. Requests may come at any time; each step is one batch of the
 * model: the next id of every answer that is being generated and a piece of the prompts that are being read, so that a
 * long prompt does not keep the others waiting. What prompts have in common is computed once. An answer is that of its
 * request alone, bit for bit, whatever else is computed with it.
 *
 * The keys and values of all of them come from the model's pool. Requests that it has no room for wait; if it is full
 * in a step, the answer that was begun last gives its pages back and is computed anew later, with the same result.
 *
 * Threads: a generator, its answers and the sequences of its requests are used by one thread at a time, but for
 * ellm_answer_cancel. The library prints nothing and looks at no signals: who runs it does.
 */
typedef struct ellm_generator ellm_generator;
typedef struct ellm_answer ellm_answer;

typedef struct ellm_generator_options {
  size_t size;   /* set by ellm_generator_options_init */
  size_t most;   /* answers that are computed together, up to 256; others wait. 0: 16 */
  size_t piece;  /* ids of prompts a step, while answers are being generated. 0: 32; without any, a step takes 256 */
  size_t keep;   /* sequences of ended answers that stay in the pool, for requests that begin alike. 0: none */
} ellm_generator_options;
ELLM_INIT(ellm_generator_options) /* size; else 0 */

/* The generator keeps the model. Where the model is closed first, requests are refused (ELLM_ERR_USAGE) and answers
 * that have not ended fail. `options` may be NULL. */
ELLM_API ellm_status ellm_generator_create(ellm_model *model, const ellm_generator_options *options,
                                           ellm_generator **generator, ellm_error *err);
ELLM_API void ellm_generator_free(ellm_generator *generator); /* with all of its answers */

/* Why an answer has ended. */
typedef enum ellm_end {
  ELLM_END_NOT = 0,       /* it has not */
  ELLM_END_LIMIT = 1,     /* as many ids as were asked for */
  ELLM_END_ID = 2,        /* an id that ends it; it is not among the answer's ids */
  ELLM_END_STOP = 3,      /* a stop string; the text ends before it */
  ELLM_END_CONTEXT = 4,   /* no position is left: of the request or of the model's context */
  ELLM_END_FULL = 5,      /* no page is left in the model's pool, and no other answer could give way */
  ELLM_END_CANCELLED = 6,
  ELLM_END_FAILED = 7,    /* ellm_answer_error says why */
  ELLM_END_GRAMMAR = 8    /* the grammar of the request lets nothing more come: the text is whole */
} ellm_end;
ELLM_API const char *ellm_end_name(ellm_end end); /* "length", "eos", "stop", "context", ...; static */

typedef struct ellm_chance { uint32_t id; double log_probability; } ellm_chance;
enum { ELLM_MAX_CHANCES = 32 };

/* What an answer has become longer by. */
typedef struct ellm_answer_part {
  bool has_id;
  uint32_t id;      /* the new id, if there is one */
  const char *text; /* text[bytes], whole UTF-8 characters, often empty; valid during the call */
  size_t bytes;
  /* Where the request asks for chances (n_chances > 0) and there is an id: the natural logarithm of the probability
   * that the model gave it, and the likeliest ids, [n_top], likeliest first; equal ones by id. Of the model's logits
   * as they are, before penalties, biases and filters. Valid during the call. */
  double log_probability;
  const ellm_chance *top;
  size_t n_top;
} ellm_answer_part;

typedef struct ellm_request {
  size_t size;                   /* set by ellm_request_init */
  const uint32_t *prompt;        /* [n_prompt], at least 1; copied, as everything here */
  size_t n_prompt;
  size_t limit;                  /* new ids at most; SIZE_MAX: any number. 0: the prompt is computed, no more */
  uint32_t positions;            /* of prompt and answer at most; 0: the model's context */
  const ellm_sampling *sampling; /* NULL: greedy */
  const uint32_t *end_ids;       /* [n_end_ids] that end the answer; NULL: the model's (ellm_model_info.eos_ids) */
  size_t n_end_ids;
  bool ignore_end;               /* none ends it */
  const char *const *stops;      /* [n_stops] texts that end the answer before them; not empty */
  size_t n_stops;
  bool no_text;                  /* ids only, without stop strings: the model needs no tokenizer */
  ellm_sequence *sequence;       /* the caller's, for prompt and answer: positions that agree with the prompt are kept.
                                    It must outlive the answer and serve no other meanwhile, nor be used otherwise.
                                    NULL: one of the generator's */
  /* Called in ellm_generator_step when the answer has grown, and once more at the end where text was held back. False:
   * it is cancelled. Must not call the generator; the request's own sequence, which holds all ids but the newest, may
   * be read and saved. NULL: none. */
  bool (*take)(void *user, const ellm_answer *answer, const ellm_answer_part *part);
  /* Called when no position is left. Sets *prompt[*n_prompt], malloc'ed, to take the place of the prompt before the
   * ids of the answer, so that both with one more id fit; leaves NULL: it ends (ELLM_END_CONTEXT). An error ends the
   * answer with it. NULL: none. */
  ellm_status (*make_room)(void *user, const ellm_answer *answer, uint32_t **prompt, size_t *n_prompt,
                           ellm_error *err);
  void *user;
  /* What the text of the answer can be. It must be made for the model's tokenizer (else ELLM_ERR_USAGE). Ids that
   * cannot come next are no candidates of sampling; nor are ids that end the answer, as long as the grammar cannot
   * end. The answer ends with ELLM_END_GRAMMAR where nothing more can come, and fails where more must come and no
   * token fits. A limit, a stop string and a full context end it as always. NULL: any text. */
  const ellm_grammar *grammar;
  size_t n_chances;              /* up to ELLM_MAX_CHANCES: parts tell the likeliest ids with their log-probabilities; a
                                    token then takes a pass over its logits more. 0: they do not */
} ellm_request;
ELLM_INIT(ellm_request) /* size, no limit; else NULL, 0 and false */

/* Queue a request. The answer belongs to the generator; free it with ellm_answer_free or leave that to
 * ellm_generator_free. ELLM_ERR_INPUT: the prompt has no ids, more than there are positions, or one beyond the
 * vocabulary; the model has no tokenizer. ELLM_ERR_USAGE: the sequence is another model's or serves an answer that
 * has not ended; a stop string is empty; the model was closed. */
ELLM_API ellm_status ellm_generator_add(ellm_generator *generator, const ellm_request *request, ellm_answer **answer,
                                        ellm_error *err);
/* One batch. *more (may be NULL): there are answers that have not ended. What goes wrong with one answer ends that
 * one (ELLM_END_FAILED); an error of the evaluation itself is returned, all answers are as before, and another step
 * may be tried. */
ELLM_API ellm_status ellm_generator_step(ellm_generator *generator, bool *more, ellm_error *err);
/* Steps until all answers have ended. go_on (may be NULL) is asked before each: false, ELLM_INTERRUPTED, and it can be
 * run on. */
ELLM_API ellm_status ellm_generator_run(ellm_generator *generator, bool (*go_on)(void *user), void *user,
                                        ellm_error *err);

/* The sequences that stay in the pool (ellm_generator_options.keep), the oldest first; NULL: there are not so many.
 * They belong to the generator, and may be read and saved until its next step or change. */
ELLM_API const ellm_sequence *ellm_generator_kept(const ellm_generator *generator, size_t index);
/* Let it keep one more, as its newest: requests that begin like it need not compute that. The sequence belongs to the
 * generator then, also where nothing is kept. ELLM_ERR_USAGE, and it stays the caller's: it is of another model. */
ELLM_API ellm_status ellm_generator_keep(ellm_generator *generator, ellm_sequence *sequence, ellm_error *err);

/* From any thread, while the answer is there: it ends with the next step, which hands out the text held back. */
ELLM_API void ellm_answer_cancel(ellm_answer *answer);
ELLM_API void ellm_answer_free(ellm_answer *answer); /* also one that has not ended */

typedef struct ellm_answer_info {
  ellm_end end;
  size_t n_prompt;        /* ids of the prompt that was asked with */
  size_t n_kept;          /* of these, those that were there already: in the request's sequence or another answer's */
  size_t n_ids;           /* of the answer */
  double prompt_seconds;  /* from the first batch with this request to the first logits */
  double seconds;         /* from there to the newest id */
  uint64_t reserved[4];
} ellm_answer_info;
ELLM_API void ellm_answer_get_info(const ellm_answer *answer, ellm_answer_info *info);
/* The ids, [n_ids], and the text, without special tokens and NUL-terminated; both valid until the next step. The
 * numbers may be NULL. */
ELLM_API const uint32_t *ellm_answer_ids(const ellm_answer *answer, size_t *n_ids);
ELLM_API const char *ellm_answer_text(const ellm_answer *answer, size_t *bytes);
/* Of an answer that has failed: its status, and *err (may be NULL); else ELLM_OK. */
ELLM_API ellm_status ellm_answer_error(const ellm_answer *answer, ellm_error *err);

/* -------------------------------------------------------------------- chat */

/* The chat templates of a model. After opening a chat may be used by several threads at once. */
typedef struct ellm_chat ellm_chat;

typedef struct ellm_chat_options {
  size_t size;            /* set by ellm_chat_options_init */
  const char *name;       /* of one of the model's templates; NULL: "tool_use" for conversations with tools (an empty
                             list, too) where there is one, else "default" */
  const char *source;     /* a template (Jinja, UTF-8) to take instead of the model's; NULL: none */
  size_t source_bytes;
  const char *origin;     /* names `source` in errors; NULL: "the template" */
} ellm_chat_options;
ELLM_INIT(ellm_chat_options) /* size; else NULL and 0 */

/* A conversation, to be rendered. */
typedef struct ellm_conversation {
  size_t size;            /* set by ellm_conversation_init */
  const char *json;       /* a list of messages, or an object: "messages", and where given "tools" and "documents"; its
                             other fields are variables of the template and go before the model's own (bos_token ...) */
  size_t bytes;
  const char *origin;     /* names it in errors; NULL: "the conversation" */
  bool answer;            /* end with the beginning of an answer */
  bool recognize_special; /* ellm_chat_encode: special tokens that stand in messages are tokens, not text */
  const struct tm *now;   /* local time for templates that ask for it, which are refused without; may be NULL */
} ellm_conversation;
ELLM_INIT(ellm_conversation) /* size; else NULL, 0 and false */

/* `options` may be NULL. ELLM_ERR_INPUT where the model has no such template, or one that is not understood. The chat
 * keeps the model, whose tokenizer it uses. */
ELLM_API ellm_status ellm_chat_open(ellm_model *model, const ellm_chat_options *options, ellm_chat **chat,
                                    ellm_error *err);
/* Of a .ellm file or of a folder, which needs nothing but its templates. Texts only: ellm_chat_encode is refused, and
 * there are no ids that end an answer. */
ELLM_API ellm_status ellm_chat_open_files(const char *path, const ellm_chat_options *options, ellm_chat **chat,
                                          ellm_error *err);
ELLM_API void ellm_chat_free(ellm_chat *chat);

/* The text of a conversation. *text is malloc'ed and NUL-terminated; *bytes does not count the NUL. A template that
 * refuses the conversation is ELLM_ERR_INPUT. */
ELLM_API ellm_status ellm_chat_render(const ellm_chat *chat, const ellm_conversation *conversation, char **text,
                                      size_t *bytes, ellm_error *err);
/* The ids of that text, nothing added by the tokenizer's post-processor. Special tokens that stand in messages, tools
 * and documents are text, unless `recognize_special`: docs/ARCHITECTURE.md, "Conversations", says how, and where that
 * ends. *ids is malloc'ed. */
ELLM_API ellm_status ellm_chat_encode(const ellm_chat *chat, const ellm_conversation *conversation, uint32_t **ids,
                                      size_t *n_ids, ellm_error *err);
/* The ids that end an answer of a chat: the model's own (ellm_model_info.eos_ids) and, where the vocabulary has no
 * "<|channel|>", the special token that the template writes after an answer. Owned by the chat; their number. */
ELLM_API size_t ellm_chat_end_ids(const ellm_chat *chat, const uint32_t **ids);

#ifdef __cplusplus
}
#endif

#include "entrollm_bench.h"
#include "entrollm_eval.h"
#include "entrollm_team.h"

#endif
