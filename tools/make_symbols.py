#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Brings debian/libentrollmN.symbols up to date with what the headers declare by ELLM_API.

make_symbols.py [--check]

New functions are added with the version of the headers, the others keep theirs: it is the version of the library from
which on a program that uses the function needs it. A function that is gone is an error as long as ELLM_ABI is the same,
unless its version was never released (--check only says what is wrong, and changes nothing).
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def header(name):
    return int(re.search(rf"^#define ELLM_{name} (\d+)$", read("include", "entrollm.h"), re.MULTILINE).group(1))


def declared():
    code = "".join(read("include", name) for name in sorted(os.listdir(os.path.join(ROOT, "include"))))
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)
    code = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", code, flags=re.MULTILINE)
    # a macro declares the initializer of a struct
    code = re.sub(r"\bELLM_INIT\((\w+)\)", r"ELLM_API void \1_init_sized(\1 *given, size_t size);", code)
    return set(re.findall(r"ELLM_API\s[^;{]*?\b(\w+)\s*\(", code))


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__.split("\n\n")[1])
    abi, version = header("ABI"), ".".join(str(header("VERSION_" + part)) for part in ("MAJOR", "MINOR", "PATCH"))
    path = os.path.join(ROOT, "debian", f"libentrollm{abi}.symbols")
    old = dict(re.findall(r"^ (\w+)@Base (\S+)$", read(path), re.MULTILINE)) if os.path.exists(path) else {}
    names = declared()
    lost = sorted(set(old) - names)
    released = [n for n in lost if old[n] != version]
    if check:
        wrong = [f"{n} is not there any more" for n in lost] + [f"{n} is new" for n in sorted(names - set(old))]
        if wrong:
            sys.exit("\n".join(wrong) + "\n(tools/make_symbols.py writes it down)")
        return
    if released:
        sys.exit(f"{', '.join(released)}: gone, while ELLM_ABI is still {abi}")
    rows = [f" {name}@Base {old.get(name, version)}\n" for name in sorted(names)]
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"libentrollm.so.{abi} libentrollm{abi} #MINVER#\n* Build-Depends-Package: libentrollm-dev\n" + "".join(rows))


if __name__ == "__main__":
    main()
