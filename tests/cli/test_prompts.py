#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm run: where the prompt comes from, and the options that newcomers from other programs type."""

import json
import os
import re
import subprocess

from cli_testing import *

TEXT = "Once upon a time, there was a dog.\nHe"
GREEDY = ["run", "-m", MODEL, "--temp", "0", "-n", "12", "-q"]
want = run(*GREEDY, "-p", TEXT).stdout
ok(len(want) > 10, "the text to compare with", want)


def written(name, data):
    with open(tmp(name), "wb") as f:
        f.write(data)
    return tmp(name)


file = written("prompt.txt", TEXT.encode() + b"\n")
equal(run(*GREEDY, "-f", file).stdout, want, "-f FILE, its last newline is not of the text")
equal(run(*GREEDY, f"--file={file}").stdout, want, "--file")
reading, writing = os.pipe()
os.write(writing, TEXT.encode() + b"\n")
os.close(writing)
p = subprocess.run([PROGRAM, *GREEDY, "-f", f"/dev/fd/{reading}"], pass_fds=[reading], stdout=subprocess.PIPE)
equal(p.stdout, want, "-f of a pipe, as of <(command)")
equal(run(*GREEDY, "-f", "-", stdin=TEXT.encode()).stdout, want, "-f -: standard input")
equal(run(*GREEDY, "-p", "-", stdin=TEXT.encode() + b"\n").stdout, want, "-p -")
equal(run(*GREEDY, stdin=TEXT.encode() + b"\n").stdout, want, "a pipe")
equal(run(*GREEDY, "-p", TEXT, stdin=b"not this").stdout, want, "a pipe is not read where a text is given")
two = run(*GREEDY, "-p", TEXT + "\n").stdout
equal(run(*GREEDY, "-f", written("two.txt", TEXT.encode() + b"\n\n")).stdout, two, "only one newline is dropped")
ids = run("tokenize", "-m", MODEL, stdin=b"a\0b").stdout.decode()
by_ids = run(*GREEDY, "--prompt-ids", ids).stdout
equal(run(*GREEDY, "-f", written("nul.txt", b"a\0b")).stdout, by_ids, "a text with a NUL in it is read to its end")
long = written("long.txt", b"dog " * 100000)
p = run(*GREEDY, "-f", long)
ok(p.returncode == INPUT and one_error_line(p) and b"context" in p.stderr, "more than an argument can hold", p.stderr)
p = run(*GREEDY)
ok(p.returncode == USAGE and one_error_line(p) and b"-f FILE" in p.stderr, "an empty standard input", p.stderr)
p = run(*GREEDY, "-f", written("latin.txt", b"caf\xe9"))
ok(p.returncode == INPUT and one_error_line(p) and b"UTF-8" in p.stderr, "a file that is no UTF-8", p.stderr)

# Escapes.
equal(run(*GREEDY, "-e", "-p", TEXT.replace("\n", "\\n")).stdout, want, "-e: \\n")
equal(run(*GREEDY, "-p", "a\\nb").stdout, run(*GREEDY, "-e", "-p", "a\\\\nb").stdout, "without it a backslash is one")
equal(run(*GREEDY, "-e", "-p", "\\x41\\t\\q\\x4").stdout, run(*GREEDY, "-p", "A\t\\q\\x4").stdout, "\\x41, unknown ones stay")
stop = want.decode().split(" ")[3]
stopped = run(*GREEDY, "-p", TEXT, "-e", "--stop", "".join(f"\\x{b:02x}" for b in stop.encode())).stdout
equal(stopped, run(*GREEDY, "-p", TEXT, "--stop", stop).stdout, "in --stop")
ok(stopped != want, "which stops")

# --system is what render makes of it.
messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": TEXT}]
with open(tmp("messages.json"), "w") as f:
    json.dump(messages, f)
text = run("render", "-m", MODEL, "--messages", tmp("messages.json"), "--add-generation-prompt").stdout
ids = run("tokenize", "-m", MODEL, "--no-bos", stdin=text).stdout.decode()
by_ids = run(*GREEDY, "--prompt-ids", ids).stdout
equal(run(*GREEDY, "--chat", "--system", "Be kind.", "-p", TEXT).stdout, by_ids, "--chat --system")
equal(run(*GREEDY, "--chat", "-e", "--system", "Be\\x20kind.", "-f", file).stdout, by_ids, "with escapes, and a file")

# -c, -n -1, --seed -1.
p = run("run", "-m", MODEL, "-p", TEXT, "-c", "24", "-n", "-1", "--temp", "0", "--ignore-eos", "--json")
told = json.loads(p.stdout)
equal((told["end"], told["prompt_tokens"] + told["tokens"]), ("context", 25), "-c 24 -n -1: until the context is full")
ok(b"context of 24 tokens is full" in p.stderr, "which is said", p.stderr)
told = run_json("run", "-m", MODEL, "-p", TEXT, "-n", "-1", "--temp", "0")
equal(told["end"], "eos", "-n -1: until the end")
p = run("run", "-m", MODEL, "-p", TEXT, "-c", "4", "-q")
ok(p.returncode == INPUT and one_error_line(p) and b"context of 4" in p.stderr, "a prompt beyond -c", p.stderr)
drawn = [run("run", "-m", MODEL, "-p", TEXT, "-n", "16", "--temp", "1", "--seed", "-1") for _ in range(3)]
seeds = [re.search(rb"note: seed (\d+)\n", p.stderr).group(1).decode() for p in drawn]
ok(len(set(seeds)) == 3, "--seed -1 draws another one each time", seeds)
again = run("run", "-m", MODEL, "-p", TEXT, "-n", "16", "--temp", "1", "--seed", seeds[0])
equal(again.stdout, drawn[0].stdout, "and the seed that is told gives the text again")

# Sampling as Transformers has it: from the 50 likeliest where nothing names another number.
base = ["run", "-m", MODEL, "-p", "The", "-n", "40", "--temp", "2", "--top-p", "1", "-q", "--seed", "3"]
equal(run(*base).stdout, run(*base, "--top-k", "50").stdout, "top-k is 50 by default")
ok(run(*base).stdout != run(*base, "--top-k", "0").stdout, "0 takes all")
named = copy_model("named")
config = json.loads(read(os.path.join(MODEL, "generation_config.json")))
for value, same in ((0, "0"), (3, "3")):
    with open(os.path.join(named, "generation_config.json"), "w") as f:
        json.dump({**config, "top_k": value}, f)
    own = ["run", "-m", named] + base[3:]
    equal(run(*own).stdout, run(*base, "--top-k", same).stdout, f"generation_config's top_k {value}")
done()
