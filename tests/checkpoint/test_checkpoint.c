/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint folders: shards, the index and its lies, the small files, reading and mapping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"

static char folder[] = "/tmp/ellm-checkpoint-XXXXXX";

static void write_bytes(const char *name, const void *data, size_t bytes) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, bytes, f), bytes);
  assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text) { write_bytes(name, text, strlen(text)); }

/* NAME with the header and `data_bytes` bytes of data: 0, 1, 2, ... */
static void write_shard(const char *name, const char *header, size_t data_bytes) {
  const size_t n = strlen(header);
  uint8_t *file = malloc(8 + n + data_bytes);
  assert_non_null(file);
  store_u64(file, n);
  memcpy(file + 8, header, n);
  for (size_t i = 0; i < data_bytes; i++) file[8 + n + i] = (uint8_t)i;
  write_bytes(name, file, 8 + n + data_bytes);
  free(file);
}

static void empty_folder(void) {
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (unlink(path) != 0) rmdir(path);
  }
  closedir(dir);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  empty_folder();
  return rmdir(folder);
}

static int clean(void **state) {
  (void)state;
  empty_folder();
  return 0;
}

static checkpoint *open_good(void) {
  checkpoint *c;
  ellm_error err = {0};
  if (checkpoint_open(folder, &(checkpoint_options){0}, &c, &err) != ELLM_OK) fail_msg("%s", err.message);
  return c;
}

static void refused(ellm_status status, const char *part) {
  checkpoint *c;
  ellm_error err = {0};
  assert_int_equal(checkpoint_open(folder, &(checkpoint_options){0}, &c, &err), status);
  assert_null(c);
  if (strstr(err.message, part) == NULL) fail_msg("message: %s\nwanted:  %s", err.message, part);
}

#define U8(n, begin, end) "{\"dtype\":\"U8\",\"shape\":[" n "],\"data_offsets\":[" begin "," end "]}"
#define INDEX "model.safetensors.index.json"
static const char shard_a[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"a1\":" U8("4", "0", "4") ",\"a0\":" U8("2", "4", "6") "}";
static const char shard_b[] = "{\"b\":" U8("3", "0", "3") "}";

/* Shards m-2 and m-1; the index lists them in that order. */
static void write_two_shards(void) {
  write_shard("m-1.safetensors", shard_a, 6);
  write_shard("m-2.safetensors", shard_b, 3);
  write_text(INDEX,
             "{\"metadata\":{\"total_size\":9},\"weight_map\":{\"b\":\"m-2.safetensors\",\"a0\":\"m-1.safetensors\","
             "\"a1\":\"m-1.safetensors\"}}");
}

static void check_tensor(checkpoint *c, const char *name, size_t index, size_t bytes, int first_value) {
  const checkpoint_tensor *t = checkpoint_find(c, name);
  assert_non_null(t);
  assert_ptr_equal(t, checkpoint_tensor_at(c, index));
  assert_string_equal(t->name, name);
  assert_int_equal(t->bytes, bytes);
  uint8_t read[16];
  const uint8_t *mapped;
  ellm_error err = {0};
  assert_int_equal(checkpoint_read(c, t, 0, read, bytes, &err), ELLM_OK);
  assert_int_equal(checkpoint_map(c, t, &mapped, &err), ELLM_OK);
  for (size_t i = 0; i < bytes; i++) {
    assert_int_equal(read[i], (size_t)first_value + i);
    assert_int_equal(mapped[i], (size_t)first_value + i);
  }
  assert_int_equal(checkpoint_read(c, t, bytes - 1, read, 1, &err), ELLM_OK);
  assert_int_equal(read[0], (size_t)first_value + bytes - 1);
  assert_int_equal(checkpoint_read(c, t, bytes, read, 1, &err), ELLM_ERR_INTERNAL);
  assert_int_equal(checkpoint_read(c, t, UINT64_MAX, read, 2, &err), ELLM_ERR_INTERNAL);
}

static void test_single(void **state) {
  (void)state;
  write_shard("model.safetensors", shard_a, 6);
  write_shard("consolidated.safetensors", "{", 0); /* not ours to read */
  checkpoint *c = open_good();
  assert_string_equal(checkpoint_path(c), folder);
  assert_int_equal(checkpoint_tensor_count(c), 2);
  check_tensor(c, "a1", 0, 4, 0);
  check_tensor(c, "a0", 1, 2, 4);
  assert_null(checkpoint_find(c, "a"));
  assert_null(checkpoint_find(c, ""));
  assert_non_null(strstr(checkpoint_metadata(c), "\"pt\""));
  assert_int_equal(checkpoint_asset_count(c), 0);
  checkpoint_close(c);
}

static void test_shards(void **state) {
  (void)state;
  write_two_shards();
  checkpoint *c = open_good();
  assert_int_equal(checkpoint_tensor_count(c), 3);
  check_tensor(c, "a1", 0, 4, 0);
  check_tensor(c, "a0", 1, 2, 4);
  check_tensor(c, "b", 2, 3, 0);
  assert_int_equal(checkpoint_find(c, "b")->shard, 1);
  assert_non_null(strstr(checkpoint_shard_path(c, 1), "/m-2.safetensors"));
  checkpoint_close(c);
}

static void test_single_wins(void **state) {
  (void)state;
  write_two_shards();
  write_shard("model.safetensors", shard_b, 3);
  checkpoint *c = open_good();
  assert_int_equal(checkpoint_tensor_count(c), 1);
  assert_string_equal(checkpoint_metadata(c), "{}");
  checkpoint_close(c);
}

static void test_no_weights(void **state) {
  (void)state;
  write_text("tokenizer.json", "{}");
  refused(ELLM_ERR_INPUT, "there are no weights: neither model.safetensors nor model.safetensors.index.json");
  write_shard("model.safetensors", "{}", 0); /* none of this one is no fault of the folder */
  checkpoint *c = open_good();
  assert_int_equal(checkpoint_tensor_count(c), 0);
  assert_null(checkpoint_find(c, "a"));
  checkpoint_close(c);
}

static checkpoint *open_selecting(const asset_selection *selection) {
  checkpoint *c;
  ellm_error err = {0};
  const checkpoint_options options = {.assets = *selection};
  if (checkpoint_open(folder, &options, &c, &err) != ELLM_OK) fail_msg("%s", err.message);
  return c;
}

/* The names of the assets, one behind the other. */
static void has_assets(const checkpoint *c, const char *wanted) {
  char names[600];
  size_t used = 0;
  names[0] = '\0';
  for (size_t i = 0; i < checkpoint_asset_count(c); i++)
    used += (size_t)snprintf(names + used, sizeof names - used, "%s ", checkpoint_asset_name(c, i));
  assert_string_equal(names, wanted);
}

static void leaves_out(const checkpoint *c, size_t n, uint64_t bytes, const char *names) {
  char text[280];
  uint64_t out_bytes;
  assert_int_equal(checkpoint_left_out(c, &out_bytes, text), n);
  assert_int_equal(out_bytes, bytes);
  assert_string_equal(text, names);
}

static void make_templates(void) {
  char path[600];
  snprintf(path, sizeof path, "%s/additional_chat_templates", folder);
  assert_int_equal(mkdir(path, 0777), 0);
  write_text("additional_chat_templates/rag.jinja", "rag");
  write_text("additional_chat_templates/notes.txt", "x"); /* no template */
}

static void remove_templates(void) {
  char path[600];
  static const char *const names[] = {"/rag.jinja", "/notes.txt", ""};
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/additional_chat_templates%s", folder, names[i]);
    remove(path);
  }
}

static void test_assets(void **state) {
  (void)state;
  static const char *const needed[] = {"added_tokens.json", "chat_template.jinja", "config.json", "merges.txt",
                                       "tokenizer.model"};
  static const char *const documents[] = {"LICENSE", "README.md", "USE_POLICY.md"};
  static const char *const weights[] = {"pytorch_model.bin", "pytorch_model.bin.index.json", "model.gguf", ".hidden",
                                        "model.onnx", "tf_model.h5", "flax_model.msgpack", "x.pt", "x.pth", "out.ellm"};
  static const char *const strays[] = {"notes-private.txt", "train.log", "new\nline.json", "README-internal.md"};
  write_shard("model.safetensors", shard_b, 3);
  for (size_t i = sizeof needed / sizeof *needed; i-- > 0;) write_text(needed[i], needed[i]);
  for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) write_text(documents[i], documents[i]);
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) write_text(weights[i], "x");
  for (size_t i = 0; i < sizeof strays / sizeof *strays; i++) write_text(strays[i], "xy");
  char path[600];
  snprintf(path, sizeof path, "%s/original.json", folder);
  assert_int_equal(mkdir(path, 0777), 0); /* a folder is no asset */
  make_templates();

  checkpoint *c = open_good();
  has_assets(c, "LICENSE README.md USE_POLICY.md added_tokens.json additional_chat_templates/rag.jinja "
                "chat_template.jinja config.json merges.txt tokenizer.model ");
  size_t bytes = 99;
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    const uint8_t *text = checkpoint_asset(c, needed[i], &bytes);
    assert_non_null(text);
    assert_int_equal(bytes, strlen(needed[i]));
    assert_string_equal((const char *)text, needed[i]); /* a NUL follows */
  }
  assert_null(checkpoint_asset(c, "pytorch_model.bin", NULL));
  assert_null(checkpoint_asset(c, "../config.json", NULL));
  leaves_out(c, 4, 8, "README-internal.md, new\nline.json, notes-private.txt, train.log");
  checkpoint_close(c);

  static const char *const globs[] = {"*.log", "*.gguf", "new*", "train*"};
  c = open_selecting(&(asset_selection){.include = globs, .n_include = 4, .needed_only = true});
  has_assets(c, "added_tokens.json additional_chat_templates/rag.jinja chat_template.jinja config.json merges.txt "
                "tokenizer.model train.log ");
  leaves_out(c, 6, 35, "LICENSE, README-internal.md, README.md, USE_POLICY.md, ...");
  checkpoint_close(c);

  static const char *const names[] = {"train.log", "notes-*"};
  c = open_selecting(&(asset_selection){.include = names, .n_include = 2, .literal = true});
  assert_non_null(checkpoint_asset(c, "train.log", NULL));
  assert_null(checkpoint_asset(c, "notes-private.txt", NULL));
  checkpoint_close(c);
  remove_templates();
}

static void write_sparse(const char *name, off_t bytes) {
  char path[600];
  write_text(name, "");
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(truncate(path, bytes), 0);
}

static void select_refused(const asset_selection *selection, const char *part) {
  checkpoint *c;
  ellm_error err = {0};
  const checkpoint_options options = {.assets = *selection};
  assert_int_equal(checkpoint_open(folder, &options, &c, &err), ELLM_ERR_INPUT);
  if (strstr(err.message, part) == NULL) fail_msg("message: %s\nwanted:  %s", err.message, part);
}

static void test_large_assets(void **state) {
  (void)state;
  const off_t large = ((off_t)64 << 20) + 1;
  write_shard("model.safetensors", shard_b, 3);
  write_sparse("trainer_state.json", large);
  write_sparse("LICENSE.txt", large);
  for (int i = 0; i < 5; i++) { /* a data set beside the model is no fault */
    char name[40];
    snprintf(name, sizeof name, "log%d.json", i);
    write_sparse(name, (off_t)60 << 20);
  }
  checkpoint *c = open_good();
  has_assets(c, "");
  leaves_out(c, 7, 2 * (uint64_t)large + (UINT64_C(300) << 20), "LICENSE.txt, log0.json, log1.json, log2.json, ...");
  checkpoint_close(c);
  static const char *const all[] = {"log*"}, *const one[] = {"trainer*"};
  select_refused(&(asset_selection){.include = all, .n_include = 1}, "more than 256 MiB");
  select_refused(&(asset_selection){.include = one, .n_include = 1}, "trainer_state.json: has 67108865 bytes");
  write_sparse("tokenizer.json", large);
  refused(ELLM_ERR_INPUT, "tokenizer.json");
}

static void test_small_files_only(void **state) {
  (void)state;
  checkpoint *c;
  ellm_error err = {0};
  const checkpoint_options options = {.small_files_only = true};
  write_text("tokenizer.json", "{}");
  assert_int_equal(checkpoint_open(folder, &options, &c, &err), ELLM_OK);
  assert_int_equal(checkpoint_tensor_count(c), 0);
  assert_null(checkpoint_find(c, "a"));
  has_assets(c, "tokenizer.json ");
  checkpoint_close(c);
}

static void index_refused(const char *weight_map, const char *part) {
  char json[600];
  snprintf(json, sizeof json, "{\"weight_map\":%s}", weight_map);
  write_text(INDEX, json);
  refused(ELLM_ERR_INPUT, part);
}

#define A "\"a0\":\"m-1.safetensors\",\"a1\":\"m-1.safetensors\""
static void test_index_refused(void **state) {
  (void)state;
  write_two_shards();
  index_refused("[]", "weight_map is ");
  index_refused("null", "weight_map is ");
  index_refused("{" A ",\"b\":3}", "tensor b: 3 is not the name of a file");
  index_refused("{" A ",\"b\":\"../m-2.safetensors\"}", "tensor b: \"../m-2.safetensors\" is not the name of a file");
  index_refused("{" A ",\"b\":\"/etc/passwd\"}", "is not the name of a file");
  index_refused("{" A ",\"b\":\"sub/m-2.safetensors\"}", "is not the name of a file");
  index_refused("{" A ",\"b\":\"..\"}", "is not the name of a file");
  index_refused("{" A ",\"b\":\".\"}", "is not the name of a file");
  index_refused("{" A ",\"b\":\"\"}", "is not the name of a file");
  index_refused("{" A ",\"b\":\"m-2.safetensors\\u0000x\"}", "is not the name of a file");
  index_refused("{" A ",\"b\":\"m-1.safetensors\"}", "weight_map names tensor b, m-1.safetensors does not hold it");
  index_refused("{\"a0\":\"m-1.safetensors\",\"a1\":\"m-2.safetensors\",\"b\":\"m-2.safetensors\"}",
                "tensor a1 lies in m-1.safetensors");
  index_refused("{\"a0\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}",
                "tensor a1 of m-1.safetensors is not in weight_map");
  index_refused("{" A ",\"b\":\"m-2.safetensors\",\"c\":\"m-2.safetensors\"}", "names tensor c");
  write_text(INDEX, "{}");
  refused(ELLM_ERR_INPUT, "weight_map is ");
  write_text(INDEX, "[]");
  refused(ELLM_ERR_INPUT, "not a JSON object");
  write_text(INDEX, "{\"weight_map\":{\"b\":\"m-2.safetensors\",\"b\":\"m-2.safetensors\"}}");
  refused(ELLM_ERR_INPUT, "JSON");
  write_text(INDEX, "");
  refused(ELLM_ERR_INPUT, INDEX);
}

static void test_missing_shard(void **state) {
  (void)state;
  write_two_shards();
  char path[600];
  snprintf(path, sizeof path, "%s/m-2.safetensors", folder);
  unlink(path);
  refused(ELLM_ERR_INPUT, "m-2.safetensors");
}

static void test_tensor_twice(void **state) {
  (void)state;
  write_two_shards();
  write_shard("m-2.safetensors", "{\"b\":" U8("3", "0", "3") ",\"a0\":" U8("2", "3", "5") "}", 5);
  refused(ELLM_ERR_INPUT, "tensor a0 is both in m-1.safetensors and in m-2.safetensors");
}

static void test_damaged_files(void **state) {
  (void)state;
  write_bytes("model.safetensors", "", 0);
  refused(ELLM_ERR_INPUT, "model.safetensors");
  write_bytes("model.safetensors", "\2\0\0\0\0\0\0", 7);
  refused(ELLM_ERR_INPUT, "7 bytes are too few");
  write_bytes("model.safetensors", "\2\0\0\0\0\0\0\0{", 9);
  refused(ELLM_ERR_INPUT, "beyond the end of the file");
  write_bytes("model.safetensors", "\377\377\377\377\377\377\377\377{}", 10);
  refused(ELLM_ERR_INPUT, "beyond the format's limit");
  write_bytes("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
              56); /* not downloaded */
  refused(ELLM_ERR_INPUT, "model.safetensors: a git-lfs pointer, not the file itself");
  write_text("model.safetensors", "<!DOCTYPE html><html>Log in</html>");
  refused(ELLM_ERR_INPUT, "model.safetensors: an HTML page");
  write_shard("model.safetensors", shard_a, 5);
  refused(ELLM_ERR_INPUT, "tensor a0");
  write_shard("model.safetensors", shard_a, 7);
  refused(ELLM_ERR_INPUT, "6 of 7 bytes");
}

static void test_not_a_folder(void **state) {
  (void)state;
  checkpoint *c;
  ellm_error err = {0};
  assert_int_equal(checkpoint_open("/nonexistent/folder", &(checkpoint_options){0}, &c, &err), ELLM_ERR_IO);
  assert_non_null(strstr(err.message, "/nonexistent/folder"));
  write_text("file", "x");
  char path[600];
  snprintf(path, sizeof path, "%s/file", folder);
  assert_int_equal(checkpoint_open(path, &(checkpoint_options){0}, &c, &err), ELLM_ERR_INPUT);
}

static void test_changed_file(void **state) {
  (void)state;
  write_shard("model.safetensors", shard_a, 6);
  checkpoint *c = open_good();
  char path[600];
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  assert_int_equal(truncate(path, 20), 0);
  const checkpoint_tensor *t = checkpoint_find(c, "a0");
  uint8_t read[2];
  const uint8_t *mapped;
  ellm_error err = {0};
  assert_int_equal(checkpoint_read(c, t, 0, read, 2, &err), ELLM_ERR_INPUT);
  assert_int_equal(checkpoint_map(c, t, &mapped, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "changed"));
  checkpoint_close(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_single, clean),        cmocka_unit_test_teardown(test_shards, clean),
      cmocka_unit_test_teardown(test_single_wins, clean),   cmocka_unit_test_teardown(test_no_weights, clean),
      cmocka_unit_test_teardown(test_assets, clean),        cmocka_unit_test_teardown(test_large_assets, clean),
      cmocka_unit_test_teardown(test_small_files_only, clean),
      cmocka_unit_test_teardown(test_index_refused, clean), cmocka_unit_test_teardown(test_missing_shard, clean),
      cmocka_unit_test_teardown(test_tensor_twice, clean),  cmocka_unit_test_teardown(test_damaged_files, clean),
      cmocka_unit_test_teardown(test_not_a_folder, clean),  cmocka_unit_test_teardown(test_changed_file, clean),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
