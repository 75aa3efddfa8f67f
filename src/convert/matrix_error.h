/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the weights of quantized matrices are from their source: the sum of squared differences by the sum of squared
 * weights. A file that was made to a size records it for each matrix, in metadata "entrollm.errors" and, where that is
 * full, "entrollm.errors.2", ...: JSON arrays of numbers, a number a quantized tensor, in the order of the directory.
 */
#ifndef ELLM_CONVERT_MATRIX_ERROR_H
#define ELLM_CONVERT_MATRIX_ERROR_H

#include "base/progress.h"
#include "container/container.h"
#include "source/source.h"

enum { MATRIX_ERRORS_A_RECORD = 1000, MATRIX_ERROR_BYTES = 16 /* of a number as text, NUL included */ };

/* The error of a tensor of `file`, from the same one of `source`. 0 for a source of zeros that is met. */
ellm_status matrix_error(const ellm_source *file, const ellm_source *source, const char *name, double *error,
                         ellm_error *err);
void matrix_error_text(double error, char text[MATRIX_ERROR_BYTES]);

/* The errors of all matrices of the file `path`, as values of metadata records. Stage "errors" of the progress. Free with
 * matrix_errors_free, also after a failure. */
typedef struct matrix_errors { char **values; size_t n; } matrix_errors; /* values of the records, in order; owned */
ellm_status matrix_errors_find(const char *path, const char *source_path, progress_meter *meter, matrix_errors *out,
                               ellm_error *err);
void matrix_errors_free(matrix_errors *e);
/* The name of record number i. */
const char *matrix_errors_name(size_t i, char name[32]);

#endif
