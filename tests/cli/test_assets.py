#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder travel with the model: the known ones, those that were asked for, and no other unsaid."""

import json
import os

from cli_testing import *

PRIVATE = b"not meant for others\n"
source = copy_model("source", leave_out=("unseen.txt", "SOURCES.tsv", "TRAINING.md", "ATTRIBUTION_ccby.tsv"))
for name, data in {
    "notes-private.txt": PRIVATE,
    "train.log": b"step 1\n" * 100,
    ".secret": PRIVATE,
    "LICENSE": b"free\n",
}.items():
    with open(os.path.join(source, name), "wb") as f:
        f.write(data)
os.mkdir(os.path.join(source, "additional_chat_templates"))
with open(os.path.join(source, "additional_chat_templates", "rag.jinja"), "wb") as f:
    f.write(b"{{ messages }}")

NEEDED = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
KNOWN = sorted(NEEDED + ["LICENSE", "README.md", "additional_chat_templates/rag.jinja"])
file = tmp("known.ellm")
p = run("compress", "--bits", "8", source, "-o", file)
text = p.stderr.decode()
ok(
    p.returncode == 0 and "2 files of the folder left out" in text and "notes-private.txt, train.log" in text,
    "files that are left out are said",
    text,
)
ok(b"LICENSE" in p.stdout and b"notes-private.txt" not in p.stdout, "compress lists what it stores", p.stdout)
ok(PRIVATE not in read(file), "a private file does not travel")
answer = run_json("inspect", file)
equal([a["name"] for a in answer["assets"]], KNOWN, "inspect lists the files")
equal(
    [a["bytes"] for a in answer["assets"]],
    [os.path.getsize(os.path.join(source, name)) for name in KNOWN],
    "and their sizes",
)
p = run("inspect", file, "--table")
ok(all(name.encode() in p.stdout for name in KNOWN), "in its table, too", p.stdout)
answer = run_json("compress", "--bits", "8", source, "--dry-run")
equal([a["name"] for a in answer["assets"]], KNOWN, "a dry run says the same")
ok(any("notes-private.txt" in note for note in answer["warnings"]), "and what is left out")
p = run("verify", file, "--against", source)
ok(p.returncode == 0, "verify does not miss them", p.stdout)

more = tmp("more.ellm")
p = run("compress", "--bits", "8", source, "-o", more, "--include", "train*", "--include", "*.nothing")
text = p.stderr.decode()
ok(
    p.returncode == 0 and "1 file of the folder left out" in text and "include *.nothing: no such file" in text,
    "--include",
    text,
)
equal(
    [a["name"] for a in run_json("inspect", more)["assets"]], sorted(KNOWN + ["train.log"]), "takes the file that it names"
)
p = run("verify", more, "--against", source)
ok(p.returncode == 0, "verify compares it", p.stdout)
with open(os.path.join(source, "train.log"), "ab") as f:
    f.write(b"step 2\n")
p = run("verify", more, "--against", source)
ok(p.returncode == DIFFERENCE and b"asset train.log differs" in p.stdout, "and finds a change", p.stdout)

least = tmp("least.ellm")
p = run("compress", "--bits", "8", source, "-o", least, "--no-assets")
ok(p.returncode == 0 and b"LICENSE, README.md" in p.stderr, "--no-assets", p.stderr)
equal(
    [a["name"] for a in run_json("inspect", least)["assets"]],
    sorted(NEEDED + ["additional_chat_templates/rag.jinja"]),
    "keeps configuration, tokenizer and templates",
)
p = run("verify", least, "--against", source)
ok(p.returncode == 0, "verify takes that for complete", p.stdout)

back = tmp("back")
p = run("decompress", file, "-o", back, "-q")
ok(
    p.returncode == 0 and read(os.path.join(back, "additional_chat_templates", "rag.jinja")) == b"{{ messages }}",
    "decompress writes the folder of templates",
    p.stderr,
)
equal(sorted(os.listdir(back)), sorted(NEEDED + ["LICENSE", "README.md", "additional_chat_templates", "model.safetensors"]),
      "and nothing else")
p = run("compress", "--bits", "8", back, "-o", tmp("again.ellm"), "-q")
ok(p.returncode == 0, "which is a folder to compress", p.stderr)

for i in range(5):
    with open(os.path.join(source, f"data{i}.jsonl"), "wb") as f:
        f.truncate(60 << 20)
p = run("compress", "--bits", "8", source, "-o", tmp("beside-data.ellm"))
ok(p.returncode == 0 and b"7 files of the folder left out" in p.stderr, "a data set beside the model is no fault", p.stderr)
ok(os.path.getsize(tmp("beside-data.ellm")) < 10 << 20, "and does not travel")
p = run("compress", "--bits", "8", source, "-o", tmp("data.ellm"), "--include", "*.jsonl")
ok(p.returncode == INPUT and b"more than 256 MiB" in p.stderr and one_error_line(p), "unless it is asked for", p.stderr)

case = os.path.join(SHARED, "cases", "stray-files-embedded", "in")
if os.path.isdir(case):
    p = run("compress", "--bits", "8", case, "-o", tmp("case.ellm"))
    ok(p.returncode == 0 and b"notes-private.txt, train.log" in p.stderr, "stray-files-embedded", p.stderr)
    ok(PRIVATE.strip() not in read(tmp("case.ellm")), "stray-files-embedded: nothing private")
else:
    skip("stray-files-embedded", "no ../shared/cases")
done()
