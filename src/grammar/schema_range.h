/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers between bounds, as JSON writes them. */
#ifndef ELLM_GRAMMAR_SCHEMA_RANGE_H
#define ELLM_GRAMMAR_SCHEMA_RANGE_H

#include "grammar/json_forms.h"

#define RANGE_LAST INT64_C(999999999999999) /* 15 digits */
enum { RANGE_SCALE = 1000000 };             /* fractions have six digits */

/* Whole numbers from low to high, -RANGE_LAST <= low <= high <= RANGE_LAST. */
expr_id form_integer_range(json_forms *j, int64_t low, int64_t high);
/* Multiples of 1 / RANGE_SCALE from low to high, both counted in them; in the same limits. */
expr_id form_decimal_range(json_forms *j, int64_t low, int64_t high);

#endif
