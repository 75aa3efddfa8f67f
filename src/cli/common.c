/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"

#include "cli/messages.h"
#include "entrollm.h"

const option_choice cli_activations[] = {{"auto", ELLM_ACTIVATIONS_AUTO},
                                         {"f32", ELLM_ACTIVATIONS_F32},
                                         {"i8", ELLM_ACTIVATIONS_I8},
                                         {"i16", ELLM_ACTIVATIONS_I16},
                                         {NULL, 0}};

const option_choice cli_cache_types[] = {
    {"auto", ELLM_CACHE_DEFAULT}, {"f16", ELLM_CACHE_F16}, {"f32", ELLM_CACHE_F32}, {"q8", ELLM_CACHE_Q8}, {NULL, 0}};

int cli_parse(option_table *table, int argc, char **argv, const cli_common *common) {
  int status = options_parse(table, argc, argv);
  if (status >= 0) return status;
  cli_set_quiet(common->quiet);
  return -1;
}

