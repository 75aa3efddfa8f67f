# SPDX-License-Identifier: Apache-2.0
"""The tables of commands and options of the program, as `entrollm [COMMAND ...] --help=json` prints them. What is made
from them (make_man.py, make_completion.py) follows the program without a list kept by hand."""
import json
import re
import subprocess


class Command:
    """A command: `path` are its words (() for the program itself), `commands` those below it, in their order."""

    def __init__(self, path, about, table, commands):
        self.path, self.summary, self.table, self.commands = path, about, table, commands

    def name(self):
        return " ".join(("entrollm", *self.path))

    def page(self):
        return "-".join(("entrollm", *self.path))

    def alias_of(self):
        """The words of the command that this is another name of, or None."""
        words = tuple(self.table["command"].split())
        return None if words == self.path else words

    def all(self):
        """This command and all below it."""
        yield self
        for command in self.commands:
            yield from command.all()


def read(program, path=(), about=""):
    """The command of that path with all below it."""
    text = subprocess.run([program, *path, "--help=json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                          timeout=60).stdout
    table = json.loads(text)
    first = table["about"].split(":")[0]
    return Command(path, about or first[0].lower() + first[1:], table,
                   [read(program, (*path, c["name"]), c["about"]) for c in table["commands"]])


def version(program):
    text = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
    return text.split()[1]


def suggestions(name, value, given=None, choices=()):
    """(words, endings, all files?, folders?) of what a value may be. `name` is that of the option, "" for an operand.
    The rules are those of src/cli/options.h."""
    words, endings, files, folders = list(choices), [], False, False
    if choices:
        return words, endings, files, folders
    if given is not None:
        for word in given.split():
            if word == "*":
                files = True
            elif word == "/":
                folders = True
            elif word.startswith("."):
                endings.append(word[1:])
            else:
                words.append(word)
        return words, endings, files, folders
    for part in (value or "").split("|"):
        found = re.fullmatch(r"(?:FILE|PATH|OUT)\.(\w+)", part)
        if found:
            endings.append(found.group(1))
        elif part in ("FILE", "PATH", "OUT") or (part == "TEXT" and name == "file"):
            files = True
        elif part in ("DIR", "FOLDER"):
            folders = True
        elif part == "MODEL":
            endings, folders = endings + ["ellm", "gguf"], True
    return words, endings, files, folders


def operand(command):
    """The name and the suggestions of the argument that is no option, or None."""
    table = command.table
    if "operand" not in table:
        return None
    return table["operand"], suggestions("", table["operand"], table.get("operand_suggest"))
