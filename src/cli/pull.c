/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm pull: a model from the Hugging Face hub into the cache. */
#include <string.h>

#include "cli/cli.h"
#include "cli/hub_access.h"

typedef struct pull_options {
  cli_common common;
  const char *name;
  int retries;
  bool cached;
  option_list files;
} pull_options;

static int print_json(const hub_name *name, const hub_result *result, double seconds) {
  json_t *files = json_array();
  for (size_t i = 0; i < result->files.n; i++) {
    const hub_file *file = &result->files.files[i];
    if (!file->chosen) continue;
    char *path = cli_path_join(result->folder, file->path);
    cli_json_append(&files, json_pack("{s:s, s:o, s:o, s:b}", "name", file->path, "path",
                                      path != NULL ? cli_json_text(path, strlen(path)) : NULL, "bytes",
                                      cli_json_u64(file->bytes), "fetched", (int)file->fetched));
    free(path);
  }
  return cli_print_json(json_pack(
      "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "repository", name->repository, "revision", name->revision,
      "commit", result->commit, "path", cli_json_text(result->path, strlen(result->path)), "folder",
      cli_json_text(result->folder, strlen(result->folder)), "bytes", cli_json_u64(result->bytes), "bytes_fetched",
      cli_json_u64(result->fetched), "seconds", cli_json_real(seconds), "files", files));
}

static void print_result(const hub_result *result, double seconds) {
  char bytes[24], fetched[24];
  if (!cli_quiet()) {
    fprintf(stderr, "%s, of them %s downloaded in %.1f s (%.0f MB/s), commit %.12s\n", cli_size_text(result->bytes,
                                                                                                     bytes),
            cli_size_text(result->fetched, fetched), seconds, seconds > 0 ? (double)result->fetched / seconds / 1e6 : 0,
            result->commit);
  }
  printf("%s\n", result->path);
}

static ellm_status find_or_pull(const pull_options *r, const hub_options *options, const hub_name *name,
                                hub_result *result, ellm_error *err) {
  if (r->cached || options->offline) {
    const ellm_status status =
        hub_find(options, name, r->files.items, r->files.count, r->cached, result, err);
    if (status == ELLM_OK || status == ELLM_INTERRUPTED || options->offline) return status;
    hub_result_free(result);
  }
  return hub_pull(options, name, r->files.items, r->files.count, r->cached, result, err);
}

static int pull(const pull_options *r) {
  cli_hub hub;
  hub_name name;
  hub_result result = {0};
  ellm_error err;
  const char *text = strncmp(r->name, "hf:", 3) == 0 ? r->name + 3 : r->name;
  const double start = cli_seconds();
  ellm_status status = hub_parse_name(text, &name, &err);
  if (status != ELLM_OK) return cli_fail(&err);
  status = cli_hub_init(&hub, &err);
  if (status == ELLM_OK) {
    hub.options.retries = r->retries;
    status = find_or_pull(r, &hub.options, &name, &result, &err);
  }
  cli_progress_end(&hub.progress);
  const double seconds = cli_seconds() - start;
  int exit_status = ELLM_OK;
  if (status != ELLM_OK) {
    exit_status = cli_fail(&err);
    if (result.several) cli_print_candidates(&result, "--file");
  } else if (r->common.json) exit_status = print_json(&name, &result, seconds);
  else print_result(&result, seconds);
  hub_result_free(&result);
  cli_hub_free(&hub);
  return exit_status;
}

int cmd_pull(int argc, char **argv) {
  pull_options r = {.retries = 5};
  option options[] = {
      OPT_LIST("file", 0, &r.files, "GLOB",
               "download these files instead, by path within the repository\n(repeatable); '*' also matches slashes"),
      OPT_INT("retries", 0, &r.retries, 0, 100, "N",
              "how often to try again after a broken connection or a temporary\n"
              "refusal (default: 5); the count restarts when more bytes have come"),
      OPT_FLAG("cached", 0, &r.cached, "use what is in the cache without asking the hub whether it has changed,\n"
               "as -m hf:... does; there must be exactly one model to choose"),
      CLI_OPTION_JSON(r.common), CLI_OPTION_QUIET(r.common)};
  option_table table = {
      .command = "pull",
      .synopsis = "OWNER/NAME[@REVISION][:FILE] [options]",
      .about = "Download a model from the Hugging Face hub into the cache that its other programs share, and print\n"
               "where it is. Without --file this downloads safetensors, configurations, tokenizer, chat templates and\n"
               "licence, or the only GGUF or .ellm file of a repository without safetensors. Files that are in the\n"
               "cache are not downloaded again, and interrupted downloads continue. The size and the hash of every\n"
               "file are checked.\n"
               "In other commands, -m hf:OWNER/NAME[@REVISION][:FILE] uses a model in the cache, or pulls it.",
      .notes = CLI_HUB_VARIABLES
               "examples:\n  entrollm pull HuggingFaceTB/SmolLM2-135M-Instruct\n"
               "  entrollm pull HuggingFaceTB/SmolLM2-360M-Instruct-GGUF --file '*q8_0*'\n"
               "  entrollm chat -m hf:HuggingFaceTB/SmolLM2-135M-Instruct",
      .options = options,
      .n_options = sizeof options / sizeof *options,
      .operand = "OWNER/NAME",
      .operand_target = &r.name};
  int status = cli_parse(&table, argc, argv, &r.common);
  if (status < 0) status = pull(&r);
  option_list_free(&r.files);
  return status;
}
