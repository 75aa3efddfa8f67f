#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm render and run --chat: conversations through the chat template of a folder and of a .ellm file."""

import json
import os

from cli_testing import *

file = tmp("model.ellm")
equal(run("compress", "--bits", "8", MODEL, "-o", file, "-q").returncode, 0, "compress")


def written(name, value):
    path = tmp(name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(value if isinstance(value, str) else json.dumps(value))
    return path


def folder_of(name, files):
    path = tmp(name)
    os.makedirs(path)
    for file_name, value in files.items():
        written(os.path.join(name, file_name), value)
    return path


messages = [{"role": "user", "content": "Hi \u00e9\U0001f600"}, {"role": "assistant", "content": "Hello!\n"}]
plain = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages).encode()
answer = b"<|im_start|>assistant\n"
listed, wrapped = written("list.json", messages), written("object.json", {"messages": messages})
for model in (MODEL, file):
    name = os.path.basename(model)
    p = run("render", "-m", model, "--messages", listed)
    equal((p.returncode, p.stdout, p.stderr), (0, plain, b""), f"{name}: a list of messages, no newline added")
    equal(run("render", "-m", model, "--messages", wrapped).stdout, plain, f"{name}: an object with messages")
    p = run("render", "-m", model, "--messages=-", "--add-generation-prompt", stdin=json.dumps(messages).encode())
    equal(p.stdout, plain + answer, f"{name}: --add-generation-prompt, standard input")
    answered = run_json("render", "-m", model, "--messages", listed)
    equal(answered, {"text": plain.decode()}, f"{name}: --json")

# chat_template.jinja goes before tokenizer_config.json; neither weights nor a tokenizer are needed.
tools = folder_of(
    "template-only",
    {
        "chat_template.jinja": "{{ bos_token }}{% for t in tools or [] %}[{{ t.name }}]{% endfor %}"
        "{{ messages|length }}{{ extra }}"
        "{% if messages[0].content is none %}{{ raise_exception('no content') }}{% endif %}",
        "tokenizer_config.json": {"bos_token": "<s>", "chat_template": "not this one"},
    },
)
both = written("tools.json", {"messages": messages, "tools": [{"name": "f"}, {"name": "g"}], "extra": "+"})
equal(run("render", "-m", tools, "--messages", both).stdout, b"<s>[f][g]2+", "tools and further fields")
p = run("render", "-m", tools, "--messages", written("none.json", [{"role": "user", "content": None}]))
ok(p.returncode == INPUT and one_error_line(p) and b"no content" in p.stderr, "raise_exception", p.stderr)

endless = folder_of("endless", {"chat_template.jinja": "{% for a in range(9999999) %}x{% endfor %}"})
for name, model, text, status, word in (
    ("no template", folder_of("bare", {"tokenizer_config.json": {}}), messages, INPUT, b"chat template"),
    ("no such construct", folder_of("odd", {"chat_template.jinja": "{% import 'x' %}"}), messages, INPUT, b"import"),
    ("an endless template", endless, messages, INPUT, b"template"),
    ("not JSON", MODEL, "[", INPUT, b"bad.json"),
    ("a number", MODEL, "7", INPUT, b"messages"),
    ("messages that are no objects", MODEL, "[7]", INPUT, b"message 1"),
    ("tools that are no list", MODEL, {"messages": messages, "tools": 3}, INPUT, b"tools"),
    ("no messages", MODEL, {"tools": []}, INPUT, b"messages"),
    ("a folder that is missing", tmp("nowhere"), messages, IO, b"nowhere"),
):
    p = run("render", "-m", model, "--messages", written("bad.json", text), timeout=60)
    right = p.returncode == status and one_error_line(p) and word in p.stderr and not p.stdout
    ok(right, name, (p.returncode, p.stderr))
p = run("render", "-m", MODEL, "--messages", tmp("no.json"))
ok(p.returncode == IO and one_error_line(p) and b"no.json" in p.stderr, "a file that is missing", p.stderr)

# Several templates, and another one; variables of the command go before the file's.
many = folder_of(
    "many",
    {"tokenizer_config.json": {"chat_template": {"default": "D{{ x }}", "tool_use": "T{{ x }}", "rag": "R{{ x }}"}}},
)
for name, more, value, want in (
    ("the default one", (), {"messages": [], "x": 1}, b"D1"),
    ("tool_use", (), {"messages": [], "x": 1, "tools": [{}]}, b"T1"),
    ("tool_use for an empty list", (), {"messages": [], "x": 1, "tools": []}, b"T1"),
    ("tools that are null", (), {"messages": [], "x": 1, "tools": None}, b"D1"),
    ("by name", ("--template", "rag"), {"messages": [], "x": 1, "tools": []}, b"R1"),
    ("a file", ("--template", written("my.jinja", "M{{ x }}{{ bos_token }}")), [], b"M"),
    ("a variable", ("--template-var", "x=2"), {"messages": [], "x": 1}, b"D2"),
    ("JSON", ("--template-var", "x=false"), [], b"DFalse"),
    ("a text", ("--template-var", "x=a b=c"), [], b"Da b=c"),
    ("a text that looks like a number", ("--template-var", 'x="7"'), [], b"D7"),
    ("the last one counts", ("--template-var", "x=1", "--template-var=x=[2]"), [], b"D[2]"),
):
    p = run("render", "-m", many, "--messages", written("value.json", value), *more)
    equal((p.returncode, p.stdout), (0, want), f"templates: {name}")
for more, status, word in (
    (("--template", "none"), INPUT, b"'none'"),
    (("--template", "no/file"), IO, b"no/file"),
    (("--template", written("bad.jinja", "{% nosuch %}")), INPUT, b"bad.jinja"),
    (("--template-var", "x"), USAGE, b"NAME=VALUE"),
    (("--template-var", "=x"), USAGE, b"NAME=VALUE"),
):
    p = run("render", "-m", many, "--messages", written("value.json", []), *more)
    ok(p.returncode == status and one_error_line(p) and word in p.stderr, f"templates: {more}", p.stderr)
os.makedirs(os.path.join(tmp("extra"), "additional_chat_templates"))
written("extra/chat_template.jinja", "D")
written("extra/additional_chat_templates/tool_use.jinja", "T")
got = [run("render", "-m", tmp("extra"), "--messages", written("v.json", v)).stdout for v in ([], {"messages": [], "tools": []})]
equal(got, [b"D", b"T"], "additional_chat_templates")

# run --chat: the rendered prompt, tokenized without what the post-processor adds.
text = "Tell me a story."
one = written("one.json", [{"role": "user", "content": text}])
rendered = run("render", "-m", file, "--messages", one, "--add-generation-prompt").stdout
ids = run("tokenize", "-m", file, "--no-bos", stdin=rendered).stdout
settings = ["-m", file, "-n", "12", "--temp", "0", "--ignore-eos", "-q"]
chat = run("run", *settings, "--chat", "-p", text)
by_ids = run("run", *settings, "--prompt-ids", ids.decode())
equal((chat.returncode, chat.stdout), (0, by_ids.stdout), "run --chat equals run of the rendered ids")
ok(chat.stdout != run("run", *settings, "-p", text).stdout, "and differs from run of the bare text")
ids = run("tokenize", "-m", file, "--no-bos", stdin=b"A template of its own: " + text.encode()).stdout
own = written("own.jinja", "{{ x }}{{ messages[0].content }}")
more = ["--template", own, "--template-var", "x=A template of its own: "]
by_ids = run("run", *settings, "--prompt-ids", ids.decode())
equal(run("run", *settings, "--chat", *more, "-p", text).stdout, by_ids.stdout, "run --chat --template --template-var")
p = run("run", *settings, "-p", text, "--template-var", "x=1")
ok(p.returncode == USAGE and one_error_line(p), "--template-var needs --chat", p.stderr)
bare = copy_model("no-chat", leave_out=("tokenizer_config.json",))
p = run("run", "-m", bare, "--chat", "-p", text)
ok(p.returncode == INPUT and one_error_line(p) and b"template" in p.stderr and not p.stdout, "no template", p.stderr)
done()
