/* SPDX-License-Identifier: Apache-2.0 */
/* The "post_processor" of tokenizer.json: TemplateProcessing, RobertaProcessing,
 * BertProcessing, ByteLevel (which changes no ids), Sequence. */
#ifndef ELLM_TEXT_POST_PROCESS_H
#define ELLM_TEXT_POST_PROCESS_H

#include <jansson.h>

#include "text/bpe.h"

/* Ids put before and after the text's. */
typedef struct post_processor { id_list before, after; bool has_template; } post_processor;

ellm_status post_processor_load(const json_t *component, const char *origin, post_processor *post, ellm_error *err);
void post_processor_free(post_processor *post);

#endif
