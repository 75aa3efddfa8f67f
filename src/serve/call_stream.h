/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of tools in the text of an answer while it comes. */
#ifndef ELLM_SERVE_CALL_STREAM_H
#define ELLM_SERVE_CALL_STREAM_H

#include "serve/calls.h"

/* What is found. Texts are valid during the call. */
typedef struct call_events {
  void (*content)(void *user, const char *text, size_t bytes);
  void (*call)(void *user, size_t index, const char *id, const char *name);
  void (*arguments)(void *user, size_t index, const char *piece, size_t bytes); /* JSON, piece by piece */
  void *user;
} call_events;

/* Bytes of JSON, up to where all that was opened is closed. */
typedef struct json_scan { size_t depth; bool string, escaped; } json_scan;

typedef struct call_stream {
  char *const *names;      /* [n_names] of tools that may be called */
  size_t n_names;
  unsigned long long seed; /* of ids */
  const call_events *events;
  int state;
  bool begun;              /* text other than spaces has come, and no call */
  size_t n;                /* calls so far */
  prog_buffer held;        /* what is not decided yet */
  prog_buffer out, piece;  /* of this text: content and arguments to be told */
  json_scan scan;
  size_t object_at;        /* in `held` */
  bool slow;               /* the object is looked at when it is whole */
  bool told;               /* arguments of the call have been told */
  bool wanted;             /* the current value is its arguments */
} call_stream;

/*
 * The same calls as calls_find, in any pieces of text: what is before them as it comes, held back only where it may
 * be the beginning of one (and spaces, which a call takes along); the name once it is known; arguments as they are
 * written. A call whose arguments break off, which calls_find takes for text, has been told by then and stays a call.
 * `names` and `events` must outlive it.
 */
void call_stream_init(call_stream *s, char *const *names, size_t n_names, unsigned long long seed,
                      const call_events *events);
void call_stream_add(call_stream *s, const char *text, size_t bytes);
/* The text is at its end: tell what was held back. False: memory ran out, and something is missing. */
bool call_stream_end(call_stream *s);
void call_stream_free(call_stream *s);

#endif
