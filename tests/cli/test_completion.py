#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Completions of shells, in the shells: what bash and zsh offer for lines that are being typed."""

import re
import shutil
import subprocess

from cli_testing import *

sys.path.insert(0, os.path.join(ROOT, "tools"))
import command_tables

FOLDER = os.path.join(BUILD, "completions")
if not os.path.isdir(FOLDER):
    skip("completions", "this build has none")
    done()
program = command_tables.read(PROGRAM)
made = tmp("made")
p = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_completion.py"), PROGRAM, made])
for name in ("entrollm", "_entrollm"):
    equal(read(os.path.join(made, name)), read(os.path.join(FOLDER, name)), f"{name} of the build is current")

# a folder to complete names of files in
os.makedirs(tmp("here/models"))
for name in ("m.ellm", "n.gguf", "text.txt", "two words.ellm", "c.json", "picture.svg"):
    open(tmp("here/" + name), "w").close()
open(tmp("here/models/deep.ellm"), "w").close()

BASH = r"""
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
complete -p entrollm >&2 || exit 9
_entrollm
printf '%s\n' "${COMPREPLY[@]}"
"""
# Types each line into one shell and prints what compadd adds, "<<match>>" a line, then "<<END>>".
ZSH = r"""
folder=$1 here=$2
shift 2
zmodload zsh/zpty
zpty shell zsh -f -i
ask() { zpty -w shell "$1"; }
await() { while zpty -r shell row; do print -r -- $row; [[ $row == *$1* ]] && break; done; }
ask "PROMPT= PS2=; cd ${(q)here}; fpath=(${(q)folder} \$fpath); autoload -Uz compinit; compinit -u -D"
ask 'compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
  local -a found; local match
  builtin compadd -O found "$@"
  for match in $found; do print -r -- "<""<$match>>"; done
  builtin compadd "$@"
}'
ask 'finish() { print -r -- "<""<END>>"; comppostfuncs=(finish) }; comppostfuncs=(finish); LISTMAX=10000'
ask "unsetopt beep; bindkey '^I' complete-word; print REA''DY"
await READY >/dev/null
for line; do
  zpty -w -n shell "$line"$'\t'
  await '<<END>>'
  zpty -w -n shell $'\x15'
done
zpty -d shell
"""


def bash(line):
    """As bash splits it: = is a word."""
    words = [w for w in re.split(r"(=)| ", line) if w is not None]
    words = [w for i, w in enumerate(words) if w or i == len(words) - 1]
    p = subprocess.run(["bash", "--norc", "-c", BASH, "bash", os.path.join(FOLDER, "entrollm"), *words],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp("here"), timeout=60)
    if b"syntax" in p.stderr or p.returncode != 0:
        ok(False, f"bash: {line}", p.stderr.decode())
    return {w for w in p.stdout.decode().splitlines() if w}


def zsh(lines):
    """line -> what is offered"""
    p = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", FOLDER, tmp("here"), *lines], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=tmp("here"), timeout=100,
                       env=dict(os.environ, TERM="dumb", ZDOTDIR=TMP, LC_ALL="C"))
    answers = p.stdout.decode(errors="replace").split("<<END>>")[:-1]
    if not equal(len(answers), len(lines), "zsh: an answer to each line"):
        print("# " + p.stdout.decode(errors="replace")[-500:].replace("\n", "\n# "))
    return {line: {w.replace("\\", "") for w in re.findall(r"<<(.*?)>>", text)} for line, text in zip(lines, answers)}


def options(*path):
    command = next(c for c in program.all() if c.path == path)
    return {"--" + o["name"] for o in command.table["options"]}


# line -> exactly what is offered for it; folders with or without a slash, options with or without the = of a value
WANT = {
    "entrollm ": {c.path[0] for c in program.commands},
    "entrollm de": {"decompress", "detokenize"},
    "entrollm no-such-command ": set(),
    "entrollm compress --qual": {"--quality"},
    "entrollm compress --quality ": {"tiny", "small", "standard", "fine"},
    "entrollm compress --quality s": {"small", "standard"},
    "entrollm compress --quality=s": {"small", "standard"},
    "entrollm eval ": {c.path[1] for c in program.all() if len(c.path) == 2 and c.path[0] == "eval"},
    "entrollm eval cho": {"choice"},
    "entrollm eval hellaswag --protocol l": {"lm-eval", "llama.cpp"},
    "entrollm run -m ": {"m.ellm", "n.gguf", "two words.ellm", "models"},
    "entrollm run --model=m": {"m.ellm", "models"},
    "entrollm run -q -n 3 --model m": {"m.ellm", "models"},
    "entrollm bench model -m ": {"m.ellm", "n.gguf", "two words.ellm", "models"},
    "entrollm verify ": {"m.ellm", "two words.ellm", "models"},
    "entrollm verify m": {"m.ellm", "models"},
    "entrollm compress ": {"n.gguf", "models"},
    "entrollm compress models -o m": {"m.ellm", "models"},
    "entrollm inspect --histogram p": {"picture.svg"},
    "entrollm bench advise --shape s": {"smollm-1.7b"},
    "entrollm run -f t": {"text.txt", "two words.ellm"},
    "entrollm run -n ": set(),
    "entrollm run -p ": set(),
    "entrollm decompress m.ellm -o ": {"models"},
}
WANT_OF_BASH = {
    "entrollm verify models/": {"models/deep.ellm"},
    "entrollm verify m.ellm ": set(),  # one operand
    "entrollm compress -- --quality ": set(),  # nothing but operands after --
    **{" ".join(("entrollm", *c.path, "--" + o["name"], "")): set(o["choices"])
       for c in program.all() for o in c.table["options"] if o["choices"]},
}
OPTIONS = {" ".join(("entrollm", *c.path, "--")): options(*c.path) for c in program.all()}


def check(shell, got):
    def bare(words):
        return {w.rstrip("/=") for w in words}

    for line, want in WANT.items() if shell == "zsh" else {**WANT, **WANT_OF_BASH}.items():
        equal(sorted(bare(got(line))), sorted(want), f"{shell}: {line}")
    for line, want in OPTIONS.items():
        ok(want <= bare(got(line)), f"{shell}: {line}", sorted(want - bare(got(line))))


check("bash", bash)
if shutil.which("zsh"):
    answers = zsh([*WANT, *OPTIONS])
    check("zsh", lambda line: answers.get(line, set()))
else:
    skip("zsh", "zsh is not installed")
if shutil.which("shellcheck"):
    p = subprocess.run(["shellcheck", os.path.join(FOLDER, "entrollm")], stdout=subprocess.PIPE)
    equal(p.stdout.decode(), "", "shellcheck has nothing to say")
done()
