#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers of a model under random JSON Schemas, checked with the jsonschema package, which must be there:

    python3 -m venv /tmp/schemas && /tmp/schemas/bin/pip install jsonschema rfc3339-validator
    /tmp/schemas/bin/python bench/grammar_schemas.py build/entrollm [--count 500] [--seed 1] [--model MODEL]

Prints how many answers were whole (the others reached the limit of tokens or of the context), and fails where one that is
whole is no JSON or not valid, or where a schema that is drawn here is refused."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time

import jsonschema

VALIDATOR = jsonschema.Draft202012Validator
NAMES = ["name", "id", "a b", "caf\u00e9", "\"q\"", "name2", "x/y", "", "\u4f60\u597d", "tags", "n~1"]
FORMATS = ["date", "time", "date-time", "email", "ipv4", "ipv6", "uuid"]
PATTERNS = [r"^[A-Z]{2}-\d{3}$", r"^(red|green|blue)( light)?$", r"\.(png|jpe?g)$", r"^\w+$", r"^[^\s\"]{2,8}$", "x"]


def string(r):
    kind = r.randrange(4)
    if kind == 0:
        low = r.randrange(4)
        return {"type": "string", "minLength": low, "maxLength": low + r.randrange(12)}
    if kind == 1:
        return {"type": "string", "format": r.choice(FORMATS)}
    if kind == 2:
        return {"type": "string", "pattern": r.choice(PATTERNS)}
    return {"type": "string"}


def number(r):
    kind = r.choice(["integer", "number"])
    schema = {"type": kind}
    low = r.choice([0, -5, 3, 100, -1000]) if kind == "integer" else r.choice([0, -0.5, 2.25, -100, 0.001])
    if r.random() < 0.6:
        schema[r.choice(["minimum", "exclusiveMinimum"])] = low
    if r.random() < 0.6:
        schema[r.choice(["maximum", "exclusiveMaximum"])] = low + r.choice([2, 7.5, 90, 12345])
    return schema


def values(r):
    every = ["red", "", "caf\u00e9 \"x\"\n", 0, -17, 1.5, 1e-7, True, None, [], {"a": [1, {"b": None}]}]
    return {"enum": r.sample(every, r.randrange(1, 5))} if r.random() < 0.7 else {"const": r.choice(every)}


def array(r, depth, names):
    schema = {"type": "array"}
    if r.random() < 0.3:
        schema["prefixItems"] = [draw(r, depth - 1, names) for _ in range(r.randrange(1, 3))]
    if r.random() < 0.8:
        schema["items"] = draw(r, depth - 1, names)
    low = r.randrange(3)
    schema["minItems"] = low
    schema["maxItems"] = low + r.randrange(3)
    return schema


def properties(r, depth, names):
    chosen = r.sample(NAMES, r.randrange(1, 6))
    schema = {"type": "object", "properties": {n: draw(r, depth - 1, names) for n in chosen},
              "required": [n for n in chosen if r.random() < 0.7]}
    if r.random() < 0.7:
        schema["additionalProperties"] = False
    elif r.random() < 0.3:
        schema["additionalProperties"] = draw(r, 0, names)
    return schema


def draw(r, depth, names):
    """A schema; `names` are definitions that it may refer to."""
    kind = r.randrange(12 if depth > 0 else 6)
    if kind <= 1:
        return string(r)
    if kind == 2:
        return number(r)
    if kind == 3:
        return values(r)
    if kind == 4:
        return {"type": r.sample(["boolean", "null", "integer", "string"], 2)}
    if kind == 5:
        return {"$ref": "#/$defs/" + r.choice(names)} if names else {"type": "boolean"}
    if kind == 6:
        return {"anyOf": [draw(r, depth - 1, names) for _ in range(r.randrange(2, 4))]}
    if kind == 7:
        return {"oneOf": [{"type": "object", "properties": {"kind": {"const": k}, "v": draw(r, depth - 1, names)},
                           "required": ["kind", "v"]} for k in ("a", "b")]}
    if kind == 8:
        return array(r, depth, names)
    if kind == 9:
        return {"allOf": [{"type": "object", "properties": {"p": draw(r, depth - 1, names)}, "required": ["p"]},
                          {"properties": {"q": draw(r, depth - 1, names)}}]}
    return properties(r, depth, names)


def schema(r):
    node = {"type": "object", "properties": {"value": string(r), "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
            "required": ["value", "next"], "additionalProperties": False}
    whole = properties(r, 3, ["leaf", "node"]) if r.random() < 0.8 else draw(r, 3, ["leaf", "node"])
    return {**whole, "$defs": {"leaf": number(r), "node": node}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model")
    options = parser.parse_args()
    ends, bad, tokens, start = {}, 0, 0, time.time()
    for i in range(options.count):
        r = random.Random(options.seed * 1000003 + i)
        asked = schema(r)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(asked, f)
            f.flush()
            command = [options.program, "run", "--json", "-q", "-p", "Once upon a time", "-n", "300", "--json-schema", f.name,
                       "--temp", r.choice(["0", "0.8", "1.5"]), "--seed", str(i), "-t", "1"]
            p = subprocess.run(command + (["-m", options.model] if options.model else []), capture_output=True)
        if p.returncode != 0:
            bad += 1
            print(f"{i}: {p.stderr.decode()} {json.dumps(asked)}")
            continue
        result = json.loads(p.stdout)
        ends[result["end"]] = ends.get(result["end"], 0) + 1
        tokens += result["tokens"]
        if result["end"] not in ("grammar", "eos"):
            continue
        try:
            value = json.loads(result["text"])
            VALIDATOR(asked, format_checker=VALIDATOR.FORMAT_CHECKER).validate(value)
        except Exception as problem:
            bad += 1
            print(f"{i}: {problem!r}\n{result['text']}\n{json.dumps(asked)}")
    print(f"{options.count} schemas, {tokens} tokens in {time.time() - start:.0f} s; ends: {ends}; wrong: {bad}")
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
