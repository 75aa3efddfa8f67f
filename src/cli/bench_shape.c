/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_shape.h. */
#include "cli/bench_shape.h"

#include <string.h>

#include "cli/cli.h"

enum { LONGEST_CONFIG = 1 << 24 };

int cli_find_shape(const char *command, const char *name, ellm_bench_shape *shape, char **config) {
  ellm_error err;
  *config = NULL;
  ellm_bench_shape_init(shape);
  shape->name = name;
  for (size_t i = 0; ellm_bench_shape_name(i) != NULL; i++)
    if (strcmp(ellm_bench_shape_name(i), name) == 0) return ELLM_OK;
  if (strchr(name, '/') == NULL && !cli_file_exists(name)) {
    char names[200] = "";
    size_t used = 0;
    for (size_t i = 0; ellm_bench_shape_name(i) != NULL && used < sizeof names; i++)
      used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", ellm_bench_shape_name(i));
    return cli_error(ELLM_ERR_USAGE, "%s: no shape and no file is called %s (shapes: %s)", command, name, names);
  }
  if (cli_read_file(name, LONGEST_CONFIG, config, &shape->config_bytes, &err) != ELLM_OK) return cli_fail(&err);
  shape->config = *config;
  return ELLM_OK;
}
