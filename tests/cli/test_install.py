#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An installation under any prefix: the program finds its model, the example of README.md compiles and runs."""

import glob
import os
import re
import subprocess

from cli_testing import *


def call(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


# what a build with sanitizers needs of those who link with it
SANITIZE = ["-fsanitize=" + s for s in re.findall(r"^ENTROLLM_SANITIZE:STRING=(.+)$",
                                                  read(os.path.join(BUILD, "CMakeCache.txt")).decode(), re.MULTILINE)]
SANITIZE = [s.replace("=ON", "=address,undefined") for s in SANITIZE]

prefix = tmp("a prefix")
p = call("cmake", "--install", BUILD, "--prefix", prefix)
if not ok(p.returncode == 0, "cmake --install", p.stdout.decode(errors="replace")):
    done()
program = os.path.join(prefix, "bin", "entrollm")
p = call(program, "run", "-p", "Once", "-n", "3", "-q", cwd="/")
ok(p.returncode == 0 and p.stdout, "the installed program finds the embedded model", p.stdout)

# what lies where, also below DESTDIR
equal(sorted(os.listdir(os.path.join(prefix, "include"))), ["entrollm.h", "entrollm_bench.h", "entrollm_eval.h", "entrollm_team.h"], "the headers")
found = glob.glob(os.path.join(prefix, "lib*", "**", "libentrollm*"), recursive=True)
libraries = {os.path.basename(f): f for f in found}
equal(sorted(libraries), ["libentrollm.a", "libentrollm.so", "libentrollm.so.1"], "the libraries")
equal(os.readlink(libraries["libentrollm.so"]), "libentrollm.so.1", "the name that is linked with is a link")
share = os.path.join(prefix, "share")
ok(os.path.exists(os.path.join(share, "doc", "entrollm", "LICENSE")), "the licence")
ok(os.path.exists(os.path.join(share, "doc", "entrollm", "docs", "FORMAT.md")), "the documents")
if os.path.isdir(os.path.join(BUILD, "man")):
    pages = [sorted(os.listdir(folder)) for folder in (share + "/man/man1", os.path.join(BUILD, "man", "man1"))]
    equal(pages[0], pages[1], "the manual pages")
    for place in ("bash-completion/completions/entrollm", "zsh/site-functions/_entrollm"):
        ok(os.path.exists(os.path.join(share, place)), place)
else:
    skip("manual pages and completions", "this build has none")


def tree(top):
    found = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
    return sorted(os.path.relpath(name, top) for name in found)


p = call("cmake", "--install", BUILD, "--prefix", "/opt/e", env=dict(os.environ, DESTDIR=tmp("stage")))
ok(p.returncode == 0, "cmake --install with DESTDIR", p.stdout.decode(errors="replace"))
equal(tree(tmp("stage/opt/e")), tree(prefix), "the same below DESTDIR")
equal(os.listdir(tmp("stage")), ["opt"], "and nothing elsewhere")
parts = {}
for part in ("program", "library", "development"):
    p = call("cmake", "--install", BUILD, "--prefix", tmp(part), "--component", part)
    ok(p.returncode == 0, "cmake --install --component " + part, p.stdout.decode(errors="replace"))
    parts[part] = tree(tmp(part))
equal(sorted(f for part in parts.values() for f in part), tree(prefix), "the three parts are the whole")
equal([os.path.basename(f) for f in parts["library"]], ["libentrollm.so.1"], "the library alone")

example = re.search(r"```c\n(.*?)```", read(os.path.join(ROOT, "README.md")).decode(), re.DOTALL).group(1)
with open(tmp("example.c"), "w") as f:
    f.write(example)
places = glob.glob(os.path.join(prefix, "lib*", "**", "pkgconfig"), recursive=True)
equal(len(places), 1, "one folder for pkg-config")
environment = dict(os.environ, PKG_CONFIG_PATH=":".join(places))


def flags(*options):
    """Words of pkg-config. Not by a shell: the prefix holds a blank."""
    p = call("pkg-config", "--cflags", "--libs", *options, "entrollm", env=environment)
    ok(p.returncode == 0, "pkg-config " + " ".join(options), p.stdout.decode(errors="replace"))
    return [re.sub(r"\\(.)", r"\1", w) for w in re.findall(r"(?:\\.|[^\s\\])+", p.stdout.decode())]


os.symlink(os.path.join(ROOT, "models"), tmp("models"))
library = os.path.dirname(places[0])
kinds = {"shared": [*flags(), "-Wl,-rpath," + library],
         "static": [w.replace("-lentrollm", "-l:libentrollm.a") for w in flags("--static")]}
for kind, words in kinds.items():
    p = call("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", tmp("example.c"), "-o", tmp(kind), *SANITIZE, *words)
    ok(p.returncode == 0, f"the example of README.md compiles, {kind}", p.stdout.decode(errors="replace"))
    text = call("ldd", tmp(kind)).stdout.decode()
    equal("libentrollm.so.1" in text, kind == "shared", f"and needs what it should, {kind}")
    p = call(tmp(kind), cwd=TMP)
    ok(p.returncode == 0 and re.fullmatch(rb"next token: \d+\n", p.stdout), f"and runs, {kind}", p.stdout)
    if os.path.exists(tmp("stories.ellm")):
        os.remove(tmp("stories.ellm"))
done()
