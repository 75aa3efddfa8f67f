#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables that the program prints for programs (`--help=json`), and the manual pages made from them: everything that
`--help` shows is there, and the pages of the build are those of this program."""

import re
import shutil
import subprocess

from cli_testing import *

sys.path.insert(0, os.path.join(ROOT, "tools"))
import command_tables

program = command_tables.read(PROGRAM)
commands = list(program.all())
man = os.path.join(BUILD, "man", "man1")

# the tables against --help
listed = re.findall(r"^  ([a-z]+) ", run("--help").stdout.decode().split("commands:")[1], re.MULTILINE)
equal([c.path[0] for c in program.commands], listed, "the commands of --help=json are those of --help")
ok(len(commands) > len(program.commands) + 5, "and commands below commands", [c.name() for c in commands])
for c in commands[1:]:
    shown = run(*c.path, "--help")
    text = shown.stdout.decode()
    if c.commands and not re.search("^options:", text, re.MULTILINE):
        names = re.findall(r"^  ([a-z]\w*)", text, re.MULTILINE)
        equal([b.path[-1] for b in c.commands], names, f"{c.name()}: the commands below")
        continue
    names = re.findall(r"^  (?:-(\w), |    )--([\w-]+)", text, re.MULTILINE)
    equal([(o["letter"], o["name"]) for o in c.table["options"]], names, f"{c.name()}: the options of --help")
    usage = re.match(r"usage: entrollm (.*)\n", text).group(1)
    equal(f"{c.table['command']} {c.table['synopsis']}", usage, f"{c.name()}: the synopsis of --help")
p = run("run", "--help=json", "--no-such")
ok(p.returncode == 0 and p.stdout.startswith(b"{"), "--help=json ends the command line, as --help does", p.stderr)
equal(run("run", "--help=xml").returncode, USAGE, "--help=xml is an error")
unsaid = [f"{c.name()} --{o['name']} {o['value']}" for c in commands for o in c.table["options"]
          if re.search("FILE|DIR|FOLDER|PATH|OUT|MODEL", o.get("value", "")) and not o["choices"] and
          not any(command_tables.suggestions(o["name"], o["value"], o.get("suggest")))]
equal(unsaid, [], "values that are files are known to be files")

# the pages
if not os.path.isdir(man):
    skip("manual pages", "this build has none")
    done()
equal(sorted(os.listdir(man)), sorted(c.page() + ".1" for c in commands), "one page a command")
made = tmp("man1")
environment = dict(os.environ, SOURCE_DATE_EPOCH="1700000000")
for _ in range(2):
    p = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_man.py"), PROGRAM, made], env=environment)
    equal(p.returncode, 0, "make_man.py")


def undated(path):
    return re.sub(rb'^(\.TH \S+ 1) "[\d-]+"', rb"\1", read(path), flags=re.MULTILINE)


names = sorted(os.listdir(made))
old = [name for name in names if undated(os.path.join(made, name)) != undated(os.path.join(man, name))]
equal(old, [], "the pages of the build are current")
ok(b'"2023-11-14"' in read(os.path.join(made, "entrollm.1")), "SOURCE_DATE_EPOCH is the date")


def plain(text):
    """Words of a page or of a help, without what formatting adds."""
    text = re.sub(r"\\f[BIR]|\\&", "", re.sub(r"^\.(PP|TP|EX|EE|br)$", "", text, flags=re.MULTILINE))
    for name, letter in ((r"\-", "-"), (r"\(aq", "'"), (r"\(ga", "`"), (r"\(ha", "^"), (r"\(ti", "~"), (r"\e", "\\")):
        text = text.replace(name, letter)
    return text


def words_of(text):
    """Its words with one blank around each, and commands without the quotes that bold letters stand for."""
    return " " + " ".join(re.sub("'(entrollm [^']*)'", r"\1", " ".join(text.split())).split()) + " "


for c in commands:
    path = os.path.join(man, c.page() + ".1")
    if os.path.islink(path):
        ok(os.path.exists(path), f"{c.page()}(1) is another name of a page that is there")
        continue
    page = read(path).decode()
    have = words_of(plain(page))
    texts = [c.table["about"], *(o["help"] for o in c.table["options"])]
    lost = [text for text in texts if words_of(text) not in have]
    lost += [o["name"] for o in c.table["options"] if f" --{o['name']} " not in have]
    notes = "" if c is program else c.table.get("notes", "")
    lost += [r for r in notes.splitlines() if not r.endswith(":") and words_of(r) not in have]
    equal(lost, [], f"{c.page()}(1) says what --help says")
    want = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"]
    sections = re.findall(r"^\.SH (.*)$", page, re.MULTILINE)
    equal([s for s in sections if s in want], want, f"{c.page()}(1) has its sections")
    equal("EXAMPLES" in sections, "example" in notes, f"{c.page()}(1) has examples where the help has some")
    links = re.findall(r"^\.BR (\S+) \(1\)", page, re.MULTILINE)
    lost = [n for n in links if not os.path.exists(os.path.join(man, n.replace("\\-", "-") + ".1"))]
    equal(lost, [], f"{c.page()}(1) names pages that are there")

for tool, command in (("mandoc", ["mandoc", "-T", "lint", "-W", "warning"]),
                      ("man", ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])):
    if not shutil.which(tool):
        skip(f"{tool} has nothing to say", f"{tool} is not installed")
        continue
    said = []
    for name in sorted(os.listdir(man)):
        p = subprocess.run([*command, os.path.join(man, name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ="", MANWIDTH="80"))
        said += [(p.stderr if tool == "man" else p.stdout + p.stderr).decode()]
    equal("".join(said), "", f"{tool} has nothing to say")
done()
