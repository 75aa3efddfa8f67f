/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n, while a model is opened and its tokenizer made: of GGUF files, with tokens of
 * SentencePiece and of byte pairs, and of folders with a tokenizer.model. Each time that is an error that says so,
 * nothing is leaked, and the same call succeeds once there is memory again.
 */
#include <unistd.h>

#include "failing_allocator.h"
#include "gguf/gguf_builder.h"
#include "model/model_testing.h"

enum { WIDTH = 16, BYTE_PIECES = 256, F32_TYPE = 0 };

static char folder[] = "/tmp/ellm-opening-XXXXXX";

/* ------------------------------------------------------------- a GGUF file */

static void put_float(ellm_buffer *b, float value) {
  uint8_t bytes[4];
  memcpy(bytes, &value, 4);
  put(b, bytes, 4);
}

static void put_text(ellm_buffer *b, const char *key, const char *value) {
  put_key(b, key, GGUF_VALUE_STRING);
  put_string(b, value);
}

/* The keys of a tiny Llama but those of its tokenizer. */
enum { SIZE_KEYS = 8 };
static void put_sizes(ellm_buffer *b) {
  put_text(b, "general.architecture", "llama");
  put_integer(b, "llama.block_count", 1);
  put_integer(b, "llama.context_length", 64);
  put_integer(b, "llama.embedding_length", WIDTH);
  put_integer(b, "llama.feed_forward_length", WIDTH);
  put_integer(b, "llama.attention.head_count", 1);
  put_integer(b, "llama.attention.head_count_kv", 1);
  put_key(b, "llama.attention.layer_norm_rms_epsilon", GGUF_VALUE_F32);
  put_float(b, 1e-5f);
}

static void put_vector(ellm_buffer *b, const char *name, uint64_t offset) {
  put_string(b, name);
  put_u32(b, 1);
  put_u64(b, WIDTH);
  put_u32(b, F32_TYPE);
  put_u64(b, offset);
}

/* All tensors and their data, of small weights. */
enum { TENSORS = 11 };
static void put_tensors(ellm_buffer *b, uint64_t n_tokens) {
  static const char *const matrices[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
  static const char *const norms[] = {"output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"};
  const uint64_t row = WIDTH * sizeof(float);
  uint64_t at = 0, rows = n_tokens;
  put_tensor(b, "token_embd.weight", WIDTH, n_tokens, F32_TYPE, at);
  at += n_tokens * row;
  for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++, at += WIDTH * row, rows += WIDTH) {
    char name[64];
    snprintf(name, sizeof name, "blk.0.%s.weight", matrices[i]);
    put_tensor(b, name, WIDTH, WIDTH, F32_TYPE, at);
  }
  for (size_t i = 0; i < sizeof norms / sizeof *norms; i++, at += row, rows++) put_vector(b, norms[i], at);
  put_data(b, 32, 0);
  for (uint64_t i = 0; i < rows * WIDTH; i++) put_float(b, (float)(i % 23) / 23 - 0.4f);
}

/* Tokens of SentencePiece: <unk>, <s>, </s>, the bytes, some pieces. */
static void put_sentencepiece(ellm_buffer *b) {
  static const char *const pieces[] = {"\xE2\x96\x81", "a", "b", "ab", "\xE2\x96\x81" "ab", "\xE2\x96\x81" "a"};
  enum { PIECES = sizeof pieces / sizeof *pieces, N = 3 + BYTE_PIECES + PIECES };
  put_header(b, 3, TENSORS, SIZE_KEYS + 4);
  put_sizes(b);
  put_text(b, "tokenizer.ggml.model", "llama");
  put_array(b, "tokenizer.ggml.tokens", GGUF_VALUE_STRING, N);
  put_string(b, "<unk>");
  put_string(b, "<s>");
  put_string(b, "</s>");
  for (int i = 0; i < BYTE_PIECES; i++) {
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
    put_string(b, name);
  }
  for (int i = 0; i < PIECES; i++) put_string(b, pieces[i]);
  put_array(b, "tokenizer.ggml.scores", GGUF_VALUE_F32, N);
  for (int i = 0; i < N; i++) put_float(b, -(float)i);
  put_array(b, "tokenizer.ggml.token_type", GGUF_VALUE_I32, N);
  for (int i = 0; i < N; i++) put_u32(b, i == 0 ? 2 : i < 3 ? 3 : i < 3 + BYTE_PIECES ? 6 : 1);
  put_tensors(b, N);
}

/* Byte pairs, of a text of letters. */
static void put_byte_pairs(ellm_buffer *b) {
  static const char *const tokens[] = {"<|end|>", "a", "b", "c", "\xC4\xA0", "ab", "\304\240ab", "abc"};
  static const char *const merges[] = {"a b", "\xC4\xA0 ab", "ab c"};
  enum { N = sizeof tokens / sizeof *tokens, MERGES = sizeof merges / sizeof *merges };
  put_header(b, 3, TENSORS, SIZE_KEYS + 6);
  put_sizes(b);
  put_text(b, "tokenizer.ggml.model", "gpt2");
  put_text(b, "tokenizer.ggml.pre", "gpt-2");
  put_integer(b, "tokenizer.ggml.eos_token_id", 0);
  put_array(b, "tokenizer.ggml.tokens", GGUF_VALUE_STRING, N);
  for (int i = 0; i < N; i++) put_string(b, tokens[i]);
  put_array(b, "tokenizer.ggml.token_type", GGUF_VALUE_I32, N);
  for (int i = 0; i < N; i++) put_u32(b, i == 0 ? 3 : 1);
  put_array(b, "tokenizer.ggml.merges", GGUF_VALUE_STRING, MERGES);
  for (int i = 0; i < MERGES; i++) put_string(b, merges[i]);
  put_tensors(b, N);
}

/* --------------------------------------------------------------- opening */

typedef struct opened {
  ellm_model *model;
  uint32_t *ids;
  size_t n_ids;
} opened;

static ellm_status open_and_encode(const char *path, opened *out, ellm_error *err) {
  ellm_model_options options;
  const ellm_tokenizer *tokenizer;
  *out = (opened){0};
  ellm_model_options_init(&options);
  options.threads = 1;
  ELLM_TRY(ellm_model_open(path, &options, &out->model, err));
  ellm_status status = ellm_model_tokenizer(out->model, &tokenizer, err);
  if (status == ELLM_OK)
    status = ellm_tokenizer_encode(tokenizer, "ab abc", 6, ELLM_ENCODE_DEFAULT, &out->ids, &out->n_ids, err);
  return status;
}

static void close_all(opened *o) {
  free(o->ids);
  ellm_model_close(o->model);
  *o = (opened){0};
}

static void each_allocation_fails_once(const char *path) {
  opened wanted, got;
  ASSERT_OK(open_and_encode(path, &wanted, ERR));
  assert_true(wanted.n_ids >= 2);
  const long live = allocator.live;
  long n = 0;
  for (bool failed = true; failed; n++) {
    ellm_error err = {0};
    allocator_fail_after(n);
    ellm_status status = open_and_encode(path, &got, &err);
    allocator_recover();
    failed = allocator.failed;
    if (status != ELLM_OK) {
      if (!failed || status != ELLM_ERR_IO || strstr(err.message, "memory") == NULL)
        fail_msg("%s: allocation %ld: status %d: %s", path, n, (int)status, err.message);
      close_all(&got);
      ASSERT_OK(open_and_encode(path, &got, ERR));
    }
    assert_int_equal(got.n_ids, wanted.n_ids); /* or it could do without */
    assert_memory_equal(got.ids, wanted.ids, wanted.n_ids * sizeof *wanted.ids);
    close_all(&got);
    if (allocator.live != live) fail_msg("%s: allocation %ld: %ld blocks are left", path, n, allocator.live - live);
  }
  print_message("%s: each of %ld allocations failed once\n", path, n - 1);
  assert_true(n > 50);
  close_all(&wanted);
}

static void of_gguf(void (*make)(ellm_buffer *b)) {
  char path[64];
  ellm_buffer b = {0};
  make(&b);
  snprintf(path, sizeof path, "%s/model.gguf", folder);
  FILE *file = fopen(path, "wb");
  assert_true(file != NULL && fwrite(b.data, 1, b.size, file) == b.size && fclose(file) == 0);
  ellm_buffer_free(&b);
  each_allocation_fails_once(path);
  unlink(path);
}

static void gguf_with_sentencepiece(void **state) {
  (void)state;
  of_gguf(put_sentencepiece);
}

static void gguf_with_byte_pairs(void **state) {
  (void)state;
  of_gguf(put_byte_pairs);
}

/* The model of a golden folder with a tokenizer.model in place of its tokenizer.json. */
static void folders_with_sentencepiece(void **state) {
  (void)state;
  static const char *const tokenizers[] = {"bpe-bytes", "bpe-symbols", "unigram-bytes"};
  static const char *const files[] = {"config.json", "model.safetensors"};
  char model[512], from[1024], to[96];
  assert_true(golden_model("llama-tied-gqa", model, sizeof model));
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(from, sizeof from, "%s/%s", model, files[i]);
    snprintf(to, sizeof to, "%s/%s", folder, files[i]);
    assert_int_equal(symlink(from, to), 0);
  }
  for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers; i++) {
    snprintf(from, sizeof from, ENTROLLM_SOURCE_DIR "/tests/golden/sentencepiece/%s/tokenizer.model", tokenizers[i]);
    snprintf(to, sizeof to, "%s/tokenizer.model", folder);
    assert_int_equal(symlink(from, to), 0);
    each_allocation_fails_once(folder);
    assert_int_equal(unlink(to), 0);
  }
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  char command[96];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gguf_with_sentencepiece),
                                     cmocka_unit_test(gguf_with_byte_pairs),
                                     cmocka_unit_test(folders_with_sentencepiece)};
  return cmocka_run_group_tests_name("opening out of memory", tests, make_folder, remove_folder);
}
