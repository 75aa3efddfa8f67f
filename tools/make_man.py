#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the manual pages of the program: entrollm(1) and one page a command, as entrollm-bench-model(1).

make_man.py PROGRAM FOLDER

Everything in them is what `--help` shows, read from its form for programs (command_tables.py). The date is that of
SOURCE_DATE_EPOCH where the environment has it, else of today.
"""
import os
import re
import sys
import textwrap
import time

import command_tables


def escape(text):
    """Text that stands as it is: - is a minus, not a hyphen, quotes are straight."""
    for letter, name in (("\\", r"\e"), ("-", r"\-"), ("'", r"\(aq"), ("`", r"\(ga"), ("^", r"\(ha"), ("~", r"\(ti")):
        text = text.replace(letter, name)
    return text


def line(text):
    """A line of its own, which must not look like a request."""
    return "\\&" + text if text.startswith((".", "'")) else text


def bold(text):
    return f"\\fB{escape(text)}\\fR"


def italic(text):
    return f"\\fI{escape(text)}\\fR"


def prose(text):
    """A running text: options and quoted commands are bold."""
    out, at = [], 0
    for found in re.finditer(r"'(entrollm [^']*)'|(?<![\w-])(--?[A-Za-z][\w-]*)", text):
        out += [escape(text[at:found.start()]), bold(found.group(1) or found.group(2))]
        at = found.end()
    return "".join(out) + escape(text[at:])


def flow(text):
    """Lines of a running text, which may be broken at blanks."""
    return [line(row) for row in textwrap.wrap(prose(text), 78, break_long_words=False, break_on_hyphens=False)]


def synopsis(text):
    """Options bold, names of values italic."""
    out, at = [], 0
    for found in re.finditer(r"(?<![\w-])(--?[a-z][\w-]*)|\b([A-Z]{2,}(?:\.\w+)?|[A-Z]\b)|(?<=\[)options(?=\])", text):
        out += [escape(text[at:found.start()]),
                bold(found.group(1)) if found.group(1) else italic(found.group())]
        at = found.end()
    return "".join(out) + escape(text[at:])


def blocks(text):
    """The blocks of a text that are set apart: ("text", words), or ("lines", [line, ...]) of indented ones."""
    found = []
    for row in text.splitlines():
        kind = "lines" if row.startswith("  ") else "text" if row.strip() else None
        if kind is None:
            found.append((None, []))
        elif found and found[-1][0] == kind:
            found[-1][1].append(row)
        else:
            found.append((kind, [row]))
    return [b for b in found if b[0]]


def terms(rows):
    """[(term, text)] of lines like "  /quit   end", or None if they are not all of that form."""
    found = []
    for row in rows:
        new = re.match(r" {2}(\S.*?) {2,}(\S.*)$", row)
        if new:
            found.append([new.group(1), new.group(2)])
        elif found and row.startswith(" " * 6):
            found[-1][1] += " " + row.strip()
        else:
            return None
    return found


def body(text, first=".PP"):
    """Lines of a text of several blocks."""
    out = []
    for kind, rows in blocks(text):
        pairs = terms(rows) if kind == "lines" else None
        if kind == "text":
            out += ([first] if out else []) + flow(" ".join(r.strip() for r in rows))
        elif pairs:
            for term, what in pairs:
                out += [".TP", bold(term), *flow(what)]
        else:
            out += [".PP", ".EX"] + [line(escape(r)) for r in rows] + [".EE"]
    return out


def sections(notes):
    """The notes after the options: a line that ends with a colon, with lines below it, heads a section of its own."""
    out, text = [], []
    rows = notes.splitlines()
    for i, row in enumerate(rows):
        heading = re.fullmatch(r"(\w[\w ]*):", row)
        if heading and i + 1 < len(rows) and rows[i + 1].startswith("  "):
            name = heading.group(1).upper()
            out.append(("EXAMPLES" if name.startswith("EXAMPLE") else name, []))
        elif out and (row.startswith("  ") or not row.strip()):
            out[-1][1].append(row)
        elif out:
            out.append(("NOTES", [row])) if out[-1][0] != "NOTES" else out[-1][1].append(row)
        else:
            text.append(row)
    return "\n".join(text), [(name, "\n".join(lines)) for name, lines in out]


def options(table):
    out = []
    for o in table["options"]:
        names = bold("--" + o["name"])
        if o["letter"]:
            names = bold("-" + o["letter"]) + ", " + names
        if "value" in o:
            names += " " + italic(o["value"])
        out += [".TP", names, *flow(" ".join(r.strip() for r in o["help"].splitlines()))]
        words = [c for c in o["choices"] if not re.search(rf"(?<![\w-]){re.escape(c)}(?![\w-])", o["help"])]
        if words:
            out += [".br", *flow("Choices: " + ", ".join(o["choices"]))]
    return out


def exit_status(program):
    """Of all commands: the last lines of `entrollm --help`."""
    text = program.table["notes"].replace("\n", " ")
    found = re.findall(r"(\d+) ([^,]+)", text.split("exit status:", 1)[1])
    return [row for number, meaning in found for row in (".TP", bold(number), *flow(meaning.strip()))]


def page(command, program, version, date):
    def see(c):
        return f".BR {escape(c.page())} (1)"

    table = command.table
    out = [r'.\" Made by tools/make_man.py from the tables of the program.',
           f'.TH {escape(command.page().upper())} 1 "{date}" "entrollm {version}" "EntroLLM"',
           ".SH NAME", f"{escape(command.page())} \\- {escape(command.summary)}",
           ".SH SYNOPSIS", f"{bold(command.name())} {synopsis(table['synopsis'])}",
           ".SH DESCRIPTION", *body(table["about"])]
    if command is program:
        out += [".PP", "Each command has a page of its own, named below, and shows its options with",
                bold("--help") + "."]
    if command.commands:
        out.append(".SH COMMANDS")
        for c in command.commands:
            out += [".TP", f"\\fB{escape(c.page())}\\fR(1)", *flow(c.summary)]
    out += [".SH OPTIONS", *options(table)]
    text, more = sections("" if command is program else table.get("notes", ""))
    examples = [s for s in more if s[0] == "EXAMPLES"]
    if text:
        out += [".SH ENVIRONMENT" if text.startswith("environment") else ".SH NOTES", *body(text)]
    for name, lines in [s for s in more if s[0] != "EXAMPLES"]:
        out += [f".SH {escape(name)}", *body(lines)]
    out += [".SH EXIT STATUS", *exit_status(program)]
    for name, lines in examples:
        rows = textwrap.dedent(lines).splitlines()
        out += [".SH EXAMPLES", ".EX", *(line(escape(r)) for r in rows if r.strip()), ".EE"]
    others = [program] if command is not program else []
    for above in program.all():
        if command in above.commands:
            others += ([above] if above is not program else []) + [c for c in above.commands if c is not command]
    others += command.commands
    unique = list(dict.fromkeys(others))
    out += [".SH SEE ALSO"] + [see(c) + ("," if c is not unique[-1] else "") for c in unique]
    return "\n".join(out) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1])
    program = command_tables.read(sys.argv[1])
    version = command_tables.version(sys.argv[1])
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    os.makedirs(sys.argv[2], exist_ok=True)
    for old in os.listdir(sys.argv[2]): # of commands that are no more
        if re.fullmatch(r"entrollm[\w-]*\.1", old):
            os.remove(os.path.join(sys.argv[2], old))
    for command in program.all():
        name, alias = os.path.join(sys.argv[2], command.page() + ".1"), command.alias_of()
        other = next((c for c in program.all() if c.path == alias), None)
        if other: # two names of one command: one page
            os.symlink(other.page() + ".1", name)
            continue
        with open(name, "w", encoding="utf-8") as f:
            f.write(page(command, program, version, date))


if __name__ == "__main__":
    main()
