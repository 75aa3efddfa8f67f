#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Links of the documents lead somewhere, lines have at most 120 columns, diagrams are what their program draws."""

import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
from cli_testing import *

os.chdir(ROOT)
PAGES = sorted(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", *glob.glob("docs/**/*.md", recursive=True),
                *glob.glob("tests/**/*.md", recursive=True)])
WRAPPED = re.compile(r"README|CHANGELOG|CONTRIBUTING|docs/")


def plain(text):
    """Without what is no text: blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """What headings can be linked by, as GitHub makes it."""
    heads = re.findall(r"^#+ +(.*)$", plain(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


texts = {page: read(page).decode() for page in PAGES}
dead, wide = [], []
for page, text in texts.items():
    for target in re.findall(r"\]\(([^)\s]+)\)", plain(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        if not os.path.exists(path):
            dead.append(f"{page}: {target}")
        elif anchor and path.endswith(".md") and anchor not in anchors(texts.get(path) or read(path).decode()):
            dead.append(f"{page}: {target} (no such heading)")
    if WRAPPED.search(page):
        lines = re.sub(r"^```.*?^```", lambda m: "\n" * m.group().count("\n"), text, flags=re.MULTILINE | re.DOTALL)
        wide += [f"{page}:{i}" for i, line in enumerate(lines.split("\n"), 1) if len(line) > 120 and line[:1] != "|" and line[:4] != "    "]
sys.path.insert(0, os.path.join(ROOT, "tools"))
import make_diagrams  # noqa: E402

for name, text in (("block", make_diagrams.block()), ("token", make_diagrams.token())):
    ok(read(f"docs/diagrams/{name}.svg").decode() == text, f"docs/diagrams/{name}.svg is what tools/make_diagrams.py draws")
ok(len(PAGES) > 20, "there are pages", PAGES)
equal(dead, [], "every link leads to a file, and to a heading of it")
equal(wide, [], "lines have at most 120 columns, but for rows of tables and blocks of code")
done()
