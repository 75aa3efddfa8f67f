/* SPDX-License-Identifier: Apache-2.0 */
/* How a server is to be run. */
#ifndef ELLM_SERVE_OPTIONS_H
#define ELLM_SERVE_OPTIONS_H

#include "entrollm.h"

enum { SERVE_GRACE_SECONDS = 3, SERVE_STOP_SECONDS = 5 };

typedef struct serve_options {
  const char *host;         /* name or address to listen at */
  int port;                 /* 0: any, which is told */
  const char *unix_path;    /* a socket of this name instead; NULL: host and port */
  const char *model_path;   /* file or folder that the model was opened from: it is watched */
  const char *model_name;   /* as clients see it */
  size_t parallel;          /* answers computed together, 1..256 */
  uint32_t context;         /* tokens of one conversation; the pool holds parallel times as many */
  size_t queue;             /* answers that wait at most */
  const char *const *keys;  /* [n_keys], one of which a client must have; 0: none is asked for */
  size_t n_keys;
  const char *cors;         /* an origin whose pages may use it, "*": all; NULL: none */
  double timeout;           /* seconds that an answer may take, waiting included */
  size_t body_bytes;        /* of a request at most */
  size_t connections;       /* at once */
  const char *prompt_folder; /* of prompt caches (prompts.h); NULL: none are kept */
  uint64_t prompt_bytes;    /* that they may take */
  int stop_descriptor;      /* can be read when it shall end */
  bool (*damaged)(void);    /* has a read of the model's file failed (SIGBUS)? NULL: nobody knows */
  void (*note)(const char *line); /* what is not as it should be and stops nothing; as `log`. NULL: nobody asks */
  void (*log)(const char *line); /* one line, without newline; from any thread, one at a time */
} serve_options;

#endif
