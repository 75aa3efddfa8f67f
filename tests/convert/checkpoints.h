/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint folders for tests: a few tensors, written as safetensors. */
#ifndef ELLM_TESTS_CONVERT_CHECKPOINTS_H
#define ELLM_TESTS_CONVERT_CHECKPOINTS_H

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"

typedef struct made_tensor {
  const char *name;
  ellm_dtype dtype;
  int n_dims;
  uint64_t shape[2];
  double scale;      /* standard deviation, roughly; 0: zeros */
  double offset;     /* added to every element */
} made_tensor;

static inline uint64_t made_elements(const made_tensor *t) {
  uint64_t n = 1;
  for (int i = 0; i < t->n_dims; i++) n *= t->shape[i];
  return n;
}

/* A sum of uniform numbers: nearly Gaussian, the same on every machine. */
static inline float made_value(uint64_t *state, const made_tensor *t) {
  double sum = 0;
  for (int i = 0; i < 6; i++) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    sum += (double)(*state >> 40) / 16777216.0 - 0.5;
  }
  return (float)(sum * 1.4142 * t->scale + t->offset);
}

static inline void write_text(const char *folder, const char *name, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  if (f == NULL) abort();
  fputs(text, f);
  fclose(f);
}

/* folder/model.safetensors of n tensors. `poke` (may be NULL) may change a tensor's bytes. */
static inline void write_safetensors(const char *folder, const made_tensor *tensors, size_t n,
                                     void (*poke)(const made_tensor *, uint8_t *)) {
  char path[512];
  mkdir(folder, 0777);
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  char *header = malloc(64 + n * 256);
  size_t length = (size_t)sprintf(header, "{\"__metadata__\":{\"format\":\"pt\"}");
  uint64_t at = 0;
  for (size_t i = 0; i < n; i++) {
    const made_tensor *t = &tensors[i];
    length += (size_t)sprintf(header + length, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name,
                              ellm_dtype_name(t->dtype));
    for (int d = 0; d < t->n_dims; d++)
      length += (size_t)sprintf(header + length, "%s%llu", d > 0 ? "," : "", (unsigned long long)t->shape[d]);
    uint64_t end = at + made_elements(t) * ellm_dtype_size(t->dtype);
    length += (size_t)sprintf(header + length, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                              (unsigned long long)end);
    at = end;
  }
  length += (size_t)sprintf(header + length, "}");
  while (length % 8 != 0) header[length++] = ' ';
  FILE *f = fopen(path, "wb");
  if (f == NULL) abort();
  uint8_t size[8];
  store_u64(size, length);
  fwrite(size, 1, 8, f);
  fwrite(header, 1, length, f);
  free(header);
  uint64_t state = 12345;
  for (size_t i = 0; i < n; i++) {
    const made_tensor *t = &tensors[i];
    size_t elements = (size_t)made_elements(t), element = ellm_dtype_size(t->dtype);
    uint8_t *data = calloc(elements * element + 1, 1);
    for (size_t k = 0; k < elements && t->dtype <= ELLM_BF16; k++) {
      float value = t->scale != 0 || t->offset != 0 ? made_value(&state, t) : 0;
      if (t->dtype == ELLM_F32) store_u32(data + 4 * k, float_bits(value));
      else store_u16(data + 2 * k, t->dtype == ELLM_F16 ? f16_from_float(value) : bf16_from_float(value));
    }
    if (poke != NULL) poke(t, data);
    fwrite(data, element, elements, f);
    free(data);
  }
  fclose(f);
}

static inline void remove_folder(const char *folder) {
  DIR *dir = opendir(folder);
  if (dir == NULL) return;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    if (e->d_name[0] == '.' && (e->d_name[1] == '\0' || e->d_name[1] == '.')) continue;
    char *path = path_join(folder, e->d_name);
    struct stat s;
    if (path == NULL) abort();
    if (lstat(path, &s) == 0 && S_ISDIR(s.st_mode)) remove_folder(path);
    else unlink(path);
    free(path);
  }
  closedir(dir);
  rmdir(folder);
}

static inline size_t count_entries(const char *folder) {
  size_t n = 0;
  DIR *dir = opendir(folder);
  if (dir == NULL) return 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL;)
    n += !(e->d_name[0] == '.' && (e->d_name[1] == '\0' || e->d_name[1] == '.'));
  closedir(dir);
  return n;
}

static inline bool same_files(const char *a, const char *b) {
  uint8_t *x, *y;
  size_t nx, ny;
  if (file_read_all(a, (size_t)1 << 30, &x, &nx, NULL) != ELLM_OK) return false;
  if (file_read_all(b, (size_t)1 << 30, &y, &ny, NULL) != ELLM_OK) {
    free(x);
    return false;
  }
  bool same = nx == ny && memcmp(x, y, nx) == 0;
  free(x);
  free(y);
  return same;
}

/* ellm_verify and ellm_decompress with options in a row. */
static inline ellm_status verify_file(const char *path, const char *against, int threads, ellm_progress_fn progress,
                                      ellm_verify_result **result, ellm_error *err) {
  ellm_verify_options options;
  ellm_verify_options_init(&options);
  options.against = against;
  options.threads = threads;
  options.progress = progress;
  return ellm_verify(path, &options, result, err);
}

static inline ellm_status decompress_file(const char *path, const char *folder, int dtype, bool overwrite, int threads,
                                          ellm_progress_fn progress, ellm_error *err) {
  ellm_decompress_options options;
  ellm_decompress_options_init(&options);
  options.dtype = dtype;
  options.overwrite = overwrite;
  options.threads = threads;
  options.progress = progress;
  return ellm_decompress(path, folder, &options, err);
}

#endif
