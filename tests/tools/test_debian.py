#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""debian/ against what it is made of: version, ABI number, functions of the headers, libraries that a build needs."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *


def source(*path):
    return read(os.path.join(ROOT, *path)).decode()


header = source("include", "entrollm.h")
number = {name: value for name, value in re.findall(r"^#define ELLM_(\w+) (\d+)$", header, re.MULTILINE)}
version = ".".join(number["VERSION_" + part] for part in ("MAJOR", "MINOR", "PATCH"))
first = re.match(r"entrollm \((\S+)\) \S+; urgency=", source("debian", "changelog"))
# a package of its own revision, as 0.1.0+deb12u1 or 0.1.0-2, is one of that version
ok(first and re.fullmatch(re.escape(version) + r"([-+~].*)?", first.group(1)),
   f"the first entry of debian/changelog is of version {version}", first)
ok(re.search(rf"^## {re.escape(version)}\b", source("CHANGELOG.md"), re.MULTILINE), "CHANGELOG.md has that version")

control = source("debian", "control")
packages = re.findall(r"^Package: (\S+)$", control, re.MULTILINE)
library = "libentrollm" + number["ABI"]
equal([p for p in packages if re.fullmatch(r"libentrollm\d+", p)], [library], "the library's package has the ABI number")
ok(f"libentrollm.so.{number['ABI']}" in source("debian", library + ".install"), "and that library")
equal(sorted(set(packages) - {f.split(".")[0] for f in os.listdir(os.path.join(ROOT, "debian")) if f.endswith(".install")}
             - {"python3-entrollm"}), [], "every package has its files")

p = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_symbols.py"), "--check"], stderr=subprocess.PIPE)
ok(p.returncode == 0, f"debian/{library}.symbols is current", p.stderr.decode())

needed = re.search(r"^needed=\((.*?)\)", source("tools", "install_packages.sh"), re.DOTALL | re.MULTILINE).group(1)
build = re.search(r"^Build-Depends:(.*?)^\S", control, re.DOTALL | re.MULTILINE).group(1)
lost = [n for n in needed.split() if re.fullmatch(r"lib.*-dev", n) and not re.search(rf"\b{re.escape(n)}\b", build)]
equal(lost, [], "Build-Depends has the libraries that tools/install_packages.sh installs")
private = re.search(r"^Requires.private:(.*)$", source("cmake", "entrollm.pc.in"), re.MULTILINE).group(1).split()
depends = re.search(r"^Package: libentrollm-dev.*?^Depends:(.*?)^\S", control, re.DOTALL | re.MULTILINE).group(1)
lost = [n for n in private if not re.search(re.sub(r"^lib|-\d+$", "", n) + r"\S*-dev\b", depends)]
equal(lost, [], "libentrollm-dev needs what entrollm.pc needs")

rights = source("debian", "copyright")
ok("models/stories-4m/*" in rights and "CC-BY-4.0" in rights, "debian/copyright names the embedded model's licence")
used, told = set(re.findall(r"^License: (\S+)$", rights, re.MULTILINE)), re.findall(r"^License: (\S+)\n ", rights, re.MULTILINE)
equal(sorted(used), sorted(told), "and the text of each licence, once")
lost = [f for block in re.findall(r"^Files: (.*?)^\S", rights, re.DOTALL | re.MULTILINE) for f in block.split()
        if f != "*" and not os.path.exists(os.path.join(ROOT, f.rstrip("*").rstrip("-"))) and
        not os.path.isdir(os.path.dirname(os.path.join(ROOT, f)))]
equal(lost, [], "the files of debian/copyright are there")
done()
