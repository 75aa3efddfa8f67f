#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad inputs by commands: the exact status and error line of each pair stand in table.txt.

`test_errors.py --update` writes that table anew; what changed is then to be read before it is committed. A line must say
what is wrong, where, and, if that is not plain, what to do. What depends on how well something was coded (lengths and
offsets within .ellm files) is written #.
"""

import json
import os
import re
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), name) for name in ("cli", "faults")]
import tiny  # noqa: E402
from cli_testing import *  # noqa: E402,F401,F403
from cli_testing import PROGRAM, TMP, done, ok, read, run, tmp  # noqa: E402

TABLE = os.path.join(HERE, "table.txt")

COMMANDS = {
    "compress": ["compress", "--bits", "4", "IN", "-o", "out.ellm", "-q"],
    "inspect": ["inspect", "IN"],
    "verify": ["verify", "IN", "-q"],
    "decompress": ["decompress", "IN", "-o", "out-folder", "-q"],
    "split": ["split", "IN", "-n", "2", "-o", "out-parts", "-q"],
    "run": ["run", "-m", "IN", "-p", "a", "-n", "1", "-q"],
    "chat": ["chat", "-m", "IN", "-q"],
    "tokenize": ["tokenize", "-m", "IN"],
    "detokenize": ["detokenize", "-m", "IN", "--ids", "1 2"],
    "render": ["render", "-m", "IN", "--messages", "messages.json"],
    "bench": ["bench", "model", "-m", "IN", "-p", "1", "-n", "1", "-q"],
    "logits": ["logits", "-m", "IN", "--ids", "1 2", "-o", "out.f32"],
    "perplexity": ["perplexity", "-m", "IN", "-f", "text", "-q"],
    "serve": ["serve", "-m", "IN", "--port", "0", "-q"],
}


def write(name, data):
    with open(tmp(name), "wb") as f:
        f.write(data)


def folder(name, change=None, without=(), weights=None, **files):
    """The tiny model with some of it changed."""
    path = tmp(name)
    tiny.write_folder(path)
    for file in without:
        os.remove(os.path.join(path, file))
    if change:
        with open(os.path.join(path, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        config.update(change)
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f)
    for file, text in files.items():
        write(os.path.join(name, file.replace("__", ".")), text)
    if weights:
        at = os.path.join(name, "model.safetensors")
        write(at, weights(bytearray(read(tmp(at)))))


def set_bytes(at, value):
    def change(data):
        data[at : at + len(value)] = value
        return data

    return change


def make_inputs():
    """Names of what is bad, in the order of the table."""
    tiny.write_folder(tmp("good"))
    tiny.write_gguf(tmp("good.gguf"))
    p = run("compress", "--bits", "4", "good", "-o", "good.ellm", "-q", "-t", "1", cwd=TMP)
    if p.returncode != 0:
        sys.exit(p.stderr.decode())
    write("text", b"The old dog went to the sea. " * 8)
    ellm, gguf = read(tmp("good.ellm")), read(tmp("good.gguf"))
    os.makedirs(tmp("empty-folder"))
    write("empty-file", b"")
    write("noise", bytes(range(256)) * 16)
    write("words.txt", b"These are words and no model.\n")
    write("page.ellm", b"<!DOCTYPE html>\n<html>Please log in</html>\n")
    write("pointer.ellm", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    write("newer.ellm", bytes(set_bytes(8, struct.pack("<I", 99))(bytearray(ellm))))
    write("cut-head.ellm", ellm[:40])
    write("cut.ellm", ellm[: len(ellm) // 2])
    write("longer.ellm", ellm + b"\0")
    write("damaged-head.ellm", bytes(set_bytes(16, b"\xff")(bytearray(ellm))))
    middle = len(ellm) // 3
    write("damaged-block.ellm", bytes(set_bytes(middle, bytes([ellm[middle] ^ 1]))(bytearray(ellm))))
    write("cut.gguf", gguf[: len(gguf) // 2])
    write("version.gguf", b"GGUF" + struct.pack("<I", 99) + gguf[8:])
    write("counts.gguf", gguf[:8] + struct.pack("<QQ", 1 << 60, 1 << 60) + gguf[24:])
    folder("no-config", without=["config.json"])
    folder("bad-config", config__json=b"{\"hidden_size\": 32,")
    folder("no-tokenizer", without=["tokenizer.json"])
    folder("bad-tokenizer", tokenizer__json=b"[]")
    write("messages.json", b"[{\"role\": \"user\", \"content\": \"a\"}]")
    folder("no-weights", without=["model.safetensors"])
    folder("cut-weights", weights=lambda data: data[: len(data) // 2])
    folder("header-too-long", weights=set_bytes(0, struct.pack("<Q", 1 << 40)))
    folder("other-architecture", change={"architectures": ["FluxForCausalLM"], "model_type": "flux"})
    folder("other-width", change={"hidden_size": 64})
    return ["missing", "empty-folder", "empty-file", "noise", "words.txt", "page.ellm", "pointer.ellm", "newer.ellm",
            "cut-head.ellm", "cut.ellm", "longer.ellm", "damaged-head.ellm", "damaged-block.ellm", "cut.gguf",
            "version.gguf", "counts.gguf", "no-config", "bad-config", "no-tokenizer", "bad-tokenizer", "no-weights",
            "cut-weights", "header-too-long", "other-architecture", "other-width", "good", "good.gguf"]


# What is not bad with that command: it is not in the table. The last two inputs are whole: only where they are no input.
FINE = {
    "compress": {"no-config", "bad-config", "no-tokenizer", "bad-tokenizer", "other-architecture", "other-width", "good",
                 "good.gguf"},
    "inspect": {"good", "good.gguf", "no-config", "bad-config", "no-tokenizer", "bad-tokenizer", "other-architecture",
                "other-width", "damaged-block.ellm"},
    "decompress": set(), "verify": set(),
    "logits": {"good", "good.gguf", "no-tokenizer", "bad-tokenizer"},
}
for command in ("run", "chat", "tokenize", "perplexity", "serve", "detokenize", "render", "bench"):
    FINE[command] = {"good", "good.gguf"}
FINE["split"] = set()
FINE["serve"].add("damaged-block.ellm")  # found by the first answer that uses it
FINE["serve"] |= {"no-tokenizer", "bad-tokenizer"}  # prompts of ids are answered; a note says what is missing
FINE["tokenize"] |= {"other-architecture", "other-width", "no-weights", "cut-weights", "header-too-long", "no-config",
                     "bad-config", "damaged-block.ellm"}
FINE["detokenize"] = FINE["tokenize"]  # of a model that cannot be run they use what is good
FINE["render"] = FINE["tokenize"] | {"no-tokenizer", "bad-tokenizer"}
FINE["bench"] |= {"no-tokenizer", "bad-tokenizer"}  # its prompt is of ids


def result(command, name):
    """One line: the status and the error line."""
    words = [name if word == "IN" else word for word in COMMANDS[command]]
    if command == "serve":
        p = subprocess.Popen([PROGRAM, *words], cwd=TMP, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if p.stdout.readline():
            p.kill()
            p.communicate()
            return "it serves"
        p.stdout, p.stderr = p.communicate()
    else:
        p = run(*words, cwd=TMP, stdin=b"a\n", env={"LC_ALL": "C"}, timeout=60)
    text = p.stderr.decode(errors="backslashreplace")
    lines = [line for line in text.splitlines() if not line.startswith("entrollm: note: ")]
    message = " | ".join(lines).replace("entrollm: ", "", 1)
    if name.endswith(".ellm"):
        message = re.sub(r"\b\d{3,}\b", "#", message)
        message = re.sub(r"\b[0-9a-f]{16,}\b", "#", message)
    for left in ("out.ellm", "out.f32", "out-folder", "out-parts"):
        if os.path.exists(tmp(left)):
            message += f" | LEFT {left}"
    return f"{p.returncode} {message}"


def main():
    found = {}
    for name in make_inputs():
        for command in COMMANDS:
            if name not in FINE[command]:
                found[command, name] = result(command, name)
    if "--update" in sys.argv:
        with open(TABLE, "w", encoding="utf-8") as f:
            f.write("# status and error line of commands by bad inputs; written by test_errors.py --update\n")
            for name in dict.fromkeys(key[1] for key in found):
                f.write(f"\n{name}\n")
                for command in COMMANDS:
                    if (command, name) in found:
                        f.write(f"  {command:<11}{found[command, name]}\n")
        return
    wanted, name = {}, None
    with open(TABLE, encoding="utf-8") as f:
        for line in f:
            if line[0] not in "# \n":
                name = line.rstrip("\n")
            elif line.startswith("  "):
                wanted[line[2:13].strip(), name] = line[13:].rstrip("\n")
    for name in dict.fromkeys(key[1] for key in [*wanted, *found]):
        pairs = [key for key in {**wanted, **found} if key[1] == name]
        bad = [f"{key[0]}\n  got  {found.get(key)}\n  want {wanted.get(key)}" for key in pairs
               if found.get(key) != wanted.get(key)]
        ok(not bad, f"{name}: {len(pairs)} commands", "\n".join(bad))
    ok(all(line[0] in "2345" and not line.startswith("4 out of memory") for line in wanted.values()),
       "each has a status of its own")
    done()


main()
