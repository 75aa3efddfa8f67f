/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring for the report. Each variant is compressed, described, evaluated
 * twice (float activations, and those that users run) and timed; two variants
 * that compute the same logits (their fingerprints tell) are evaluated once.
 * Evaluations keep state files, so an interrupted report continues.
 */
#include "cli/report_measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench_measure.h"

enum { TEXT_LIMIT = 1 << 30, ERROR_PIECE = 1 << 18, PATH_BYTES = 4200, SPEED_REPEATS = 5 };

typedef struct measuring {
  const report_plan *plan;
  report_data *data;
  char *text;
  size_t text_bytes;
  char logits[PATH_BYTES];
  pid_t timer; /* the process that measures speed, and the way to it */
  int timer_socket;
} measuring;

static void file_name(const report_plan *plan, const char *name, const char *ending, char path[PATH_BYTES]) {
  snprintf(path, PATH_BYTES, "%s/%s%s", plan->out, name, ending);
}

const char *report_label(const report_variant *v, char text[48]) {
  if (v->original) return "original";
  snprintf(text, 48, "%d bits, %s, %s", v->bits, ellm_scheme_name(v->scheme),
           v->code == ELLM_CODE_HUFFMAN ? "coded" : "uncoded");
  return text;
}

const report_variant *report_find(const report_data *data, int bits, ellm_scheme scheme, ellm_code code) {
  for (size_t i = 0; i < data->n_variants; i++) {
    const report_variant *v = &data->variants[i];
    if (!v->original && v->bits == bits && v->scheme == scheme && v->code == code) return v;
  }
  return NULL;
}

void report_data_free(report_data *data) {
  for (size_t i = 0; i < data->n_variants; i++) {
    report_variant *v = &data->variants[i];
    for (size_t k = 0; k < v->n_tensors; k++) free(v->tensors[k].name);
    free(v->tensors);
  }
  memset(data, 0, sizeof *data);
}

/* --------------------------------------------------------------- description */

typedef struct error_sums { double error, square; } error_sums;

/* The checkpoint, and the file that was made of it. */
typedef struct pair { ellm_source *checkpoint, *file; } pair;

/* Sums of squares of (w - w') and w. */
static ellm_status compare_weights(const pair *p, const ellm_tensor_info *info, error_sums *sums, ellm_error *err) {
  ellm_tensor_info source;
  size_t at, index;
  if (!ellm_source_find(p->file, info->name, &index) || !ellm_source_find(p->checkpoint, info->name, &at) ||
      !ellm_source_tensor(p->checkpoint, at, &source) || source.n_elements != info->n_elements)
    return prog_failure(err, ELLM_ERR_INTERNAL, "tensor %s is not that of the checkpoint", info->name);
  float *w = malloc(2 * ERROR_PIECE * sizeof *w), *quantized = w + ERROR_PIECE;
  if (!w) return prog_failure_memory(err, 2 * ERROR_PIECE * sizeof *w, "weights");
  ellm_status status = ELLM_OK;
  /* whole rows, so that few blocks are decoded twice */
  const uint64_t row = info->shape[1] ? info->shape[1] : 1;
  const size_t rows = row <= ERROR_PIECE ? (size_t)(ERROR_PIECE / row) : 0;
  const size_t piece = rows >= 64 ? rows / 64 * 64 * (size_t)row : rows > 0 ? rows * (size_t)row : ERROR_PIECE;
  for (uint64_t done = 0; status == ELLM_OK && done < info->n_elements;) {
    const size_t n = info->n_elements - done < piece ? (size_t)(info->n_elements - done) : piece;
    status = ellm_source_read(p->checkpoint, at, done, n, w, err);
    if (status == ELLM_OK) status = ellm_source_read(p->file, index, done, n, quantized, err);
    for (size_t i = 0; status == ELLM_OK && i < n; i++) {
      const double error = (double)w[i] - (double)quantized[i];
      sums->error += error * error;
      sums->square += (double)w[i] * (double)w[i];
    }
    done += n;
  }
  free(w);
  return status;
}

static ellm_status describe_tensor(const ellm_file *file, size_t index, const ellm_tensor_info *info,
                                   const pair *p, int threads, report_tensor *t, error_sums *sums, ellm_error *err) {
  uint8_t *codes = malloc(info->n_elements ? (size_t)info->n_elements : 1);
  *t = (report_tensor){.name = malloc(strlen(info->name) + 1),
                       .rows = info->shape[0],
                       .columns = info->shape[1],
                       .scheme = info->scheme,
                       .step = (double)info->step,
                       .zero = info->zero,
                       .entropy = info->entropy,
                       .coded_bits = 8 * (double)info->stored_bytes / (double)info->n_elements};
  ellm_status status = codes && t->name ? ellm_file_codes(file, index, threads, codes, err)
                                        : prog_failure_memory(err, (size_t)info->n_elements, "codes");
  if (t->name) strcpy(t->name, info->name);
  for (uint64_t i = 0; status == ELLM_OK && i < info->n_elements; i++) t->counts[codes[i]]++;
  if (status == ELLM_OK) status = compare_weights(p, info, sums, err);
  if (status == ELLM_OK) t->error = sums->square > 0 ? sums->error / sums->square : 0;
  free(codes);
  return status;
}

static ellm_status describe(const measuring *m, const char *path, report_variant *v, ellm_error *err) {
  ellm_file *file;
  pair p = {NULL, NULL};
  ellm_totals totals;
  ellm_tensor_info info;
  error_sums all = {0, 0};
  PROG_TRY(ellm_file_open(path, &file, err));
  ellm_file_totals(file, &totals);
  v->file_bytes = totals.file_bytes;
  v->coded_bits = totals.coded_bits_per_weight;
  v->entropy = totals.entropy;
  m->data->parameters = totals.parameters;
  v->tensors = calloc(ellm_file_tensor_count(file) + 1, sizeof *v->tensors);
  ellm_status status = v->tensors ? ellm_source_open(m->plan->source, &p.checkpoint, err)
                                  : prog_failure_memory(err, sizeof *v->tensors, "tensors");
  if (status == ELLM_OK) status = ellm_source_open(path, &p.file, err);
  for (size_t i = 0; status == ELLM_OK && ellm_file_tensor(file, i, &info); i++) {
    error_sums own = {0, 0};
    if (info.kept) continue;
    if (cli_stopped()) status = prog_failure(err, ELLM_INTERRUPTED, "interrupted");
    else
      status = describe_tensor(file, i, &info, &p, m->plan->threads, &v->tensors[v->n_tensors++], &own, err);
    all.error += own.error;
    all.square += own.square;
  }
  v->error = all.square > 0 ? all.error / all.square : 0;
  ellm_source_close(p.checkpoint);
  ellm_source_close(p.file);
  ellm_file_close(file);
  return status;
}

/* ------------------------------------------------------------------- quality */

static ellm_status open_for(const measuring *m, const char *path, int kind, ellm_model **model, ellm_error *err) {
  ellm_model_options options;
  ellm_model_options_init(&options);
  options.threads = m->plan->threads;
  options.activations = kind == REPORT_FLOAT ? ELLM_ACTIVATIONS_F32 : ELLM_ACTIVATIONS_AUTO;
  return ellm_model_open(path, &options, model, err);
}

static ellm_divergence_request request_for(const measuring *m) {
  ellm_divergence_request what;
  ellm_divergence_request_init(&what);
  what.text = m->text;
  what.bytes = m->text_bytes;
  what.origin = m->plan->text;
  what.n_ctx = (uint32_t)m->plan->ctx;
  return what;
}

static const report_variant *same_logits(const report_data *data, const char *fingerprint, int *kind) {
  for (size_t i = 0; i < data->n_variants; i++)
    for (*kind = 0; *kind < REPORT_KINDS; ++*kind)
      if (strcmp(data->variants[i].fingerprint[*kind], fingerprint) == 0) return &data->variants[i];
  return NULL;
}

static ellm_status evaluate(measuring *m, const char *path, report_variant *v, int kind, ellm_error *err) {
  ellm_model *model;
  cli_progress progress;
  ellm_divergence_result *result = NULL;
  char state[PATH_BYTES], fingerprint[33] = "";
  int other;
  PROG_TRY(open_for(m, path, kind, &model, err));
  ellm_status status = ellm_eval_fingerprint(model, fingerprint, err);
  const report_variant *same = status == ELLM_OK ? same_logits(m->data, fingerprint, &other) : NULL;
  if (same) v->quality[kind] = same->quality[other];
  else if (status == ELLM_OK) {
    ellm_divergence_request what = request_for(m);
    ellm_eval_options options;
    what.n_ctx = 0; /* that of the reference */
    file_name(m->plan, v->name, kind == REPORT_FLOAT ? ".f32.state" : ".run.state", state);
    cli_progress_init(&progress);
    ellm_eval_options_init(&options);
    options.state = state;
    options.progress = cli_progress_update;
    options.progress_user = &progress;
    status = ellm_eval_divergence_saved(model, m->logits, &what, &options, &result, err);
    cli_progress_end(&progress);
  }
  if (result) {
    v->quality[kind] = (report_quality){result->kl, result->same_top, result->perplexity, result->ratio};
    m->data->n_ctx = result->n_ctx;
    m->data->n_chunks = result->n_chunks;
    m->data->scored = result->scored;
  }
  strcpy(v->fingerprint[kind], fingerprint);
  ellm_divergence_result_free(result);
  ellm_model_close(model);
  return status;
}

/* --------------------------------------------------------------------- speed */

/*
 * A process inherits the resident memory of the one that it was forked from, so
 * the timed ones are started by a process that was made before anything was
 * loaded: a request in, an answer out, until the socket is closed.
 */
typedef struct timing_request { char path[PATH_BYTES]; int threads; } timing_request;
typedef struct timing_answer { ellm_error err; bench_result prompt, generate; } timing_answer;

static bool transfer(int socket, void *data, size_t bytes, bool send) {
  char *at = data;
  while (bytes > 0) {
    ssize_t n = send ? write(socket, at, bytes) : read(socket, at, bytes);
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) {
      at += n;
      bytes -= (size_t)n;
    }
  }
  return true;
}

static void answer_requests(int socket) {
  timing_request request;
  while (transfer(socket, &request, sizeof request, false)) {
    timing_answer answer;
    memset(&answer, 0, sizeof answer);
    bench_job job = {.model = request.path, .threads = request.threads, .repeats = SPEED_REPEATS};
    ellm_status status = bench_measure(bench_prompt, &job, &answer.prompt, &answer.err);
    if (status == ELLM_OK) status = bench_measure(bench_generate, &job, &answer.generate, &answer.err);
    answer.err.status = status;
    if (!transfer(socket, &answer, sizeof answer, true)) break;
  }
}

static ellm_status start_timer(measuring *m, ellm_error *err) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return prog_failure_errno(err, errno, "create", "a socket");
  fflush(NULL);
  m->timer = fork();
  if (m->timer == 0) {
    close(ends[0]);
    answer_requests(ends[1]);
    _exit(0);
  }
  const int code = errno;
  close(ends[1]);
  m->timer_socket = ends[0];
  return m->timer > 0 ? ELLM_OK : prog_failure_errno(err, code, "start", "a process");
}

static void stop_timer(measuring *m) {
  if (m->timer_socket >= 0) close(m->timer_socket);
  while (m->timer > 0 && waitpid(m->timer, NULL, 0) < 0 && errno == EINTR) {
  }
}

static ellm_status time_it(const measuring *m, const char *path, report_variant *v, ellm_error *err) {
  timing_request request = {.threads = m->data->threads};
  timing_answer answer;
  snprintf(request.path, sizeof request.path, "%s", path);
  if (!transfer(m->timer_socket, &request, sizeof request, true) ||
      !transfer(m->timer_socket, &answer, sizeof answer, false))
    return prog_failure(err, ELLM_ERR_INTERNAL, "%s: the process that measures speed has ended", path);
  if (answer.err.status != ELLM_OK) {
    if (err) *err = answer.err;
    return answer.err.status;
  }
  v->prompt_rate = answer.prompt.median;
  v->generate_rate = answer.generate.median;
  v->peak_bytes = answer.generate.peak_bytes;
  return ELLM_OK;
}

/* ------------------------------------------------------------------ variants */

static ellm_status save_reference(measuring *m, ellm_error *err) {
  ellm_model *reference;
  cli_progress progress;
  const ellm_divergence_request what = request_for(m);
  ellm_eval_options options;
  PROG_TRY(open_for(m, m->plan->source, REPORT_FLOAT, &reference, err));
  cli_progress_init(&progress);
  ellm_eval_options_init(&options);
  options.limit = (size_t)m->plan->chunks;
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  ellm_status status = ellm_eval_save_reference(reference, &what, m->logits, true, &options, err);
  cli_progress_end(&progress);
  ellm_model_close(reference);
  return status;
}

static ellm_status compress_variant(const measuring *m, const report_variant *v, const char *path, ellm_error *err) {
  ellm_compress_options options;
  cli_progress progress;
  ellm_compress_options_init(&options);
  cli_progress_init(&progress);
  options.bits = v->bits;
  options.scheme = v->scheme;
  options.code = v->code;
  options.overwrite = true;
  options.threads = m->plan->threads;
  options.progress = cli_progress_update;
  options.progress_user = &progress;
  ellm_status status = ellm_compress(m->plan->source, path, &options, NULL, err);
  cli_progress_end(&progress);
  return status;
}

static ellm_status measure_variant(measuring *m, report_variant *v, ellm_error *err) {
  char path[PATH_BYTES], label[48];
  if (v->original) snprintf(path, sizeof path, "%s", m->plan->source);
  else file_name(m->plan, v->name, ".ellm", path);
  cli_note("%zu of %d: %s", (size_t)(v - m->data->variants) + 1, REPORT_VARIANTS, report_label(v, label));
  ellm_status status = v->original ? ELLM_OK : compress_variant(m, v, path, err);
  if (status == ELLM_OK && !v->original) status = describe(m, path, v, err);
  for (int kind = 0; status == ELLM_OK && kind < REPORT_KINDS; kind++) status = evaluate(m, path, v, kind, err);
  if (status == ELLM_OK) status = time_it(m, path, v, err);
  if (!v->original && !m->plan->keep_files) unlink(path);
  return status;
}

/* Bits that a weight of the checkpoint takes, over all its tensors. */
static ellm_status describe_original(const char *path, report_variant *v, ellm_error *err) {
  ellm_source *source;
  ellm_tensor_info info;
  uint64_t elements = 0;
  PROG_TRY(ellm_source_open(path, &source, err));
  for (size_t i = 0; ellm_source_tensor(source, i, &info); i++) {
    v->file_bytes += info.stored_bytes;
    elements += info.n_elements;
  }
  ellm_source_close(source);
  v->coded_bits = v->entropy = elements ? 8 * (double)v->file_bytes / (double)elements : 0;
  return ELLM_OK;
}

static void remove_states(const measuring *m) {
  char path[PATH_BYTES];
  for (size_t i = 0; i < m->data->n_variants; i++) {
    file_name(m->plan, m->data->variants[i].name, ".f32.state", path);
    unlink(path);
    file_name(m->plan, m->data->variants[i].name, ".run.state", path);
    unlink(path);
  }
  if (!m->plan->keep_files) unlink(m->logits);
}

ellm_status report_measure(const report_plan *plan, report_data *data, ellm_error *err) {
  static const int widths[] = {8, 4};
  measuring m = {.plan = plan, .data = data, .timer_socket = -1};
  *data = (report_data){.source = plan->source,
                        .text = plan->text,
                        .isa = ellm_isa(),
                        .threads = plan->threads ? plan->threads : ellm_cpu_count()};
  file_name(plan, "reference", ".logits", m.logits);
  ellm_status status = start_timer(&m, err);
  if (status == ELLM_OK) status = strcmp(plan->text, "-") == 0
                 ? cli_read_stdin(&m.text, &m.text_bytes, err)
                 : cli_read_file(plan->text, TEXT_LIMIT, &m.text, &m.text_bytes, err);
  if (status == ELLM_OK) cli_note("logits of the original");
  if (status == ELLM_OK) status = save_reference(&m, err);
  report_variant *v = data->variants;
  *v = (report_variant){.name = "original", .original = true};
  data->n_variants = 1;
  if (status == ELLM_OK) status = describe_original(plan->source, v, err);
  if (status == ELLM_OK) status = measure_variant(&m, v, err);
  for (size_t i = 0; i < 12 && status == ELLM_OK; i++) {
    v = &data->variants[data->n_variants++];
    *v = (report_variant){.bits = widths[i / 6],
                          .scheme = (ellm_scheme)(i / 2 % 3),
                          .code = i % 2 ? ELLM_CODE_NONE : ELLM_CODE_HUFFMAN};
    snprintf(v->name, sizeof v->name, "%d-%s-%s", v->bits, ellm_scheme_name(v->scheme), i % 2 ? "none" : "huffman");
    status = measure_variant(&m, v, err);
  }
  if (status == ELLM_OK) remove_states(&m);
  stop_timer(&m);
  free(m.text);
  return status;
}
