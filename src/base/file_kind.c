/* SPDX-License-Identifier: Apache-2.0 */
/* See file_kind.h. */
#include "base/file_kind.h"

#include <string.h>

typedef struct known_kind {
  const char *begin; /* compared without regard to case; white space before it does not count */
  size_t length;
  const char *advice;
} known_kind;

#define HTML "an HTML page, not the file itself: the download went wrong (is a login needed?); fetch it again"
#define PYTORCH \
  "a PyTorch file, which is not supported: safetensors are needed (load the model with Transformers and save it with " \
  "save_pretrained)"

static const known_kind kinds[] = {
    {"version https://git-lfs", 23, "a git-lfs pointer, not the file itself: run 'git lfs pull' in its folder"},
    {"<!doctype html", 14, HTML},
    {"<html", 5, HTML},
    {"GGUF", 4,
     "a GGUF file: name the file itself as the model, or compress it; here a .ellm file or a Hugging Face folder is "
     "expected"},
    {"PK\003\004", 4, PYTORCH},
    {"\200\002", 2, PYTORCH},
};

static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c; }

static bool begins_with(const unsigned char *data, size_t bytes, const known_kind *kind) {
  if (bytes < kind->length) return false;
  for (size_t i = 0; i < kind->length; i++)
    if (lower(data[i]) != lower((unsigned char)kind->begin[i])) return false;
  return true;
}

/* A safetensors header: its length, far below 2^32, then the JSON object. */
bool file_kind_is_safetensors(const void *first, size_t bytes) {
  const unsigned char *data = first;
  return bytes >= 9 && data[8] == '{' && data[4] == 0 && data[5] == 0 && data[6] == 0 && data[7] == 0;
}

const char *file_kind_advice(const void *first, size_t bytes) {
  const unsigned char *data = first;
  if (file_kind_is_safetensors(first, bytes)) return "a safetensors file: name its folder instead";
  size_t blank = 0;
  while (blank < bytes && (data[blank] == ' ' || data[blank] == '\n' || data[blank] == '\r' || data[blank] == '\t'))
    blank++;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (begins_with(data + blank, bytes - blank, &kinds[i])) return kinds[i].advice;
  return NULL;
}

ellm_status file_kind_check(const void *first, size_t bytes, const char *path, ellm_error *err) {
  const char *advice = file_kind_advice(first, bytes);
  return advice == NULL ? ELLM_OK : ellm_fail(err, ELLM_ERR_INPUT, "%s: %s", path, advice);
}
