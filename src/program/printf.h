/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler checks the arguments of functions that format as printf does. */
#ifndef ELLM_PROGRAM_PRINTF_H
#define ELLM_PROGRAM_PRINTF_H

#if defined(__GNUC__)
#define PROG_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define PROG_PRINTF(format_index, first)
#endif

#endif
