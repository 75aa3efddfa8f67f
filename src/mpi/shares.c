/* SPDX-License-Identifier: Apache-2.0 */
#include "mpi/shares.h"

#include <mpi.h>
#include <string.h>

#include "cli/messages.h"
#include "cli/shares.h"

enum { FASTEST = 1000 }; /* the share of the fastest rank, where they are measured */

static uint32_t shares[ELLM_TEAM_MOST];

/* G weights per second that all threads of a rank decode and multiply from memory, with codes of about 3.4 bits. All
 * ranks measure at once, as they compute at once: ranks of one machine share its memory. */
static ellm_status measure(double *rate, ellm_error *err) {
  ellm_bench_matrix_options of;
  ellm_bench_job job;
  ellm_bench_matrix *matrix;
  ellm_bench_speed speed = {0};
  ellm_bench_matrix_options_init(&of);
  of.n_codes = 1 << 27;
  of.prefer = ELLM_PREFER_BALANCED;
  ellm_status status = ellm_bench_matrix_create(&of, &matrix, err);
  if (status != ELLM_OK) return status;
  ellm_bench_job_init(&job);
  job.op = ELLM_BENCH_DOT;
  MPI_Barrier(MPI_COMM_WORLD);
  status = ellm_bench_kernel(matrix, &job, &speed, err);
  ellm_bench_matrix_free(matrix);
  *rate = speed.median;
  return status;
}

static int measured(ellm_team *team) {
  double own = 0, rates[ELLM_TEAM_MOST], fastest = 0;
  ellm_error err;
  if (measure(&own, &err) != ELLM_OK) return cli_fail(&err);
  MPI_Allgather(&own, 1, MPI_DOUBLE, rates, 1, MPI_DOUBLE, MPI_COMM_WORLD);
  for (uint32_t i = 0; i < team->n_ranks; i++) fastest = rates[i] > fastest ? rates[i] : fastest;
  for (uint32_t i = 0; i < team->n_ranks; i++) {
    const uint32_t share = (uint32_t)(FASTEST * rates[i] / fastest + 0.5);
    shares[i] = share > 0 ? share : 1;
    cli_note("rank %u: %.1f G weights per second, a share of %u", (unsigned)i, rates[i], (unsigned)shares[i]);
  }
  return ELLM_OK;
}

int shares_take(int *argc, char **argv, ellm_team *team) {
  static const char name[] = "--shares";
  const size_t length = sizeof name - 1;
  if (team->n_ranks > ELLM_TEAM_MOST)
    return cli_error(ELLM_ERR_USAGE, "%u ranks: there can be %d", (unsigned)team->n_ranks, ELLM_TEAM_MOST);
  if (*argc < 2 || strncmp(argv[1], name, length) != 0) return ELLM_OK;
  const bool joined = argv[1][length] == '=';
  const char *value = joined ? argv[1] + length + 1 : *argc > 2 ? argv[2] : NULL;
  if (value == NULL) return cli_error(ELLM_ERR_USAGE, "--shares takes a value: numbers as 1:1:2, or auto");
  const int words = joined ? 1 : 2;
  memmove(argv + 1, argv + 1 + words, (size_t)(*argc - words) * sizeof *argv); /* with the NULL */
  *argc -= words;
  team->shares = shares;
  return strcmp(value, "auto") == 0 ? measured(team) : cli_shares_parse(value, "ranks", shares, team->n_ranks);
}
