/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread beside the command, on every rank. It hands standard input of rank 0 on to the others, each of which reads it as
 * its own; and ranks tell rank 0, as rank 0 tells them, several times a second that they are there: a rank that is silent
 * for some seconds is named, and all end. A rank that was killed is named as well, when mpirun ends the others.
 */
#ifndef ELLM_MPI_SERVICE_H
#define ELLM_MPI_SERVICE_H

/* Standard input becomes a pipe. What has to be said is written to the file descriptor `errors`. */
void service_start(int errors);
/* In a process that was told to stop: waits for as long as it takes to find out whether another rank was killed, in which
 * case it does not return. */
void service_look_for_killed(void);
/* After all ranks have said that they are done (gather_end). */
void service_stop(void);

#endif
