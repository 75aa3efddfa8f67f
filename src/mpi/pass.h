/* SPDX-License-Identifier: Apache-2.0 */
/* ellm_compress_team.pass by messages of MPI. */
#ifndef ELLM_MPI_PASS_H
#define ELLM_MPI_PASS_H

#include "entrollm.h"

/* `user` is not looked at. */
ellm_status pass_bytes(void *user, uint32_t from, uint32_t to, void *data, size_t bytes, ellm_error *err);

#endif
