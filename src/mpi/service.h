/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread beside the command, on every rank. It hands standard input of rank 0 on to the others, each of which reads it as
 * its own; and ranks tell rank 0, as rank 0 tells them, once a second that they are there: a rank that is silent for some
 * seconds is named, and all end.
 */
#ifndef ELLM_MPI_SERVICE_H
#define ELLM_MPI_SERVICE_H

/* Standard input becomes a pipe. */
void service_start(void);
/* After all ranks have said that they are done (gather_end). */
void service_stop(void);

#endif
