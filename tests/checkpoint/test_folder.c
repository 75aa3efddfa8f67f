/* SPDX-License-Identifier: Apache-2.0 */
/* Which files hold the weights, and what is said of folders that have none. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"

static char top[] = "/tmp/ellm-folder-XXXXXX";
static char folder[64];

static const char *in_folder(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void put(const char *name, const char *text) {
  FILE *f = fopen(in_folder(name), "wb");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

static void make_directory(const char *name) { assert_int_equal(mkdir(in_folder(name), 0777), 0); }

/* A safetensors file of one U8 tensor. */
static void put_shard(const char *name, const char *tensor) {
  char header[200];
  snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", tensor);
  FILE *f = fopen(in_folder(name), "wb");
  assert_non_null(f);
  const size_t n = strlen(header);
  for (int i = 0; i < 8; i++) fputc(i == 0 ? (int)n : 0, f);
  fputs(header, f);
  fputc('x', f);
  assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *where) {
  (void)info, (void)flag, (void)where;
  return remove(path);
}

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "%s/in", top);
  return mkdir(folder, 0777);
}

static int remove_folder(void **state) {
  (void)state;
  return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int make_top(void **state) {
  (void)state;
  return mkdtemp(top) != NULL ? 0 : -1;
}

static int remove_top(void **state) {
  (void)state;
  return rmdir(top);
}

static void refused(const char *path, const char *part) {
  checkpoint *c;
  ellm_error err = {0};
  assert_int_equal(checkpoint_open(path, &(checkpoint_options){0}, &c, &err), ELLM_ERR_INPUT);
  assert_null(c);
  if (strstr(err.message, part) == NULL) fail_msg("message: %s\nwanted:  %s", err.message, part);
}

static void opens(const char *path, size_t n_tensors) {
  checkpoint *c;
  ellm_error err = {0};
  if (checkpoint_open(path, &(checkpoint_options){0}, &c, &err) != ELLM_OK) fail_msg("%s", err.message);
  assert_int_equal(checkpoint_tensor_count(c), n_tensors);
  checkpoint_close(c);
}

static void test_other_names(void **state) {
  (void)state;
  put("config.json", "{}");
  refused(folder, "there are no weights: neither model.safetensors nor");
  put("pytorch_model.bin", "PK");
  refused(folder, "there are no safetensors; pytorch_model.bin is not supported: load the model with Transformers");
  put("m.gguf", "GGUF");
  refused(folder, "m.gguf is a GGUF file");
  put_shard("model-bf16.safetensors", "a");
  put_shard("model-fp8.safetensors", "a");
  refused(folder, "but model-bf16.safetensors, model-fp8.safetensors: where that is the model, rename it");
  put_shard("consolidated.00.safetensors", "a");
  refused(folder, "consolidated.00.safetensors is Mistral's own format; the Hugging Face files are needed");
  put_shard("model.safetensors", "a");
  opens(folder, 1);
}

static void test_adapter(void **state) {
  (void)state;
  put_shard("adapter_model.safetensors", "a");
  refused(folder, "a LoRA adapter, not a whole model: merge it into its base model first");
  put("adapter_config.json", "{\"base_model_name_or_path\": \"org/base-7b\"}");
  refused(folder, "into its base model (org/base-7b) first");
  put("adapter_config.json", "{\"base_model_name_or_path\": 3");
  refused(folder, "into its base model first");
}

static void test_shards_without_index(void **state) {
  (void)state;
  put_shard("model-00001-of-00001.safetensors", "a");
  opens(folder, 1);
  assert_int_equal(unlink(in_folder("model-00001-of-00001.safetensors")), 0);
  put_shard("model-00001-of-00002.safetensors", "a");
  refused(folder, "model-00001-of-00002.safetensors is there, but no model.safetensors.index.json, and not all shards");
  put_shard("model-00002-of-00002.safetensors", "b");
  opens(folder, 2);
  put_shard("model-00001-of-00003.safetensors", "c");
  refused(folder, "not all shards");
  assert_int_equal(unlink(in_folder("model-00001-of-00003.safetensors")), 0);
  put("model.safetensors.index.json", "version https://git-lfs.github.com/spec/v1\n");
  refused(folder, "model.safetensors.index.json: a git-lfs pointer");
  put("model.safetensors.index.json",
      "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\",\"c\":\"model-00003-of-00003.safetensors\"}}");
  refused(folder, "model-00003-of-00003.safetensors: a file of this checkpoint is missing");
}

static void test_cache(void **state) {
  (void)state;
  make_directory("snapshots");
  make_directory("blobs");
  refused(folder, "without a snapshot");
  make_directory("snapshots/0123abcd");
  refused(folder, "/snapshots/0123abcd: there are no weights");
  put_shard("snapshots/0123abcd/model.safetensors", "a");
  opens(folder, 1);
  make_directory("snapshots/4567cdef");
  refused(folder, "with 2 snapshots; name one of them: ");
  refused(folder, "/snapshots/{0123abcd, 4567cdef}");
  opens(in_folder("snapshots/0123abcd"), 1);
}

static void test_files(void **state) {
  (void)state;
  put("m.gguf", "GGUF");
  char path[512];
  snprintf(path, sizeof path, "%s", in_folder("m.gguf"));
  refused(path, "m.gguf: a GGUF file: name the file itself as the model");
  put_shard("model.safetensors", "a");
  snprintf(path, sizeof path, "%s", in_folder("model.safetensors"));
  refused(path, "name its folder instead");
  put("x", "?");
  snprintf(path, sizeof path, "%s", in_folder("x"));
  refused(path, "not a checkpoint folder");
  put("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n");
  refused(folder, "tokenizer.json: a git-lfs pointer");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {TEST(test_other_names), TEST(test_adapter), TEST(test_shards_without_index),
                                     TEST(test_cache), TEST(test_files)};
  return cmocka_run_group_tests(tests, make_top, remove_top);
}
