#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm run and chat with --grammar and --json-schema: the text follows them, and what is refused is named."""

import json
import re

from cli_testing import *

ASK = ["run", "-m", MODEL, "-p", "Once upon a time", "--seed", "3", "-q"]


def written(name, text):
    with open(tmp(name), "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return tmp(name)


def schema_file(name, schema):
    return written(name, json.dumps(schema))


answer = written("answer.gbnf", 'root ::= "yes" | "no" # one of two\n')
p = run(*ASK, "--grammar", answer)
ok(p.returncode == 0 and p.stdout in (b"yes", b"no"), "--grammar", p.stdout + p.stderr)
result = run_json(*ASK, "--grammar", answer)
equal(result["end"], "grammar", "it ends because the grammar does")
equal(run_json(*ASK, "--grammar", answer, "-n", "1", "--ignore-eos")["tokens"], 1, "a limit counts")
p = run("run", "-m", MODEL, "-p", "Once", "-q", "--grammar", "-", stdin=b'root ::= [a-z]{3}')
ok(re.fullmatch(rb"[a-z]{3}", p.stdout) is not None, "--grammar -: standard input", p.stdout + p.stderr)

person = schema_file("person.json", {
    "type": "object", "additionalProperties": False, "required": ["name", "age", "born", "tags"],
    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 20},
                   "age": {"type": "integer", "minimum": 0, "maximum": 120},
                   "born": {"type": "string", "format": "date"},
                   "tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "maxItems": 3}}})
for temperature in "0", "2":
    value = json.loads(run(*ASK, "--json-schema", person, "-n", "400", "--temp", temperature).stdout)
    ok(list(value) == ["name", "age", "born", "tags"] and 1 <= len(value["name"]) <= 20 and 0 <= value["age"] <= 120
       and re.fullmatch(r"\d{4}-\d\d-\d\d", value["born"]) and set(value["tags"]) <= {"red", "blue"},
       f"--json-schema at temperature {temperature}", value)
p = run("chat", "-m", MODEL, "-q", "--template", written("t.jinja", "{{ messages[-1].content }}"), "--json-schema", person,
        "-n", "400", "--seed", "1", stdin=b"Once upon a time\n")
ok(p.returncode == 0 and "age" in json.loads(p.stdout), "chat --json-schema", p.stdout + p.stderr)

for what, options, status, words in (
        ("both", ["--grammar", answer, "--json-schema", person], USAGE, "cannot be used together"),
        ("a grammar that is none", ["--grammar", written("x.gbnf", 'root ::= "a')], INPUT, "x.gbnf: line 1"),
        ("left recursion", ["--grammar", written("l.gbnf", 'root ::= root "a" | "b"\n')], INPUT, "begins with itself"),
        ("bytes that are no text", ["--grammar", written("b.gbnf", b'root ::= "\xff"')], INPUT, "0xFF is not valid UTF-8"),
        ("a schema that is not JSON", ["--json-schema", written("x.json", "{")], INPUT, "x.json"),
        ("a keyword", ["--json-schema", schema_file("n.json", {"properties": {"a": {"not": {}}}})], INPUT,
         'n.json: #/properties/a: "not" is not supported'),
        ("a file that is not there", ["--grammar", tmp("nothing")], IO, "nothing")):
    p = run(*ASK, *options)
    ok(p.returncode == status and one_error_line(p) and words.encode() in p.stderr, f"refused: {what}",
       f"{p.returncode} {p.stderr}")
done()
