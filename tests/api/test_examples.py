#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/, run: built on the build folder's library and on an installed one, shared and static."""

import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *


def call(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **more)


def text(p):
    return (p.stdout + p.stderr).decode(errors="replace")


names = sorted(os.path.basename(f)[:-2] for f in glob.glob(os.path.join(ROOT, "examples", "*.c")))
sanitizers = re.findall(r"^ENTROLLM_SANITIZE:STRING=(.+)$", read(os.path.join(BUILD, "CMakeCache.txt")).decode(),
                        re.MULTILINE)
SANITIZE = ["-fsanitize=" + s.replace("ON", "address,undefined") for s in sanitizers if s != "OFF"]


def check_compress(program):
    out = tmp("example.ellm")
    if os.path.exists(out):
        os.remove(out)
    p = call(program, MODEL, out, "4")
    ok(p.returncode == 0 and b"4 bits, coded in" in p.stdout and b"bits per weight" in p.stdout, "compress", text(p))
    equal(call(program, MODEL, out, "4").returncode, 7, "compress: a file that is there stays (ELLM_ERR_EXISTS)")
    ok(call(program).returncode == USAGE and call(program, "/no/folder", tmp("x.ellm")).returncode == INPUT or
       call(program, "/no/folder", tmp("x.ellm")).returncode == IO, "compress: errors")


def check_logits(program):
    p = call(program, MODEL, "Once upon a", "The little girl")
    ok(p.returncode == 0 and re.match(rb"Once upon a\n +\d+\.\d %  409 ", p.stdout), "logits", text(p))
    alone = call(program, MODEL, "The little girl")
    ok(p.stdout.endswith(alone.stdout), "logits: the same alone", text(alone))


def check_continuations(program):
    p = call(program, MODEL, "Once upon a time", "3")
    ok(p.returncode == 0 and p.stdout.count(b"--- ") == 3, "continuations", text(p))
    alone = call(program, MODEL, "Once upon a time", "1")
    ok(alone.returncode == 0 and p.stdout.startswith(alone.stdout), "continuations: the first is that alone", text(alone))
    equal(len(set(re.split(rb"--- \d\n", p.stdout)[1:])), 3, "continuations: each its own")


def check_generate(program):
    prompts = ["Once upon a time", "The dog", "Tom and Lily"]
    p = call(program, MODEL, *prompts)
    ok(p.returncode == 0 and p.stdout.count(b"tokens, ended by: ") == 3, "generate", text(p))
    for prompt in prompts:
        alone = call(program, MODEL, prompt)
        ok(alone.stdout in p.stdout, "generate: the same alone, " + prompt, text(alone))
    want = run("run", "-p", prompts[0], "-n", "48", "--temp", "0", "-q").stdout.strip()
    ok(want in p.stdout, "generate: as the program does", want)


def check_chat(program):
    template = tmp("template.jinja")
    with open(template, "w") as f:
        f.write("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    p = call(program, MODEL, template, input=b"Hello \"you\"\nAnd\tagain\n")
    ok(p.returncode == 0 and len(p.stdout) > 20, "chat", text(p))
    equal(call(program, MODEL, template, input=b"Hello \"you\"\nAnd\tagain\n").stdout, p.stdout, "chat: the same again")


def check_all(folder, what):
    for name in names:
        program = os.path.join(folder, name)
        if ok(os.path.exists(program), f"{name}, {what}"):
            globals()["check_" + name](program)


ok(len(names) >= 2, "there are examples", names)
for kind in ("so", "a"):
    folder = tmp("tree-" + kind)
    os.mkdir(folder)
    links = {"so": ["-Wl,-rpath," + BUILD],
             "a": ["-ljansson", "-lpcre2-8", "-lutf8proc", "-lxxhash", "-lpthread"]}[kind]
    for name in names:
        p = call("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I" + os.path.join(ROOT, "include"),
                 os.path.join(ROOT, "examples", name + ".c"), "-o", os.path.join(folder, name), *SANITIZE,
                 os.path.join(BUILD, "libentrollm." + kind), *links, "-lm")
        ok(p.returncode == 0, f"{name} compiles with libentrollm.{kind}", text(p))
    check_all(folder, "build folder, ." + kind)

prefix = tmp("a prefix")
p = call("cmake", "--install", BUILD, "--prefix", prefix)
if not ok(p.returncode == 0, "cmake --install", text(p)):
    done()
places = glob.glob(os.path.join(prefix, "lib*", "**", "pkgconfig"), recursive=True)
environment = dict(os.environ, PKG_CONFIG_PATH=":".join(places), LDFLAGS=" ".join(SANITIZE))
for static in ("", "STATIC=1"):
    folder = tmp("make" + static)
    shutil.copytree(os.path.join(ROOT, "examples"), folder)
    p = call("make", "-C", folder, *filter(None, [static]), env=environment)
    ok(p.returncode == 0, f"make {static}", text(p))
    check_all(folder, "installed, make " + static)
    p = call("ldd", os.path.join(folder, names[0]))
    equal(b"libentrollm.so" in p.stdout, not static, "it needs what it should")
p = call("cmake", "-S", os.path.join(ROOT, "examples"), "-B", tmp("cmake"), env=environment)
ok(p.returncode == 0, "cmake configures", text(p))
p = call("cmake", "--build", tmp("cmake"), env=environment)
ok(p.returncode == 0 and os.path.exists(os.path.join(tmp("cmake"), names[0])), "cmake builds", text(p))
done()
