#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The order of src/: what a file defines for others is declared in the header of its name, files need each other in one
direction, and functions are short. (test_layers.sh has the order of the folders.)"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)
MOST_LINES = 100

# Tables of implementations: one header lists what several files define.
LISTED = {
    "src/kernels/": "src/kernels/tables.h",
    "src/cli/": "src/cli/commands.h",
    "src/arch/": "src/arch/families.c",
}
# What the other rooms see of a room whose files have headers of their own.
ROOM = {
    "src/template/assets.c": "src/template/template.h",
    "src/template/syntax/compile.c": "src/template/template.h",
    "src/template/run/render.c": "src/template/template.h",
}
# Files that need each other: an expression may hold a filter, a filter may go through an iterator, and an iterator
# evaluates expressions.
CIRCLES = [{"src/template/" + name for name in (
    "library/builtins library/containers library/filters library/filters_lists library/is_tests library/methods "
    "library/split run/access run/contains run/eval run/exec run/iterate").split()}]
# Folders within one, and what each may include: values know nothing of evaluations.
ROOMS = {"src/template/value": ("value", "syntax"), "src/template/syntax": ("syntax", "value", "library")}

failed = tests = 0


def ok(good, what, details=()):
    global failed, tests
    tests += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {tests} - {what}")
    if not good:
        for line in details:
            print("# " + line)


def plain(text):
    """The code, without comments, strings and continued lines; lines stay where they are."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', blank, text)
    return re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", blank, text, flags=re.M)


def read(path):
    with open(path) as f:
        return f.read()


sources = sorted(glob.glob("src/**/*.c", recursive=True))
headers = sorted(glob.glob("src/**/*.h", recursive=True))
public = plain("".join(read(path) for path in sorted(glob.glob("include/*.h"))))
FUNCTION = re.compile(r"^(?!static\b|typedef\b|extern\b|else\b|return\b)[A-Za-z_][\w *]*?\b(\w+)\([^;{}]*\)\s*\{", re.M)
TABLE = re.compile(r"^const\s[\w *]*?\b(\w+)\s*(?:\[[^=;]*\]\s*)*=", re.M)

# ------------------------------------------------------------------ headers
undeclared = []
for path in sources:
    code = plain(read(path))
    for name in ["KERNEL_INLINE"] + re.findall(r"^#define (\w+) static\b", read(path), re.M):
        code = re.sub(rf"^{name}\b", "static", code, flags=re.M)
    names = FUNCTION.findall(code) + TABLE.findall(code)
    if path.startswith("src/kernels/") and path.count("/") > 2:
        continue  # an instruction set: its functions are those of the tables
    places = [path[:-1] + "h", ROOM.get(path)]
    places += [header for folder, header in LISTED.items() if path.startswith(folder)]
    declared = "".join(read(p) for p in places if p and os.path.exists(p))
    for name in names:
        if name == "main" or re.search(rf"\b{name}\b", declared) or re.search(rf"\b{name}\(", public):
            continue
        if name.endswith("_init_sized") and f"({name[:-11]})" in public:
            continue  # declared by the header's macro of initializers
        if "arch_family_" in name and "arch_family_" in declared:
            continue
        undeclared.append(f"{path}: {name} is not declared in {os.path.basename(path)[:-1]}h")
ok(not undeclared, "what a file defines for others is declared in its header", undeclared)

own = [f"{h}: there is no header of its name to include first" for h in sources
       if os.path.exists(h[:-1] + "h") and f'#include "{h[4:-1]}h"' not in read(h)]
ok(not own, "a file includes its own header", own)

# ------------------------------------------------------------------ circles
needs = {}
for path in sources + headers:
    node = needs.setdefault(path[:-2], set())
    for name in re.findall(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)\.h"', read(path), re.M):
        listed = f"src/{name}.h" in LISTED.values()  # what a list names needs nothing of it
        if os.path.exists(f"src/{name}.h") and "src/" + name != path[:-2] and not listed:
            node.add("src/" + name)

number, low, stack, circles = {}, {}, [], []


def visit(node):  # Tarjan: strongly connected parts
    number[node] = low[node] = len(number)
    stack.append(node)
    for other in sorted(needs.get(node, ())):
        if other not in number:
            visit(other)
        if other in stack:
            low[node] = min(low[node], low[other])
    if low[node] == number[node]:
        part = set()
        while node not in part:
            part.add(stack.pop())
        if len(part) > 1:
            circles.append(part)


sys.setrecursionlimit(10000)
for node in sorted(needs):
    if node not in number:
        visit(node)
wrong = []
for circle in circles:
    if not any(circle <= known for known in CIRCLES):
        wrong.append("in a circle: " + " ".join(sorted(circle)))
        wrong += [f"  {a} needs {b}" for a in sorted(circle) for b in sorted(needs[a] & circle)]
ok(not wrong, "files include each other in one direction", wrong)
gone = [" ".join(sorted(known)) for known in CIRCLES if not any(known == circle for circle in circles)]
ok(not gone, "a circle that is known is as large as it is said to be", gone)

wrong = []
for room, allowed in ROOMS.items():
    layer = os.path.dirname(room)
    for path in (p for p in sources + headers if p.startswith(room + "/")):
        for other in re.findall(rf'^[ \t]*#[ \t]*include[ \t]+"{layer[4:]}/(\w+)/', read(path), re.M):
            if other not in allowed:
                wrong.append(f"{path} includes {other}")
ok(not wrong, "a folder within a folder includes what it may", wrong)

# ---------------------------------------------------------------- functions
long = []
for path in sources + headers:
    for match in re.finditer(r"^[A-Za-z_][^;{}]*\)\s*\{\n(.*?)^\}", plain(read(path)), re.M | re.S):
        lines = match.group().count("\n") + 1
        if lines > MOST_LINES:
            long.append(f"{path}: {lines} lines: {match.group().splitlines()[0]}")
ok(not long, f"no function over {MOST_LINES} lines", long)
print(f"1..{tests}")
sys.exit(failed > 0)
