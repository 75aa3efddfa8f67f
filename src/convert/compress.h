/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing any source, for those who have one that is in no folder. */
#ifndef ELLM_CONVERT_COMPRESS_H
#define ELLM_CONVERT_COMPRESS_H

#include "source/source.h"

/* ELLM_ERR_USAGE, naming the value, where options make no sense. */
ellm_status compress_check_options(const ellm_compress_options *options, ellm_error *err);

/* As ellm_compress, with options that were checked and a source, which is closed in any case. A target size opens
 * source_path() as a model. */
ellm_status compress_from_source(tensor_source *input, const char *out_path, const ellm_compress_options *options,
                                 ellm_report **report, ellm_error *err);

#endif
