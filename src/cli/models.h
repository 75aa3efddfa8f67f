/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and opening models. */
#ifndef ELLM_CLI_MODELS_H
#define ELLM_CLI_MODELS_H

#include "cli/common.h"
#include "program/failure.h"

/* The folder of the embedded model, malloc'ed; NULL if there is none. */
char *cli_embedded_model(void);
/* "hf:OWNER/NAME[@REVISION][:FILE]" becomes the path of that model in the cache, which it is brought into if it is not
 * there; another name stays. The path lives as long as the program. */
ellm_status cli_find_model(const char **name, ellm_error *err);
/* common->model or the embedded one, malloc'ed. */
ellm_status cli_model_path(const cli_common *common, char **path, ellm_error *err);
ellm_status cli_open_model(const cli_common *common, ellm_model **model, char **path, ellm_error *err);
/* The tokenizer alone, of a .ellm file or of any folder with a tokenizer.json. */
ellm_status cli_open_tokenizer(const cli_common *common, ellm_tokenizer **tokenizer, ellm_error *err);
/* Bytes of the model on disk: of the file, or of the folder's safetensors. */
uint64_t cli_model_bytes(const char *path);

#endif
