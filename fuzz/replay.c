/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files and folders named, for compilers without
 * libFuzzer and for reproducing a finding under valgrind.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long count;

static int replay_file(const char *path, size_t size) {
  FILE *file = fopen(path, "rb");
  /* exactly `size` bytes, so that a read beyond them is seen */
  uint8_t *data = malloc(size > 0 ? size : 1);
  if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
    fprintf(stderr, "cannot read %s\n", path);
    if (file != NULL) fclose(file);
    free(data);
    return 1;
  }
  fclose(file);
  LLVMFuzzerTestOneInput(data, size);
  free(data);
  count++;
  return 0;
}

/* A file, or the files of a folder (not of its subfolders). */
static int replay(const char *path, int depth) {
  struct stat info;
  if (stat(path, &info) != 0) {
    fprintf(stderr, "cannot read %s\n", path);
    return 1;
  }
  if (S_ISREG(info.st_mode)) return replay_file(path, (size_t)info.st_size);
  if (!S_ISDIR(info.st_mode) || depth > 0) return 0;
  DIR *folder = opendir(path);
  if (folder == NULL) return 1;
  int failed = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    char name[4096];
    if (entry->d_name[0] == '.') continue;
    if (snprintf(name, sizeof name, "%s/%s", path, entry->d_name) < (int)sizeof name) failed |= replay(name, depth + 1);
  }
  closedir(folder);
  return failed;
}

int main(int argc, char **argv) {
  int failed = 0;
  for (int i = 1; i < argc; i++) failed |= replay(argv[i], 0);
  printf("%lu inputs replayed\n", count);
  return failed || count == 0;
}
