/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing the next token: repetition penalty, biases and penalties of occurrence, temperature, top_k, top_p, min_p
 * in this order, as Transformers applies them, then one draw.
 *
 * Candidates are ordered by logit, equal ones by lower id, so that every filter
 * is defined to the last token. Where a filter needs that order, a heap yields
 * only as many candidates as the filter keeps; otherwise they stay in the order
 * of ids. Probabilities are doubles, relative to the best candidate (weight 1),
 * by exact_exp: the same seed and logits give the same token everywhere.
 * NaN and +infinity are no logits: they end sampling. Nothing is allocated
 * after creation. Ids that are not allowed (sampler_allow) are no candidates:
 * filters and shares are of the others.
 */
#include "generate/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/exact_math.h"
#include "base/memory.h"
#include "base/sized.h"
#include "model/model.h"
#include "model/random.h"

typedef struct candidate {
  float logit;
  uint32_t id;
} candidate;

struct ellm_sampler {
  ellm_sampling sampling;
  uint32_t vocab_size;
  uint32_t accepted;     /* how many, except one that is far beyond any context */
  random_state random;
  candidate *candidates; /* [vocab_size] */
  double *weights;       /* [vocab_size], of the candidates */
  uint64_t *seen;        /* bitmap of accepted ids; NULL without a penalty */
  const uint64_t *allowed; /* bitmap of ids, NULL: all */
  float *shifts;         /* [vocab_size], what biases and penalties of occurrence add; NULL: nothing */
  uint64_t *occurred;    /* bitmap of ids accepted after the prompt; NULL without shifts */
};

static ellm_status check(const ellm_sampling *s, uint32_t vocab_size, ellm_error *err) {
  if (vocab_size == 0) return ellm_fail(err, ELLM_ERR_USAGE, "sampling: the vocabulary is empty");
  if (!(s->temperature >= 0 && isfinite(s->temperature)))
    return ellm_fail(err, ELLM_ERR_USAGE, "temperature %g is not a finite number of at least 0", s->temperature);
  if (s->top_k < 0) return ellm_fail(err, ELLM_ERR_USAGE, "top_k %d is negative", s->top_k);
  if (!(s->top_p >= 0 && s->top_p <= 1)) return ellm_fail(err, ELLM_ERR_USAGE, "top_p %g is not in 0..1", s->top_p);
  if (!(s->min_p >= 0 && s->min_p <= 1)) return ellm_fail(err, ELLM_ERR_USAGE, "min_p %g is not in 0..1", s->min_p);
  if (!(s->repeat_penalty > 0 && isfinite(s->repeat_penalty)))
    return ellm_fail(err, ELLM_ERR_USAGE, "repeat_penalty %g is not a finite number above 0", s->repeat_penalty);
  if (!(fabsf(s->frequency_penalty) <= 100))
    return ellm_fail(err, ELLM_ERR_USAGE, "frequency_penalty %g is not in -100..100", s->frequency_penalty);
  if (!(fabsf(s->presence_penalty) <= 100))
    return ellm_fail(err, ELLM_ERR_USAGE, "presence_penalty %g is not in -100..100", s->presence_penalty);
  for (size_t i = 0; i < s->n_biases; i++)
    if (s->biases[i].id >= vocab_size || !isfinite(s->biases[i].value))
      return ellm_fail(err, ELLM_ERR_USAGE, "a bias of %g for token id %u of %u makes no sense", s->biases[i].value,
                       (unsigned)s->biases[i].id, (unsigned)vocab_size);
  return ELLM_OK;
}

enum { DEFAULT_TOP_K = 50 }; /* Transformers' */

void ellm_sampling_init_sized(ellm_sampling *given, size_t size) {
  const ellm_sampling own = {.size = size, .top_p = 1, .repeat_penalty = 1};
  ellm_sized_init(given, &own, sizeof own);
}

void ellm_model_sampling(const ellm_model *model, ellm_sampling *sampling) {
  ellm_model_info info;
  ellm_model_get_info(model, &info);
  if (info.do_sample == 1) sampling->temperature = info.temperature >= 0 ? info.temperature : 1;
  sampling->top_k = info.top_k >= 0 ? info.top_k : DEFAULT_TOP_K;
  if (info.top_p >= 0) sampling->top_p = info.top_p;
  if (info.min_p >= 0) sampling->min_p = info.min_p;
  if (info.repetition_penalty > 0) sampling->repeat_penalty = info.repetition_penalty;
}

ellm_status ellm_sampler_create(const ellm_sampling *given, uint32_t vocab_size, ellm_sampler **sampler,
                                ellm_error *err) {
  *sampler = NULL;
  ELLM_SIZED(ellm_sampling, sampling, given, err);
  ELLM_TRY(check(&sampling, vocab_size, err));
  ellm_sampler *s = calloc(1, sizeof *s);
  if (!s) return ellm_fail_memory(err, sizeof *s, "the sampler");
  s->sampling = sampling;
  s->vocab_size = vocab_size;
  random_seed(&s->random, sampling.seed);
  s->candidates = calloc(vocab_size, sizeof *s->candidates);
  s->weights = calloc(vocab_size, sizeof *s->weights);
  bool penalty = sampling.repeat_penalty != 1;
  if (penalty) s->seen = calloc((size_t)vocab_size / 64 + 1, sizeof *s->seen);
  bool shifted = sampling.n_biases > 0 || sampling.frequency_penalty != 0 || sampling.presence_penalty != 0;
  if (shifted) {
    s->shifts = calloc(vocab_size, sizeof *s->shifts);
    s->occurred = calloc((size_t)vocab_size / 64 + 1, sizeof *s->occurred);
  }
  if (!s->candidates || !s->weights || (penalty && !s->seen) || (shifted && (!s->shifts || !s->occurred))) {
    ellm_sampler_free(s);
    return ellm_fail_memory(err, vocab_size * sizeof *s->candidates, "the sampler");
  }
  for (size_t i = 0; i < sampling.n_biases; i++) s->shifts[sampling.biases[i].id] = sampling.biases[i].value;
  s->sampling.biases = NULL; /* the caller's */
  *sampler = s;
  return ELLM_OK;
}

void ellm_sampler_free(ellm_sampler *sampler) {
  if (!sampler) return;
  free(sampler->candidates);
  free(sampler->weights);
  free(sampler->seen);
  free(sampler->shifts);
  free(sampler->occurred);
  free(sampler);
}

void ellm_sampler_accept(ellm_sampler *sampler, uint32_t id) {
  sampler->accepted++;
  if (sampler->seen && id < sampler->vocab_size) sampler->seen[id / 64] |= UINT64_C(1) << id % 64;
  if (sampler->shifts && id < sampler->vocab_size && sampler->accepted > sampler->sampling.n_prompt) {
    const bool before_this = sampler->occurred[id / 64] >> id % 64 & 1;
    sampler->occurred[id / 64] |= UINT64_C(1) << id % 64;
    sampler->shifts[id] -= sampler->sampling.frequency_penalty + (before_this ? 0 : sampler->sampling.presence_penalty);
  }
}

static float penalized(const ellm_sampler *s, const float *logits, uint32_t id) {
  const float shift = s->shifts ? s->shifts[id] : 0;
  float logit = logits[id];
  if (!s->seen || !(s->seen[id / 64] >> id % 64 & 1)) return logit + shift;
  return (logit > 0 ? logit / s->sampling.repeat_penalty : logit * s->sampling.repeat_penalty) + shift;
}

void sampler_allow(ellm_sampler *sampler, const uint64_t *allowed) { sampler->allowed = allowed; }

/* The first id from `id` on that is allowed, or vocab_size. */
static uint32_t next_allowed(const ellm_sampler *s, uint32_t id) {
  if (!s->allowed) return id;
  while (id < s->vocab_size) {
    const uint64_t rest = s->allowed[id / 64] >> id % 64;
    if (rest & 1) return id;
    id = rest == 0 ? (id / 64 + 1) * 64 : id + (uint32_t)__builtin_ctzll(rest);
  }
  return s->vocab_size;
}

/* The lowest id of equal maxima. */
static uint32_t greedy(const ellm_sampler *s, const float *logits) {
  uint32_t best = next_allowed(s, 0);
  if (best == s->vocab_size) return 0;
  float most = penalized(s, logits, best);
  for (uint32_t id = next_allowed(s, best + 1); id < s->vocab_size; id = next_allowed(s, id + 1)) {
    float logit = penalized(s, logits, id);
    if (logit > most) {
      most = logit;
      best = id;
    }
  }
  return best;
}

static bool before(candidate a, candidate b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

/* Let heap[at] sink in a heap of n whose first element is before all others. */
static void sink(candidate *heap, size_t n, size_t at) {
  candidate moved = heap[at];
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && before(heap[child + 1], heap[child])) child++;
    if (!before(heap[child], moved)) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

/* Probability relative to the best candidate's. */
static double weight_of(const ellm_sampler *s, float logit, float best) {
  if (logit == best) return 1; /* also where all are -infinity */
  return exact_exp(((double)logit - (double)best) / (double)s->sampling.temperature);
}

/* All of them, in the order of ids; their number. *best: the greatest logit. */
static size_t collect(ellm_sampler *s, const float *logits, float *best) {
  size_t n = 0;
  *best = -INFINITY;
  for (uint32_t id = next_allowed(s, 0); id < s->vocab_size; id = next_allowed(s, id + 1)) {
    const float logit = penalized(s, logits, id);
    s->candidates[n++] = (candidate){logit, id};
    if (logit > *best) *best = logit;
  }
  return n;
}

/*
 * The candidates that top_k and top_p keep, best first, from candidates[first]
 * to the end of the n; their weights are at the same places. top_p keeps a
 * candidate while those before it hold less than that share.
 */
static size_t keep_best(ellm_sampler *s, size_t n, float best) {
  candidate *heap = s->candidates;
  size_t most = s->sampling.top_k > 0 && (size_t)s->sampling.top_k < n ? (size_t)s->sampling.top_k : n, kept = 0;
  double total = 0, sum = 0, top_p = (double)s->sampling.top_p;
  bool nucleus = top_p < 1;
  if (nucleus && most == n)
    for (size_t i = 0; i < n; i++) total += weight_of(s, heap[i].logit, best);
  for (size_t i = n / 2; i-- > 0;) sink(heap, n, i);
  while (kept < most) { /* the best go to the end, which the shrinking heap leaves free */
    if (nucleus && most == n && kept > 0 && sum >= top_p * total) break;
    size_t last = n - 1 - kept;
    candidate next = heap[0];
    heap[0] = heap[last];
    sink(heap, last, 0);
    heap[last] = next;
    sum += s->weights[last] = weight_of(s, next.logit, best);
    kept++;
  }
  if (nucleus && most < n) { /* the share is of what top_k kept */
    double before_it = 0;
    size_t within = 0;
    while (within < kept && (within == 0 || before_it < top_p * sum)) before_it += s->weights[n - 1 - within++];
    kept = within;
  }
  for (size_t i = 0; i < kept / 2; i++) { /* the end, turned round: best first */
    size_t a = n - kept + i, b = n - 1 - i;
    candidate c = heap[a];
    double w = s->weights[a];
    heap[a] = heap[b];
    s->weights[a] = s->weights[b];
    heap[b] = c;
    s->weights[b] = w;
  }
  return n - kept;
}

static uint32_t draw(ellm_sampler *s, const float *logits) {
  float best;
  const size_t n = collect(s, logits, &best);
  size_t first = 0;
  if (s->sampling.top_p < 1 || (s->sampling.top_k > 0 && (size_t)s->sampling.top_k < n)) first = keep_best(s, n, best);
  else
    for (size_t i = 0; i < n; i++) s->weights[i] = weight_of(s, s->candidates[i].logit, best);
  double total = 0, least = (double)s->sampling.min_p;
  for (size_t i = first; i < n; i++) {
    if (s->weights[i] < least) s->weights[i] = 0;
    total += s->weights[i];
  }
  double target = random_unit(&s->random) * total, sum = 0;
  size_t chosen = first;
  for (size_t i = first; i < n; i++) {
    if (s->weights[i] == 0) continue;
    chosen = i;
    sum += s->weights[i];
    if (sum > target) break;
  }
  return s->candidates[chosen].id;
}

ellm_status ellm_sampler_next(ellm_sampler *s, const float *logits, uint32_t *id, ellm_error *err) {
  *id = 0;
  ELLM_TRY(ellm_logits_check(logits, s->vocab_size, s->accepted > 0 ? s->accepted - 1 : 0, err));
  *id = s->sampling.temperature == 0 ? greedy(s, logits) : draw(s, logits);
  return ELLM_OK;
}
