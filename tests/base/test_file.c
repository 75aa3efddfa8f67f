/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files and writing them whole or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/file_writer.h"
#include "base/scratch_file.h"

static char folder[] = "/tmp/entrollm-test-file-XXXXXX";
static char path[256], partial[256];

static int make_folder(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(path, sizeof path, "%s/out", folder);
  snprintf(partial, sizeof partial, "%s/out.partial", folder);
  return 0;
}

static int remove_files(void **state) {
  (void)state;
  unlink(path);
  unlink(partial);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

static void put(const char *name, const char *text) {
  FILE *file = fopen(name, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *name, const char *text) {
  uint8_t *data;
  size_t bytes;
  ellm_error err;
  assert_int_equal(file_read_all(name, 1000, &data, &bytes, &err), ELLM_OK);
  assert_int_equal(bytes, strlen(text));
  assert_string_equal((char *)data, text); /* NUL appended */
  free(data);
}

static void mapping(void **state) {
  (void)state;
  file_map map;
  ellm_error err;
  put(path, "mapped");
  assert_int_equal(file_map_open(path, &map, &err), ELLM_OK);
  assert_int_equal(map.size, 6);
  assert_memory_equal(map.data, "mapped", 6);
  assert_string_equal(map.path, path);
  file_map_close(&map);
  assert_null(map.data);
  put(path, "");
  assert_int_equal(file_map_open(path, &map, &err), ELLM_OK);
  assert_null(map.data);
  assert_int_equal(map.size, 0);
  file_map_close(&map);
  file_map_close(&map);
}

/* Pages of a mapping, 0 where the system does not say. */
static size_t resident(const uint8_t *data, size_t pages, size_t page) {
  unsigned long long kilobytes = 0;
  char line[256];
  bool here = false;
  FILE *maps = fopen("/proc/self/smaps", "r");
  for (; maps != NULL && fgets(line, sizeof line, maps) != NULL;) {
    unsigned long long from, to;
    if (sscanf(line, "%llx-%llx ", &from, &to) == 2) here = from == (unsigned long long)(uintptr_t)data;
    if (here && sscanf(line, "Rss: %llu kB", &kilobytes) == 1) break;
  }
  if (maps != NULL) fclose(maps);
  assert_true(kilobytes * 1024 <= pages * page);
  return (size_t)kilobytes * 1024 / page;
}

static void dropping_pages(void **state) {
  (void)state;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 64, size = pages * page;
  uint8_t *content = malloc(size);
  assert_non_null(content);
  for (size_t i = 0; i < size; i++) content[i] = (uint8_t)(i * 7 + i / page);
  FILE *f = fopen(path, "wb");
  assert_int_equal(fwrite(content, 1, size, f), size);
  assert_int_equal(fclose(f), 0);
  for (int copied = 0; copied < 2; copied++) {
    file_map map;
    ellm_error err;
    assert_int_equal(copied ? file_map_load(path, NULL, NULL, &map, &err) : file_map_open(path, &map, &err), ELLM_OK);
    assert_memory_equal(map.data, content, size);
    const size_t before = copied ? 0 : resident(map.data, pages, page);
    file_map_drop(&map, map.data + page + 1, size - 2 * page);
    if (before > 0) assert_true(resident(map.data, pages, page) <= before - (pages - 4));
    file_map_drop(&map, map.data + 5, 9);
    file_map_drop(&map, map.data + size, 0);
    assert_memory_equal(map.data, content, size);
    file_map_close(&map);
  }
  free(content);
}

static void what_cannot_be_read(void **state) {
  (void)state;
  file_map map;
  file_reader reader;
  uint8_t *data;
  size_t bytes;
  ellm_error err;
  assert_int_equal(file_map_open(path, &map, &err), ELLM_ERR_IO);
  assert_non_null(strstr(err.message, path));
  assert_int_equal(file_reader_open(path, &reader, &err), ELLM_ERR_IO);
  assert_int_equal(file_read_all(path, 10, &data, &bytes, &err), ELLM_ERR_IO);
  assert_null(data);
  assert_int_equal(file_map_open(folder, &map, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "directory"));
  assert_int_equal(file_read_all(folder, 10, &data, &bytes, &err), ELLM_ERR_INPUT);
  assert_int_equal(file_map_open("/dev/null", &map, &err), ELLM_ERR_IO);
  put(path, "12345678901");
  assert_int_equal(file_read_all(path, 10, &data, &bytes, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, "11"));
  assert_int_equal(file_read_all(path, 11, &data, &bytes, &err), ELLM_OK);
  free(data);
}

static void reading_by_position(void **state) {
  (void)state;
  file_reader reader;
  ellm_error err;
  char out[8] = "";
  put(path, "0123456789");
  assert_int_equal(file_reader_open(path, &reader, &err), ELLM_OK);
  assert_int_equal(reader.size, 10);
  assert_int_equal(file_reader_read(&reader, 3, out, 4, &err), ELLM_OK);
  assert_memory_equal(out, "3456", 4);
  assert_int_equal(file_reader_read(&reader, 10, out, 0, &err), ELLM_OK);
  assert_int_equal(file_reader_read(&reader, 7, out, 4, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, path));
  assert_int_equal(file_reader_read(&reader, UINT64_MAX, out, 4, &err), ELLM_ERR_INPUT);
  assert_int_equal(file_reader_read(&reader, 11, out, 0, &err), ELLM_ERR_INPUT);
  put(path, "01"); /* the file shrinks while it is open */
  assert_int_equal(file_reader_read(&reader, 3, out, 4, &err), ELLM_ERR_INPUT);
  file_reader_close(&reader);
  file_reader_close(&reader);
}

static file_writer *writer_of(const file_writer_options *options) {
  file_writer *writer;
  ellm_error err;
  const ellm_status status = file_writer_open(path, options, &writer, &err);
  if (status != ELLM_OK) fail_msg("%s", err.message);
  return writer;
}

static void commit(void **state) {
  (void)state;
  ellm_error err;
  char out[4] = "";
  file_writer *writer = writer_of(&(file_writer_options){0});
  assert_true(file_exists(partial));
  assert_false(file_exists(path));
  assert_int_equal(file_writer_append(writer, "abcdef", 6, &err), ELLM_OK);
  assert_int_equal(file_writer_write_at(writer, 1, "BC", 2, &err), ELLM_OK);
  assert_int_equal(file_writer_append(writer, "gh", 2, &err), ELLM_OK);
  assert_int_equal(file_writer_size(writer), 8);
  assert_int_equal(file_writer_read_at(writer, 1, out, 3, &err), ELLM_OK);
  assert_memory_equal(out, "BCd", 3);
  assert_int_equal(file_writer_read_at(writer, 6, out, 3, &err), ELLM_ERR_INPUT);
  assert_int_equal(file_writer_truncate(writer, 4, &err), ELLM_OK);
  assert_int_equal(file_writer_append(writer, "!", 1, &err), ELLM_OK);
  assert_int_equal(file_writer_sync(writer, &err), ELLM_OK);
  assert_int_equal(file_writer_commit(writer, &err), ELLM_OK);
  assert_false(file_exists(partial));
  assert_content(path, "aBCd!");
}

static void an_existing_file_is_kept(void **state) {
  (void)state;
  ellm_error err;
  file_writer *writer;
  put(path, "old");
  assert_int_equal(file_writer_open(path, &(file_writer_options){0}, &writer, &err), ELLM_ERR_EXISTS);
  assert_non_null(strstr(err.message, path));
  assert_null(writer);
  assert_false(file_exists(partial));
  writer = writer_of(&(file_writer_options){.overwrite = true});
  assert_int_equal(file_writer_append(writer, "new", 3, &err), ELLM_OK);
  assert_content(path, "old"); /* until commit */
  file_writer_abort(writer);
  assert_content(path, "old");
  assert_false(file_exists(partial));
  writer = writer_of(&(file_writer_options){.overwrite = true});
  assert_int_equal(file_writer_append(writer, "new", 3, &err), ELLM_OK);
  assert_int_equal(file_writer_commit(writer, &err), ELLM_OK);
  assert_content(path, "new");
}

static void a_file_that_came_meanwhile_is_kept(void **state) {
  (void)state;
  ellm_error err;
  file_writer *writer = writer_of(&(file_writer_options){0});
  put(path, "other");
  assert_int_equal(file_writer_commit(writer, &err), ELLM_ERR_EXISTS);
  assert_content(path, "other");
  assert_false(file_exists(partial));
}

static void resuming(void **state) {
  (void)state;
  ellm_error err;
  char out[4] = "";
  put(partial, "stale and long");
  file_writer *writer = writer_of(&(file_writer_options){.keep_partial = true});
  assert_int_equal(file_writer_size(writer), 0); /* a stale partial file is replaced */
  assert_int_equal(file_writer_append(writer, "half", 4, &err), ELLM_OK);
  file_writer_abort(writer);
  assert_content(partial, "half");
  writer = writer_of(&(file_writer_options){.keep_partial = true, .resume = true});
  assert_int_equal(file_writer_size(writer), 4);
  assert_int_equal(file_writer_read_at(writer, 0, out, 4, &err), ELLM_OK);
  assert_memory_equal(out, "half", 4);
  assert_int_equal(file_writer_append(writer, "+half", 5, &err), ELLM_OK);
  assert_int_equal(file_writer_commit(writer, &err), ELLM_OK);
  assert_content(path, "half+half");
  file_writer_abort(NULL);
}

/* flock knows open files, not processes: a second writer here stands for a second run. */
static void a_second_writer_is_refused(void **state) {
  (void)state;
  ellm_error err;
  file_writer *second;
  const file_writer_options overwrite = {.overwrite = true}, resume = {.resume = true};
  file_writer *writer = writer_of(&overwrite);
  assert_int_equal(file_writer_append(writer, "first", 5, &err), ELLM_OK);
  assert_int_equal(file_writer_open(path, &overwrite, &second, &err), ELLM_ERR_IO);
  assert_null(second);
  assert_non_null(strstr(err.message, partial));
  assert_non_null(strstr(err.message, "another run"));
  assert_int_equal(file_writer_open(path, &resume, &second, &err), ELLM_ERR_IO);
  assert_content(partial, "first"); /* neither emptied nor removed */
  assert_int_equal(file_writer_append(writer, "!", 1, &err), ELLM_OK);
  assert_int_equal(file_writer_commit(writer, &err), ELLM_OK);
  assert_content(path, "first!");
  writer = writer_of(&overwrite); /* the lock went with the writer */
  file_writer_abort(writer);
}

static void fifos_are_not_waited_for(void **state) {
  (void)state;
  ellm_error err;
  file_map map;
  file_writer *writer;
  uint8_t *data;
  size_t bytes;
  assert_int_equal(mkfifo(path, 0666), 0);
  assert_int_equal(mkfifo(partial, 0666), 0);
  alarm(20); /* ends the test if it hangs */
  assert_int_equal(file_map_open(path, &map, &err), ELLM_ERR_IO);
  assert_non_null(strstr(err.message, "not a regular file"));
  assert_int_equal(file_read_all(path, 10, &data, &bytes, &err), ELLM_ERR_IO);
  assert_int_equal(file_writer_open(path, &(file_writer_options){.overwrite = true}, &writer, &err), ELLM_ERR_IO);
  alarm(0);
}

static void places_that_refuse(void **state) {
  (void)state;
  ellm_error err;
  file_writer *writer;
  const file_writer_options options = {.overwrite = true};
  assert_int_equal(file_writer_open(folder, &options, &writer, &err), ELLM_ERR_USAGE);
  assert_int_equal(file_writer_open("/nonexistent-folder/x", &options, &writer, &err), ELLM_ERR_IO);
  assert_non_null(strstr(err.message, "/nonexistent-folder/x"));
  assert_int_equal(file_writer_open("/dev/full/x", &options, &writer, &err), ELLM_ERR_IO);
  assert_int_equal(mkdir(partial, 0777), 0);
  assert_int_equal(file_writer_open(path, &options, &writer, &err), ELLM_ERR_IO);
  assert_int_equal(rmdir(partial), 0);
  assert_int_equal(symlink("/dev/full", partial), 0); /* never written through */
  assert_int_equal(file_writer_open(path, &options, &writer, &err), ELLM_ERR_IO);
  assert_null(writer);
}

/* A file-size limit stands for a full disk: the write stops part way, the error names the file. */
static void disk_full(void **state) {
  (void)state;
  fflush(NULL);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) { /* limits hold for the whole process, so in one of its own */
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {100000, 100000};
    static uint8_t data[300000];
    file_writer *writer;
    ellm_error err;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
    if (file_writer_open(path, &(file_writer_options){0}, &writer, &err) != ELLM_OK) _exit(2);
    if (file_writer_append(writer, data, 60000, &err) != ELLM_OK) _exit(3);
    if (file_writer_append(writer, data, sizeof data, &err) != ELLM_ERR_IO) _exit(4);
    if (strstr(err.message, path) == NULL) _exit(5);
    file_writer_abort(writer);
    _exit(file_exists(path) || file_exists(partial) ? 6 : 0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void names(void **state) {
  (void)state;
  static const char *const cases[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char *joined = path_join(cases[i][0], cases[i][1]);
    assert_string_equal(joined, cases[i][2]);
    free(joined);
  }
  ellm_error err;
  assert_true(file_is_directory(folder));
  assert_true(file_exists(folder));
  assert_false(file_exists(path));
  assert_int_equal(directory_create(path, &err), ELLM_OK);
  assert_int_equal(directory_create(path, &err), ELLM_OK);
  assert_true(file_is_directory(path));
  assert_int_equal(rmdir(path), 0);
  put(path, "file");
  assert_int_equal(directory_create(path, &err), ELLM_ERR_IO);
  assert_false(file_is_directory(path));
}

static void a_directory_is_locked_once(void **state) {
  (void)state;
  ellm_error err;
  int first, second;
  assert_int_equal(directory_lock(folder, &first, &err), ELLM_OK);
  assert_true(first >= 0);
  assert_int_equal(directory_lock(folder, &second, &err), ELLM_ERR_IO);
  assert_int_equal(second, -1);
  assert_non_null(strstr(err.message, folder));
  close(first);
  assert_int_equal(directory_lock(folder, &second, &err), ELLM_OK);
  close(second);
  assert_int_equal(directory_lock(path, &first, &err), ELLM_OK); /* there is nothing to lock */
  assert_int_equal(first, -1);
}

static unsigned entries(void) {
  unsigned n = 0;
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  while (readdir(dir) != NULL) n++;
  closedir(dir);
  return n - 2; /* . and .. */
}

static void a_scratch_file_has_no_name(void **state) {
  (void)state;
  scratch_file file;
  ellm_error err;
  char text[8] = {0};
  put(path, "not to be touched");
  assert_int_equal(scratch_file_open(path, &file, &err), ELLM_OK);
  assert_int_equal(entries(), 1);
  assert_int_equal(scratch_file_write(&file, 3, "def", 3, &err), ELLM_OK);
  assert_int_equal(scratch_file_write(&file, 0, "abc", 3, &err), ELLM_OK);
  assert_int_equal(scratch_file_read(&file, 1, text, 5, &err), ELLM_OK);
  assert_string_equal(text, "bcdef");
  assert_int_equal(scratch_file_read(&file, 1, text, 6, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, folder));
  scratch_file_close(&file);
  scratch_file_close(&file);
  scratch_file_close(&(scratch_file){0});
  assert_content(path, "not to be touched");
  assert_int_equal(scratch_file_open("/nowhere/at/all", &file, &err), ELLM_ERR_IO);
  assert_non_null(strstr(err.message, "/nowhere/at"));
}

static void changes_are_noticed(void **state) {
  (void)state;
  file_reader reader;
  ellm_error err;
  put(path, "abc");
  const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
  assert_int_equal(file_reader_open(path, &reader, &err), ELLM_OK);
  assert_int_equal(file_reader_unchanged(&reader, &err), ELLM_OK);
  put(path, "abd");
  assert_int_equal(file_reader_unchanged(&reader, &err), ELLM_ERR_INPUT);
  assert_non_null(strstr(err.message, path));
  file_reader_close(&reader);
}

static void names_of_unfinished_files_are_refused(void **state) {
  (void)state;
  file_writer *writer;
  ellm_error err;
  assert_int_equal(file_writer_open(partial, &(file_writer_options){.overwrite = true}, &writer, &err), ELLM_ERR_USAGE);
  assert_non_null(strstr(err.message, partial));
  assert_false(file_exists(partial));
}

static void folders(void **state) {
  (void)state;
  static const char *const cases[][2] = {{"a", "."}, {"/a", "/"}, {"a/b", "a"}, {"/a/b/c", "/a/b"}, {"./x", "."}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char *found = path_folder(cases[i][0]);
    assert_string_equal(found, cases[i][1]);
    free(found);
  }
}

/* Descriptors are not left open, whatever happened. */
static void no_descriptor_is_left(void **state) {
  (void)state;
  const int before = dup(0);
  assert_true(before >= 0);
  close(before);
  for (int i = 0; i < 50; i++) {
    mapping(NULL);
    remove_files(NULL);
    what_cannot_be_read(NULL);
    reading_by_position(NULL);
    remove_files(NULL);
    resuming(NULL);
    remove_files(NULL);
    a_second_writer_is_refused(NULL);
    a_directory_is_locked_once(NULL);
    remove_files(NULL);
    a_file_that_came_meanwhile_is_kept(NULL);
    remove_files(NULL);
  }
  const int after = dup(0);
  assert_int_equal(after, before);
  close(after);
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, remove_files, remove_files)

int main(void) {
  const struct CMUnitTest tests[] = {
      FILE_TEST(mapping),
      FILE_TEST(dropping_pages),
      FILE_TEST(what_cannot_be_read),
      FILE_TEST(reading_by_position),
      FILE_TEST(commit),
      FILE_TEST(an_existing_file_is_kept),
      FILE_TEST(a_file_that_came_meanwhile_is_kept),
      FILE_TEST(resuming),
      FILE_TEST(a_second_writer_is_refused),
      FILE_TEST(fifos_are_not_waited_for),
      FILE_TEST(places_that_refuse),
      FILE_TEST(disk_full),
      FILE_TEST(a_directory_is_locked_once),
      FILE_TEST(a_scratch_file_has_no_name),
      FILE_TEST(changes_are_noticed),
      FILE_TEST(names_of_unfinished_files_are_refused),
      FILE_TEST(folders),
      FILE_TEST(names),
      FILE_TEST(no_descriptor_is_left),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
