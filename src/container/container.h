/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .ellm file: docs/FORMAT.md is the specification. Payload sections first,
 * the directory after them, the fixed header at offset 0 written last. Every
 * byte is in exactly one checksummed range. Opening validates header and
 * directory completely; section heads (code book, block table) are validated
 * when opened too; blocks are checked when first decoded.
 *
 * Each source file has a header of its own; this one has both of writing and reading.
 */
#ifndef ELLM_CONTAINER_CONTAINER_H
#define ELLM_CONTAINER_CONTAINER_H

#include "container/reader.h"
#include "container/writer.h"

#endif
