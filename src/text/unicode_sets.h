/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of characters by name, as regular expressions of tokenizers have them: \p{NAME} and [:NAME:]. */
#ifndef ELLM_TEXT_UNICODE_SETS_H
#define ELLM_TEXT_UNICODE_SETS_H

#include "text/unicode_tables.h"

/* The characters of all `categories` and of all `ranges`, but for `without` (0: nothing). */
typedef struct unicode_set {
  const char *name, *alias;   /* in lower case, without spaces, '-' and '_'; alias may be NULL */
  const char *categories;     /* general categories of one or two letters, separated by spaces */
  const unicode_range *ranges;
  size_t n_ranges;
  uint32_t without;
} unicode_set;

/* What \p{NAME} means: a general category, a script or a POSIX name; case, spaces, '-' and '_' do not count.
 * NULL: not known here. */
const unicode_set *unicode_set_of_property(const char *name, size_t bytes);
/* What [:NAME:] means; the name as it stands. NULL: there is no such class. */
const unicode_set *unicode_set_of_posix(const char *name, size_t bytes);

#endif
