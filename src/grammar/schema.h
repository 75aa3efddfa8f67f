/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schema, as far as it can be written as a grammar of JSON texts: docs/GRAMMARS.md lists the keywords. */
#ifndef ELLM_GRAMMAR_SCHEMA_H
#define ELLM_GRAMMAR_SCHEMA_H

#include "grammar/rules.h"

/* ELLM_ERR_INPUT, "ORIGIN: #/JSON/POINTER: ...", for what is not supported and what is not a schema. Every text of the
 * rules is valid under the schema; not every valid text is one of the rules. */
ellm_status schema_read(grammar_rules *rules, const char *text, size_t bytes, const char *origin, ellm_error *err);

#endif
