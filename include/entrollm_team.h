/* SPDX-License-Identifier: Apache-2.0 */
/* The part of entrollm.h for teams. entrollm.h includes it, and the rules at the top of entrollm.h apply here. */
#ifndef ENTROLLM_TEAM_H
#define ENTROLLM_TEAM_H
#ifndef ENTROLLM_H
#error "include entrollm.h"
#endif

/*
 * A team is several processes that compute one model together. Each opens the same file with the same options except
 * `rank`, and makes the same calls in the same order with the same arguments. Each then reads its share of the rows of
 * every matrix, keeps its share of the heads in the KV cache, and gets all logits, the same bits as from one process.
 * If a call fails on one rank, the others wait in gather, which has to end them.
 */
enum { ELLM_TEAM_MOST = 1024 };
struct ellm_team {
  uint32_t rank, n_ranks;
  const uint32_t *shares;      /* [n_ranks], not 0; {1, 2} means a third and two thirds. NULL: equal shares */
  /* Exchanges columns of rows[n_rows][stride]. Rank r brings columns first[r] to first[r + 1] - 1 of every row. When it
   * returns, all ranks have all columns, bit for bit. `first` has n_ranks + 1 ascending entries; a rank's range may be
   * empty. Called by the thread that evaluates. */
  ellm_status (*gather)(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err);
  void *user;
};

/*
 * Processes that compress one source together. Each calls ellm_compress with the
 * same source, output and options except `rank`. Each reads and codes its share of the matrices, into a file of its own
 * beside the output (OUT.1-of-4.partial); then rank 0 joins them. The output has the bytes that one process gives. Only
 * rank 0 writes it, and only its report is whole. With `resume` a later call with the same team continues: nothing of
 * what any rank has finished is lost.
 * With a target, all ranks measure the model together, as members of a team (ellm_team), unless rank 0 has a plan with
 * all that is measured. Then rank 0 codes the matrices alone.
 * If a call fails on one rank, the others wait in `pass`, which has to end them.
 */
struct ellm_compress_team {
  uint32_t rank, n_ranks;
  const uint32_t *shares;      /* [n_ranks], not 0: how much each does; NULL: equal shares */
  /* Called on rank `from` and on rank `to`, one of which is 0. `from` sends data[bytes] and `to` receives it, in the
   * order of the calls. At most 64 KiB. */
  ellm_status (*pass)(void *user, uint32_t from, uint32_t to, void *data, size_t bytes, ellm_error *err);
  /* As ellm_team's; for a target alone, else it may be NULL. */
  ellm_status (*gather)(void *user, float *rows, size_t n_rows, size_t stride, const uint32_t *first, ellm_error *err);
  void *user;
};

/* The shares that a model computes with as a member of a team: those of its options or, where its file is a part, of
 * that; NULL: all alike, or alone. They live as long as the model. */
ELLM_API const uint32_t *ellm_model_shares(const ellm_model *model);

/* Do two lists give each of n ranks the same part of the whole? {1, 2} and {2, 4} do. NULL: equal shares. */
ELLM_API bool ellm_same_shares(const uint32_t *a, const uint32_t *b, uint32_t n);

/* What a member of the model's team has. */
typedef struct ellm_team_member {
  uint32_t heads, kv_heads;    /* of queries; of keys and values, of which several members may keep the same one */
  uint64_t file_bytes;         /* what it reads of the .ellm file, its rows of a matrix counted as a share of the matrix;
                                  0: the model is not a .ellm file */
  uint64_t cache_bytes;        /* of the KV cache, for the positions that were asked for */
  uint64_t reserved[4];
} ellm_team_member;
/* ELLM_ERR_USAGE: the model has no team, or `rank` is none of its ranks. Any member can ask for any rank. */
ELLM_API ellm_status ellm_model_member(const ellm_model *model, uint32_t rank, uint64_t positions,
                                       ellm_team_member *member, ellm_error *err);

/*
 * Parts of a model: for each member of a team, a file that holds what this member reads, and no more. Only the member
 * with its number in a team of its size opens a part. Everything that needs a whole model refuses it and says what it
 * is (ELLM_ERR_INPUT). The identity of its model (ellm_model_identity) is that of the whole.
 */
typedef struct ellm_part_info {
  uint32_t number, n_parts;    /* 1 to n_parts; of rank number - 1 */
  const uint32_t *shares;      /* [n_parts], as ellm_team's; of the file */
  char whole[33];              /* identity of the file that was split: 32 hex digits and NUL */
  uint64_t whole_bytes;        /* its size */
  uint64_t reserved[4];
} ellm_part_info;
/* False, and *part all zero: the file is a whole one. */
ELLM_API bool ellm_file_part(const ellm_file *file, ellm_part_info *part);

typedef struct ellm_split_options {
  size_t size;                 /* set by ellm_split_options_init */
  uint32_t n_parts;            /* 2 to ELLM_TEAM_MOST */
  const uint32_t *shares;      /* [n_parts], not 0; NULL: all alike */
  bool overwrite;              /* replace files that are there */
  ellm_progress_fn progress;   /* bytes of the whole, once a part; may be NULL */
  void *progress_user;
} ellm_split_options;
ELLM_INIT(ellm_split_options) /* n_parts has no default */

typedef struct ellm_split_part {
  uint64_t file_bytes;
  uint64_t divided_bytes;      /* of matrices of which it has its rows */
} ellm_split_part;

/* Allocated by the library, free with ellm_split_report_free. */
typedef struct ellm_split_report {
  uint64_t whole_bytes;
  /* What every part has: coded tensors that are needed whole (embedding, routers), kept ones (norms), small files. */
  uint64_t coded_bytes, kept_bytes, small_file_bytes;
  ellm_split_part *parts;      /* [n_parts] */
  size_t n_parts;
} ellm_split_report;

enum { ELLM_PART_NAME_BYTES = 40 };
/* "part-2-of-4.ellm": what ellm_split calls a part. */
ELLM_API void ellm_split_part_name(uint32_t number, uint32_t n_parts, char name[ELLM_PART_NAME_BYTES]);
/* Write the parts of a .ellm file into a folder, which is made where it is missing. Each appears under its name when it
 * is whole and on the disk. ELLM_ERR_EXISTS, before anything is written, where one is there and not to be replaced.
 * `report` may be NULL. */
ELLM_API ellm_status ellm_split(const char *path, const char *folder, const ellm_split_options *options,
                                ellm_split_report **report, ellm_error *err);
ELLM_API void ellm_split_report_free(ellm_split_report *report);

#endif
