/* SPDX-License-Identifier: Apache-2.0 */
/* The token that ends an answer. */
#ifndef ELLM_GENERATE_CHAT_END_H
#define ELLM_GENERATE_CHAT_END_H

#include "generate/chat_render.h"

/* Add the special token that the template writes after an answer to the chat's end_ids. */
ellm_status chat_find_end(ellm_chat *chat, ellm_error *err);

#endif
