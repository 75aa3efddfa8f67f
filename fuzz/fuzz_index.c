/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: model.safetensors.index.json. The input is the index of a folder with two shards of three tensors. What
 * is accepted names these tensors and no others; no shard lies outside of the folder.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "want.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-index-XXXXXX", path[128];
static int index_fd;
static pid_t owner;

static char *name_of(const char *file) {
  snprintf(path, sizeof path, "%s/%s", folder, file);
  return path;
}

static void write_shard(const char *name, const char *json, size_t data_bytes) {
  uint8_t head[8];
  FILE *file = fopen(name_of(name), "wb");
  store_u64(head, strlen(json));
  want(file != NULL && fwrite(head, 1, 8, file) == 8 && fputs(json, file) >= 0);
  for (size_t i = 0; i < data_bytes; i++) putc(0, file);
  want(fclose(file) == 0);
}

static void remove_folder(void) {
  static const char *const files[] = {"a.safetensors", "b.safetensors", CHECKPOINT_INDEX_NAME};
  if (getpid() != owner) return; /* libFuzzer forks for some of its modes */
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(name_of(files[i]));
  rmdir(folder);
}

static void make_folder(void) {
  want(mkdtemp(folder) != NULL);
  owner = getpid();
  atexit(remove_folder);
  write_shard("a.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
              "\"y\":{\"dtype\":\"BF16\",\"shape\":[1,3],\"data_offsets\":[8,14]}}", 14);
  write_shard("b.safetensors", "{\"z\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1);
  index_fd = open(name_of(CHECKPOINT_INDEX_NAME), O_RDWR | O_CREAT | O_TRUNC, 0600);
  want(index_fd >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const checkpoint_options options = {0};
  checkpoint *ckpt;
  ellm_error err = {0};
  if (owner == 0) make_folder();
  want(ftruncate(index_fd, 0) == 0 && pwrite(index_fd, data, size, 0) == (ssize_t)size);
  const ellm_status status = checkpoint_open(folder, &options, &ckpt, &err);
  if (status != ELLM_OK) {
    want(status == ELLM_ERR_INPUT && err.message[0] != '\0' && ckpt == NULL);
    return 0;
  }
  want(checkpoint_shard_count(ckpt) <= 2);
  for (uint32_t i = 0; i < checkpoint_shard_count(ckpt); i++)
    want(strncmp(checkpoint_shard_path(ckpt, i), folder, strlen(folder)) == 0);
  for (size_t i = 0; i < checkpoint_tensor_count(ckpt); i++) {
    uint8_t bytes[16];
    const checkpoint_tensor *t = checkpoint_tensor_at(ckpt, i);
    want(checkpoint_find(ckpt, t->name) == t && t->bytes <= sizeof bytes);
    want(checkpoint_read(ckpt, t, 0, bytes, (size_t)t->bytes, &err) == ELLM_OK);
  }
  checkpoint_close(ckpt);
  return 0;
}
