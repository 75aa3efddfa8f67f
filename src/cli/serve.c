/* SPDX-License-Identifier: Apache-2.0 */
/* entrollm serve: options, memory and signals of the server, which is src/serve. */
#include "serve/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "serve/memory.h"

enum { DEFAULT_CONTEXT = 4096, DEFAULT_PARALLEL = 4, DEFAULT_QUEUE = 64, DEFAULT_PORT = 8080, BODY_BYTES = 8 << 20 };

typedef struct serve_command {
  cli_common common;
  const char *host, *unix_path, *key_file, *cors, *alias, *memory, *prompt_folder, *prompt_size;
  int port, parallel, context, queue, connections;
  double timeout;
} serve_command;

/* ------------------------------------------------------------------- a cut file */

static volatile sig_atomic_t file_cut;
static long page_bytes;

/*
 * A page of a mapped file that is not there any more is replaced by zeros, which are no blocks, and it is noted: the
 * server ends with an error instead of dying.
 */
static void on_bus_error(int number, siginfo_t *info, void *context) {
  (void)context;
  const uintptr_t page = (uintptr_t)info->si_addr & ~((uintptr_t)page_bytes - 1);
  file_cut = 1;
  if (info->si_code != BUS_ADRERR || mmap((void *)page, (size_t)page_bytes, PROT_READ,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
    signal(number, SIG_DFL); /* the access is made again, and ends the process */
}

static bool file_damaged(void) { return file_cut != 0; }

static void prepare_process(void) {
  struct sigaction action;
  struct rlimit files;
  page_bytes = sysconf(_SC_PAGESIZE);
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, NULL);
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max; /* a connection takes one */
  setrlimit(RLIMIT_NOFILE, &files);
}

/* ------------------------------------------------------------------------ keys */

/* A key a line; empty lines and those that begin with '#' are none. *text holds them. */
static int read_keys(const char *path, cli_text *text, option_list *keys) {
  ellm_error err;
  if (cli_text_read(path, text, &err) != ELLM_OK) return cli_fail(&err);
  for (char *line = strtok(text->data, "\r\n"); line; line = strtok(NULL, "\r\n")) {
    if (*line == '#' || !*line) continue;
    const char **grown = realloc(keys->items, (keys->count + 1) * sizeof *grown);
    if (!grown) return cli_error(ELLM_ERR_IO, "out of memory");
    keys->items = grown;
    keys->items[keys->count++] = line;
  }
  if (keys->count > 0) return ELLM_OK;
  return cli_error(ELLM_ERR_INPUT, "serve: %s holds no key", path);
}

/* ---------------------------------------------------------------------- memory */

/* The number after a word in a small file of the system, or its first; 0: there is none. */
static uint64_t system_number(const char *path, const char *word) {
  char text[4096];
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  const size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = '\0';
  const char *at = word ? strstr(text, word) : text;
  return at ? strtoull(at + (word ? strlen(word) : 0), NULL, 10) : 0;
}

/* What this machine, or the group of processes that it is one of, has left. */
static uint64_t available_memory(void) {
  uint64_t available = system_number("/proc/meminfo", "MemAvailable:") * 1024;
  const uint64_t most = system_number("/sys/fs/cgroup/memory.max", NULL);
  const uint64_t used = system_number("/sys/fs/cgroup/memory.current", NULL);
  const uint64_t file_pages = system_number("/sys/fs/cgroup/memory.stat", "\nfile ");
  const uint64_t left = most + file_pages > used ? most + file_pages - used : 0;
  if (most > 0 && left > 0 && left < available) available = left;
  return available;
}

static int check_memory(const serve_command *c, const serve_options *o, ellm_model *model, const char *path) {
  serve_memory m;
  ellm_model_info info;
  char total[24], file[24], cache[24], answers[24], grammars[24], work[24], requests[24], most[24];
  ellm_model_get_info(model, &info);
  serve_memory_needed(model, o, cli_model_bytes(path) + (c->common.expand ? info.parameters : 0), &m);
  cli_note("memory: up to %s (model %s, keys and values %s, answers %s, grammars %s, work %s, connections and requests "
           "%s)", cli_size_text(m.total, total), cli_size_text(m.model, file), cli_size_text(m.cache, cache),
           cli_size_text(m.answers, answers), cli_size_text(m.grammars, grammars), cli_size_text(m.work, work),
           cli_size_text(m.requests, requests));
  const uint64_t limit = c->memory ? (uint64_t)cli_parse_size(c->memory) : available_memory();
  if (limit == 0 || m.total <= limit) return ELLM_OK;
  return cli_error(ELLM_ERR_USAGE, "serve: up to %s of memory are needed, more than %s%s: use less --parallel, --ctx "
                                   "or --connections",
                   cli_size_text(m.total, total), c->memory ? "the --memory of " : "this machine has left, ",
                   cli_size_text(limit, most));
}

/* ------------------------------------------------------------------------ serving */

/* Clients, tests and the system's journal look for it. */
static void say(const char *line) {
  cli_write(line, strlen(line));
  cli_write("\n", 1);
  cli_flush();
}

static void say_note(const char *line) { cli_note("%s", line); }

/* The name that clients see: the file's, without folders and ".ellm"; malloc'ed. */
static char *name_of(const char *path) {
  char *whole = strdup(path);
  if (!whole) return NULL;
  for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/';) whole[--n] = '\0';
  const char *slash = strrchr(whole, '/');
  char *name = strdup(slash && slash[1] ? slash + 1 : whole), *dot = name ? strrchr(name, '.') : NULL;
  if (dot && dot != name && strcmp(dot, ".ellm") == 0) *dot = '\0';
  free(whole);
  return name;
}

static int choose_context(const serve_command *c, const ellm_model_info *info, uint32_t *context) {
  const char *reason = info->max_context_reason;
  *context = info->max_context < DEFAULT_CONTEXT ? info->max_context : DEFAULT_CONTEXT;
  if (c->context > 0) *context = (uint32_t)c->context;
  if (*context > info->max_context)
    return cli_error(ELLM_ERR_USAGE, "serve: a context of %u tokens is more than the model's %u%s%s",
                     (unsigned)*context, (unsigned)info->max_context, reason ? ": " : "", reason ? reason : "");
  if ((uint64_t)*context * (uint64_t)c->parallel > UINT32_MAX / 2)
    return cli_error(ELLM_ERR_USAGE, "serve: %d conversations of %u tokens are more than a pool can hold", c->parallel,
                     (unsigned)*context);
  return ELLM_OK;
}

static int serve(const serve_command *c, const option_list *keys) {
  ellm_error err;
  ellm_model *model;
  ellm_model_info info;
  char *path;
  bool busy = false;
  prepare_process();
  if (cli_open_model(&c->common, &model, &path, &err) != ELLM_OK) return cli_fail(&err);
  ellm_model_get_info(model, &info);
  const char *model_name = c->common.model;
  const bool of_hub = model_name != NULL && strncmp(model_name, "hf:", 3) == 0; /* its path ends with a commit */
  char *name = c->alias ? strdup(c->alias) : of_hub ? strdup(model_name + 3) : name_of(path);
  serve_options o = {.host = c->host,
                     .port = c->port,
                     .unix_path = c->unix_path,
                     .model_path = path,
                     .model_name = name,
                     .parallel = (size_t)c->parallel,
                     .queue = (size_t)c->queue,
                     .keys = keys->items,
                     .n_keys = keys->count,
                     .cors = c->cors,
                     .timeout = c->timeout,
                     .body_bytes = BODY_BYTES,
                     .connections = (size_t)c->connections,
                     .stop_descriptor = cli_stop_descriptor(),
                     .damaged = file_damaged,
                     .prompt_folder = c->prompt_folder,
                     .prompt_bytes = (uint64_t)cli_parse_size(c->prompt_size),
                     .note = say_note,
                     .log = say};
  int status = name ? choose_context(c, &info, &o.context) : cli_error(ELLM_ERR_IO, "out of memory");
  if (status == ELLM_OK) status = check_memory(c, &o, model, path);
  if (status == ELLM_OK && cli_stopped()) status = cli_error(ELLM_INTERRUPTED, "interrupted");
  else if (status == ELLM_OK && serve_run(model, &o, &busy, &err) != ELLM_OK) status = cli_fail(&err);
  if (busy) return status; /* a step of the model is still at work: the end of the process ends it */
  ellm_model_close(model);
  free(name);
  free(path);
  return status;
}

int cmd_serve(int argc, char **argv) {
  serve_command c = {.host = "127.0.0.1",
                     .port = DEFAULT_PORT,
                     .parallel = DEFAULT_PARALLEL,
                     .queue = DEFAULT_QUEUE,
                     .connections = 2000,
                     .timeout = 600,
                     .prompt_size = "1GiB"};
  option options[] = {
      CLI_OPTION_MODEL(c.common),
      OPT_TEXT("host", 0, &c.host, "HOST", "name or address to listen on (default 127.0.0.1: this machine only)"),
      OPT_INT("port", 0, &c.port, 0, 65535, "N", "port (default 8080); 0: any free port"),
      OPT_TEXT("unix", 0, &c.unix_path, "PATH", "listen on a Unix socket with this path instead"),
      OPT_INT("parallel", 0, &c.parallel, 1, 256, "N", "how many answers are computed together (default 4)"),
      OPT_INT("ctx", 'c', &c.context, 1, 1 << 30, "N",
              "tokens of one conversation (default: the smaller of 4096 and the\n"
              "model's limit); memory is reserved for N tokens times --parallel"),
      OPT_INT("queue", 0, &c.queue, 0, 100000, "N", "how many answers may wait (default 64); others get status 429"),
      OPT_REAL("timeout", 0, &c.timeout, 0.1, 1e6, "S",
               "seconds that an answer may take, including waiting (default 600)"),
      OPT_INT("connections", 0, &c.connections, 1, 100000, "N", "how many connections may be open (default 2000)"),
      OPT_TEXT("api-key-file", 0, &c.key_file, "FILE", "require one of the keys in this file, which has one per line"),
      OPT_TEXT("cors", 0, &c.cors, "ORIGIN", "let pages of this origin use the server; \"*\": all (default: none)"),
      OPT_TEXT("alias", 0, &c.alias, "NAME", "name of the model (default: the file's name)"),
      OPT_TEXT("memory", 0, &c.memory, "SIZE", "do not start if more memory is needed (default: what is available)"),
      OPT_TEXT("prompt-cache", 0, &c.prompt_folder, "DIR",
               "keep what was computed for prompts and answers in this folder, to\n"
               "reuse it after a restart (the folder then holds conversations)"),
      OPT_TEXT("prompt-cache-size", 0, &c.prompt_size, "SIZE", "largest size of that folder (default 1GiB)"),
      CLI_OPTION_THREADS(c.common),
      CLI_OPTIONS_RUNNING(c.common),
      CLI_OPTION_QUIET(c.common)};
  option_table table = {
      .command = "serve",
      .synopsis = "[-m MODEL] [--host HOST] [--port N] [options]",
      .about = "Serve a model over HTTP with OpenAI's API: /v1/chat/completions, "
               "/v1/completions, /v1/models, and a page\n"
               "to try it at /. Several answers are computed together; each is the one that 'entrollm run' gives with\n"
               "the same seed. SIGTERM ends the server within 5 seconds.",
      .notes = "example:\n  entrollm serve --parallel 8 --ctx 2048\n"
               "  curl http://127.0.0.1:8080/v1/chat/completions \\\n"
               "    -d '{\"messages\":[{\"role\":\"user\",\"content\":\"Tell me a story.\"}]}'",
      .options = options,
      .n_options = sizeof options / sizeof *options};
  cli_text text = {0};
  option_list keys = {0};
  int status = cli_parse(&table, argc, argv, &c.common);
  if (status < 0) {
    status = ELLM_OK;
    if (c.memory && !(cli_parse_size(c.memory) > 0))
      status = cli_error(ELLM_ERR_USAGE, "serve: --memory '%s' is not a size (8GiB, 750MB, ...)", c.memory);
    if (status == ELLM_OK && !(cli_parse_size(c.prompt_size) > 0))
      status = cli_error(ELLM_ERR_USAGE, "serve: --prompt-cache-size '%s' is not a size (8GiB, 750MB, ...)",
                         c.prompt_size);
    if (status == ELLM_OK && c.prompt_folder && !*c.prompt_folder)
      status = cli_error(ELLM_ERR_USAGE, "serve: --prompt-cache does not name a folder");
    if (status == ELLM_OK && c.key_file) status = read_keys(c.key_file, &text, &keys);
    if (status == ELLM_OK) status = serve(&c, &keys);
  }
  option_list_free(&keys);
  cli_text_free(&text);
  return status;
}
