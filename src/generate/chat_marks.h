/* SPDX-License-Identifier: Apache-2.0 */
/* The ids of a conversation. */
#ifndef ELLM_GENERATE_CHAT_MARKS_H
#define ELLM_GENERATE_CHAT_MARKS_H

#include "generate/chat_render.h"

/* The ids of what is rendered; special tokens in the conversation are text. chat_marks.c says how. */
ellm_status chat_encode_marked(const chat_rendering *r, uint32_t **ids, size_t *n_ids, ellm_error *err);

#endif
