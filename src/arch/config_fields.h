/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a configuration: fields that several families have, and their forms. */
#ifndef ELLM_ARCH_CONFIG_FIELDS_H
#define ELLM_ARCH_CONFIG_FIELDS_H

#include "arch/family.h"

/* A size of 1..limit; if not `required`, *out holds the default. */
ellm_status config_size(const config_reader *in, const char *field, bool required, uint32_t limit, uint32_t *out,
                        ellm_error *err);
ellm_status config_bool(const config_reader *in, const char *field, bool *out, ellm_error *err);
bool config_is_missing(const config_reader *in, const char *field);
bool config_is_null(const config_reader *in, const char *field);
/* attention_bias of all layers, false where it is missing: biases of queries, keys, values and of attention's output. */
ellm_status config_attention_bias(const config_reader *in, model_config *config, ellm_error *err);
/* attention_bias must not be true. */
ellm_status config_no_attention_bias(const config_reader *in, ellm_error *err);
/* mlp_bias of all layers, false where it is missing. */
ellm_status config_mlp_bias(const config_reader *in, model_config *config, ellm_error *err);

/* Experts of layers: the number of them by the first of these fields that is there, else `missing`; *used by
 * num_experts_per_tok, else `missing_used`; each from 1 on, no more used than there are. */
ellm_status config_experts(const config_reader *in, const char *const fields[2], uint32_t missing,
                           uint32_t missing_used, uint32_t *n, uint32_t *used, ellm_error *err);

/* `layer_types`, where it is given: sliding[n_layers] says which layers are "sliding_attention", the others are
 * "full_attention". *given: is it there? */
ellm_status config_layer_types(const config_reader *in, uint32_t n_layers, bool *given, bool *sliding, ellm_error *err);
/* What the classes of Mistral, Qwen and Gemma take where the field is missing. */
enum { CONFIG_USUAL_WINDOW = 4096 };
/* The field sliding_window where it is neither missing nor null; else `missing`, or 0 for null. */
ellm_status config_window(const config_reader *in, uint32_t missing, uint32_t *window, ellm_error *err);
/* For architectures whose layers are all alike: every layer has `window`, and layer_types must not say otherwise. */
ellm_status config_same_window(const config_reader *in, uint32_t window, model_config *config, ellm_error *err);

#endif
