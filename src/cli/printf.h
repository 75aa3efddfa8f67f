/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler checks the arguments of functions that format as printf does. */
#ifndef ELLM_CLI_PRINTF_H
#define ELLM_CLI_PRINTF_H

#if defined(__GNUC__)
#define CLI_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define CLI_PRINTF(format_index, first)
#endif

#endif
