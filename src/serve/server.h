/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the server share. Three kinds of threads meet here, under
 * one lock, which is held for moments only:
 *
 *   the connections' thread (http.c)   moves bytes; a request that is whole is handed on, and its connection suspended
 *   two that prepare (work.c)          parse bodies, render templates, make ids of texts
 *   the engine (engine.c)              the only one that uses the generator; hands out what answers have grown by
 *
 * A request is a `job` (job.h), counted by who holds it. Nobody waits for another
 * thread with the lock held.
 */
#ifndef ELLM_SERVE_SERVER_H
#define ELLM_SERVE_SERVER_H

#include <pthread.h>

#include "program/buffer.h"
#include "serve/options.h"

typedef struct job job;
typedef struct engine engine;
typedef struct kept_grammar kept_grammar;

typedef struct server_counts {
  uint64_t requests, refused, failed, left; /* requests: that were whole; left: whose client went away */
  uint64_t prompt_tokens, kept_tokens, tokens, steps;
  double prompt_seconds, seconds;
} server_counts;

typedef struct server {
  const serve_options *options;
  ellm_model *model;
  ellm_model_info info;
  const ellm_tokenizer *tokenizer;
  ellm_chat *chat;         /* NULL: the model has no template that is understood; chat_error says why */
  ellm_error chat_error;
  ellm_sampling sampling;  /* what generation_config asks for */
  prog_buffer file_props;  /* what the model's file says of itself, JSON */
  int64_t started;         /* seconds since 1970 */
  uint64_t instance;       /* a random number of this process, for ids */
  engine *engine;
  struct work *work;

  pthread_mutex_t lock;    /* of all below, and of jobs */
  pthread_cond_t quiet;    /* a job has gone, or the engine has stopped */
  job *jobs;               /* all that a connection holds */
  size_t n_jobs;
  size_t admitted;         /* answers that are computed or wait for it */
  size_t body_bytes;       /* of all bodies that are being received or prepared */
  uint64_t next_id;
  server_counts counts;
  size_t running;          /* answers, as the engine last saw them */
  kept_grammar *grammars;  /* grammars.h */
  bool stopping;           /* nothing new is begun */
  bool failed;             /* the model cannot be trusted any more: `failure` says why */
  ellm_error failure;
} server;

#endif
