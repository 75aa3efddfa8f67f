/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors, totals and sizes as JSON and as text. */
#ifndef ELLM_CLI_DESCRIBE_H
#define ELLM_CLI_DESCRIBE_H

#include <jansson.h>

#include "program/failure.h"

json_t *cli_tensor_json(const ellm_tensor_info *tensor);
json_t *cli_totals_json(const ellm_totals *totals);
void cli_print_tensors(const ellm_tensor_info *tensors, size_t n_tensors);
json_t *cli_assets_json(const ellm_asset_info *assets, size_t n_assets); /* [{"name", "bytes"}] */
void cli_print_assets(const ellm_asset_info *assets, size_t n_assets);

/* "1.2 MB" and the like (decimal units) into text[24]; returns text. */
const char *cli_size_text(uint64_t bytes, char text[24]);

#endif
