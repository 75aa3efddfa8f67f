/* SPDX-License-Identifier: Apache-2.0 */
/* Notes: what is not as it should be and stops nothing, handed to the caller line by line. */
#ifndef ELLM_BASE_NOTES_H
#define ELLM_BASE_NOTES_H

#include "base/status.h"

/* Hands one formatted line to notes->take, made printable and cut as messages of errors are. Does nothing where `notes`
 * or its function is NULL. */
void ellm_note(const ellm_notes *notes, const char *format, ...) ELLM_PRINTF(2, 3);

#endif
