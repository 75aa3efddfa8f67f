/* SPDX-License-Identifier: Apache-2.0 */
/* Classes [..] of regular expressions. */
#ifndef ELLM_TEXT_REGEX_CLASS_H
#define ELLM_TEXT_REGEX_CLASS_H

#include "text/regex_translator.h"

/* A pattern that matches one character of a set, or one that is not in it. */
void regex_translate_set(translator *t, const unicode_set *set, bool negated);
/* A class at t->at as a pattern that matches one character. */
ellm_status regex_translate_class(translator *t);

#endif
