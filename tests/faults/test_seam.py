#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No call that can fail goes past the seam of tests/faults; and the program itself has nothing of it."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))
from cli_testing import *  # noqa: E402,F401,F403
from cli_testing import BUILD, PROGRAM, equal, ok  # noqa: E402

# What can fail for want of memory, of disk or of rights.
CAN_FAIL = """malloc calloc realloc reallocarray strdup strndup asprintf vasprintf posix_memalign aligned_alloc memalign valloc
getline getdelim open_memstream fmemopen realpath open openat creat fopen freopen fdopen opendir fdopendir scandir mkstemp
mkostemp mkdtemp tmpfile read pread readv preadv fread fgets fgetc getc readdir readlink write pwrite writev pwritev fwrite
fflush fclose ftruncate truncate fallocate posix_fallocate fsync fdatasync sync_file_range msync rename renameat renameat2
link linkat symlink unlink unlinkat remove rmdir mkdir mkdirat mmap mremap mprotect mlock mlockall pthread_create
pthread_mutex_init stat lstat fstat fstatat statx access faccessat flock lockf clock_gettime sendfile copy_file_range
splice""".split()
# Those that are not led there, and why that is no loss.
PAST = {
    "readlink": "of the cache of the hub and of the path of the program, tested in tests/hub",
    "fstatat": "a look at one name of a folder that open has just let in",
    "pthread_mutex_init": "takes no memory on Linux",
    "fgets": "of streams that fopen has let in",
}


def functions(symbols):
    """Names as POSIX has them: without the 64 of large files and without what FORTIFY adds."""
    names = set()
    for name in symbols:
        plain = name.split("@")[0]
        if plain.startswith("__") and plain.endswith("_chk"):
            plain = plain[2:-4]
        if plain.startswith("__") and plain.endswith("_2"):
            plain = plain[2:-2]
        names.add(plain[:-2] if plain.endswith("64") else plain)
    return names


def wanted_by(path):
    p = subprocess.run(["nm", "-u", path], stdout=subprocess.PIPE, check=True)
    return {line.split()[-1] for line in p.stdout.decode().splitlines() if line.strip()}


with open(os.path.join(HERE, "wrapped.txt"), encoding="ascii") as f:
    wrapped = {line.strip() for line in f if line.strip() and line[0] != "#"}
past = sorted((functions(wanted_by(PROGRAM)) & set(CAN_FAIL)) - functions(wrapped))
unknown = [name for name in past if name not in PAST]
ok(not unknown, "every call that can fail goes through the seam", f"not in wrapped.txt: {unknown}")
p = subprocess.run(["nm", os.path.join(BUILD, "tests", "entrollm-faults")], stdout=subprocess.PIPE, check=True)
defined = {line.split()[-1][7:] for line in p.stdout.decode().splitlines() if " T __wrap_" in line}
equal(sorted(defined), sorted(wrapped), "and each of its functions is there")
for path in (PROGRAM, os.path.join(BUILD, "libentrollm.so")):
    with open(path, "rb") as f:
        data = f.read()
    ok(b"ENTROLLM_FAULT" not in data, f"nothing of it is in {os.path.basename(path)}")
done()  # noqa: F405
