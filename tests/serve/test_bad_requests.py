#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm serve and what clients should not send: the right status, one line that names the field, and it goes on."""

import random

from serve_testing import *

server = Server("--ctx", "128")
CHAT = "/v1/chat/completions"


def refused(path, body, param, name, status=400, says=None):
    """Is a body refused with an error that names the field?"""
    got, answer = server.post(path, body)
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    message = error.get("message") or ""
    good = got == status and error.get("param") == param and message and "\n" not in message
    ok(good and set(error) == {"message", "type", "param", "code"} and (says is None or says in message), name,
       (got, answer))


def messages(**more):
    return dict({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}, **more)


def text(**more):
    return dict({"prompt": "Hi", "max_tokens": 2}, **more)


# ---------------------------------------------------------------- bodies
for body, name in (
    (b"", "an empty body"),
    (b"{", "an object that does not end"),
    (b"[]", "a list"),
    (b'"text"', "a text"),
    (b'{"prompt":"a"} x', "something after the object"),
    (b'{"prompt":"a","prompt":"b"}', "a key twice"),
    (b'{"prompt":"\xff\xfe"}', "invalid UTF-8"),
    (b'{"prompt":"\xed\xa0\x80"}', "a surrogate in UTF-8"),
    (b'{"prompt":"\\ud800"}', "half a surrogate pair"),
    (b'{"prompt":"a\\u0000b"}', "NUL"),
    (b'{"prompt":"a","temperature":NaN}', "NaN"),
    (b'{"prompt":"a","temperature":Infinity}', "infinity"),
    (b'{"prompt":"a","temperature":1e999}', "a number beyond doubles"),
    (b'{"prompt":"a","max_tokens":99999999999999999999999}', "a number beyond 64 bits"),
    (b'{"prompt":' + b"[" * 100000 + b"]" * 100000 + b"}", "100,000 levels"),
    (b'{"a":' * 100 + b"1" + b"}" * 100, "100 levels of objects"),
    (b'{"prompt":[' + b"1," * 600000 + b"1]}", "600,000 values"),
    (b"\x00" * 1000, "zeros"),
    (b"<html>", "no JSON at all"),
):
    refused("/v1/completions", body, None, name)
refused("/v1/completions", b'{"prompt":"' + b"a" * (8 << 20) + b'"}', None, "more than 8 MiB", status=413)

# ---------------------------------------------------------------- fields
for field, values in {
    "max_tokens": (-1, 1.5, "3", True, 1 << 40, [], {}),
    "temperature": (-0.1, "hot", 1e9, [1], True),
    "top_p": (-0.1, 1.1, "a"),
    "top_k": (-1, 2.5, 1 << 40),
    "min_p": (-1, 2),
    "repeat_penalty": (0, -1, 1e9),
    "n": (0, -1, 129, 1.5, "2"),
    "seed": (-2, 1.5, "one"),
    "stream": (1, "true", []),
    "stop": (1, [1], "", [""], ["a"] * 10000, [None], {}, ["a" * 5000]),
    "stream_options": (1, "x", [], {"include_usage": True}),
    "model": (1, []),
    "frequency_penalty": (-101, "a", 1e9),
    "presence_penalty": (101, [], True),
    "logit_bias": (1, [], {"a": 1}, {"-1": 1}, {"99999": 1}, {"1": "a"}, {"1": 101}, {"": 1}, {"1x": 1},
                   {str(i): 1 for i in range(1025)}),
    "logprobs": (True, -1, 21, "a"),
}.items():
    for value in values:
        refused("/v1/completions", text(**{field: value}), field, f"{field}: {json.dumps(value)[:30]}")
for field, value in (("logprobs", 1), ("top_logprobs", 21), ("top_logprobs", -1), ("top_logprobs", 3)):
    refused(CHAT, messages(**{field: value}), field, f"{field}: {value} of a chat")
refused("/v1/completions", text(stream=True, stream_options={"include_usage": 1}), "include_usage", "include_usage: 1")
for value in (None, 1, {}, [], [[]], [-1], [4096], [1.5], ["a", 1], True, [1, "a"], [["a"]], [None]):
    refused("/v1/completions", text(prompt=value), "prompt", f"prompt: {json.dumps(value)}")
refused("/v1/completions", text(prompt=["a"] * 129), "prompt", "129 prompts")
for value in (None, 1, "a", {}, []):
    refused(CHAT, messages(messages=value), "messages", f"messages: {json.dumps(value)}")
for message, field in (
    ("a", ""), (1, ""), ({}, ".role"), ({"role": 1, "content": "a"}, ".role"),
    ({"role": "wizard", "content": "a"}, ".role"),
    ({"role": "user"}, ".content"), ({"role": "user", "content": 1}, ".content"),
    ({"role": "user", "content": None}, ".content"),
    ({"role": "user", "content": [1]}, ".content"), ({"role": "user", "content": [{"type": "text"}]}, ".content"),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, ".content"),
    ({"role": "assistant", "content": {}}, ".content"), ({"role": "assistant", "tool_calls": 1}, ".tool_calls"),
    ({"role": "assistant", "tool_calls": [1]}, ".tool_calls"),
    ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}, ".tool_calls"),
):
    refused(CHAT, messages(messages=[{"role": "user", "content": "a"}, message]), "messages[1]" + field,
            f"message {json.dumps(message)[:60]}")
refused(CHAT, messages(messages=[{"role": "user", "content": "a"}] * 10001), "messages", "10,001 messages")
refused(CHAT, messages(tools=1), "tools", "tools: 1")
for tool in (1, {}, {"type": "retrieval"}, {"type": "function"}, {"type": "function", "function": {"name": 1}},
             {"type": "function", "function": {"name": "f", "parameters": 1}}):
    refused(CHAT, messages(tools=[tool]), "tools[0]", f"tool {json.dumps(tool)}")
refused(CHAT, messages(tools=[{"type": "function", "function": {"name": "f"}}]), "tools",
        "tools of a template that has no place for them")
refused(CHAT, messages(chat_template_kwargs=[]), "chat_template_kwargs", "chat_template_kwargs: []")
refused(CHAT, messages(chat_template_kwargs={"messages": []}), "chat_template_kwargs", "a variable that is a field")
for path, body in (("/tokenize", {}), ("/tokenize", {"content": 1}), ("/detokenize", {"tokens": [1.5]}),
                   ("/detokenize", {"tokens": [-1]}), ("/detokenize", {"tokens": ["a"]}), ("/detokenize", {})):
    refused(path, body, "content" if path == "/tokenize" else "tokens", f"{path} {json.dumps(body)}")
refused("/apply-template", {}, "messages", "/apply-template without messages")

# ---------------------------------------------------------------- what cannot be honoured, and what is not known
for field, value in (("suffix", "x"), ("echo", True), ("best_of", 2), ("response_format", {"type": "nonsense"}),
                     ("response_format", 3), ("response_format", {})):
    refused("/v1/completions", text(**{field: value}), field, f"{field} is refused by name", says=field)
for field, value in (("functions", [{}]), ("function_call", "auto"), ("audio", {"voice": "x"}),
                     ("modalities", ["audio"]),
                     ("tool_choice", 3), ("web_search_options", {"a": 1})):
    refused(CHAT, messages(**{field: value}), field, f"{field} is refused by name", says=field)
status, got = server.post("/v1/completions",
                          text(unknown=[1, {"a": None}], user="me", temperature=None, stop=None, n=None,
                               best_of=1, echo=False, logit_bias={}, response_format={"type": "text"}))
equal(status, 200, "unknown fields, null and defaults do no harm")

# ---------------------------------------------------------------- schemas and grammars
FIELD = "response_format.json_schema.schema"
deep = {"type": "object"}
for _ in range(40):
    deep = {"type": "array", "items": deep}
for schema, name in (
    (None, "no schema"), (1, "a schema that is a number"), ({"type": "nonsense"}, "an unknown type"),
    ({"$ref": "#/nowhere"}, "a dangling reference"),
    ({"$ref": "#"}, "a schema that is only itself"), ({"not": {}}, "what is not supported"),
    ({"type": "string", "pattern": "("}, "a broken pattern"),
    ({"type": "array", "items": {"type": "string"}, "minItems": 10**9}, "a billion items"),
    ({"enum": []}, "nothing to choose"),
):
    refused(CHAT, messages(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}),
            FIELD, name)
for grammar in ("x ::= y", "root ::= root", "root ::= (", 'root ::= "a" root2', "\u2603"):
    refused("/v1/completions", text(grammar=grammar), "grammar", f"grammar {grammar!r}")
refused("/v1/completions", text(grammar=1), "grammar", "grammar: 1")
refused("/v1/completions", text(grammar='root ::= "a"', response_format={"type": "json_object"}), "grammar", "both")
got = server.post(CHAT, messages(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {
    "$defs": {"t": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/t"}, {"type": "null"}]}},
                    "required": ["next"], "additionalProperties": False}}, "$ref": "#/$defs/t"}}}, max_tokens=30))
ok(got[0] in (200, 400), "a schema that recurses", got)
got = server.post(CHAT, messages(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": deep}}))
ok(got[0] in (200, 400), "a deep schema", got)
start = time.monotonic()
got = server.post(CHAT, messages(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {
    "type": "string", "pattern": "^(((((a{1,9}){1,9}){1,9}){1,9}){1,9}){1,9}(a+)+$"}}}))
ok(got[0] in (200, 400) and time.monotonic() - start < 20, "an expression that explodes", got)

# ---------------------------------------------------------------- contexts
status, got = server.complete("word " * 2000)
equal((status, got["error"]["code"], got["error"]["param"]), (400, "context_length_exceeded", "prompt"),
      "a long prompt")
status, got = server.chat("word " * 2000)
equal((status, got["error"]["code"], got["error"]["param"]), (400, "context_length_exceeded", "messages"),
      "a long chat")
status, got = server.complete("Once", max_tokens=5000, temperature=0, stop="\u2603")
ok(status == 200 and got["choices"][0]["finish_reason"] in ("length", "stop") and got["usage"]["total_tokens"] <= 129,
   "more tokens than the context has: it ends there", got["usage"])
equal(server.complete("Once", max_tokens=0)[1]["usage"]["completion_tokens"], 0, "no tokens at all")

# ---------------------------------------------------------------- paths and methods
for method, path, want in (("GET", "/v1", 404), ("GET", "/..%2f..%2fetc/passwd", 404), ("POST", "/nothing", 404),
                           ("GET", "/" + "a" * 5000, 404), ("GET", "/v1/completions", 405),
                           ("PUT", "/v1/completions", 405),
                           ("DELETE", "/health", 405), ("POST", "/health", 405), ("POST", "/", 405),
                           ("BREW", "/health", 405)):
    status, headers, data = server.request(method, path, b"{}" if method in ("POST", "PUT") else None)
    error = json.loads(data)["error"] if data else None
    ok(status == want and error and (status == 404 or headers.get("Allow")), f"{method} {path[:30]}: {want}",
       (status, data))

# ---------------------------------------------------------------- below HTTP
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
got = server.raw(HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 30) + b"{" * 100000)
ok(b" 413 " in got.split(b"\r\n")[0] and b'"error"' in got, "1 GiB is refused by its length", got[:200])
got = server.raw(HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n")
ok(got == b"" or got.split(b" ")[1][:1] == b"4", "a length beyond 64 bits", got[:200])
got = server.raw(HEAD + b"Content-Length: -1\r\n\r\n")
ok(got == b"" or got.split(b" ")[1][:1] == b"4", "a negative length", got[:200])
got = server.raw(b"GET /health HTTP/1.1\r\n" + b"X-Long: %s\r\n" % (b"a" * 1000) * 100 + b"\r\n")
ok(got.split(b" ")[1] in (b"431", b"413"), "headers of 100 kB", got[:200])
got = server.raw(b"GET /health HTTP/1.1\r\nX: " + b"a" * 1000000)
ok(got == b"" or got.split(b" ")[1][:1] == b"4", "a header without end", got[:200])
for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 3000, b"GET\r\n\r\n", b"nonsense\r\n\r\n",
             b"GET / HTTP/9.9\r\n\r\n",
             b"GET /health HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
             HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n"):
    server.raw(data, timeout=0.3)
ok(server.alive(), "bytes that are no HTTP")
with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:  # a body without end, in chunks
    s.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    sent, chunk = 0, b"10000\r\n" + b" " * 65536 + b"\r\n"
    try:
        while sent < 64 << 20:
            s.sendall(chunk)
            sent += 65536
    except OSError:
        pass
    try:
        got = s.recv(65536)
    except OSError:
        got = b""
ok(sent < 32 << 20, "a body without end is cut", sent)
ok(got == b"" or b" 413 " in got, "with a status, where it can still be read", got)
ok(server.alive(), "the server goes on")
ok(server.metric("body_bytes") == 0, "no bytes of bodies are left", server.metric("body_bytes"))

# ---------------------------------------------------------------- connections that break
noise = random.Random(5)
for i in range(40):
    s = socket.create_connection(("127.0.0.1", server.port))
    body = json.dumps({"prompt": "Once upon", "max_tokens": 50, "stream": i % 2 == 0}).encode()
    data = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    s.sendall(data[: noise.randrange(len(data) + 1)] if i % 4 else data)
    if i % 3 == 0:
        s.shutdown(socket.SHUT_WR)
    if i % 5 == 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
    if i % 2:
        time.sleep(0.002)
    s.close()
got = server.complete("Once upon a time", max_tokens=20, seed=1)
equal(got[1]["choices"][0]["text"],
      run("run", "-m", MODEL, "-p", "Once upon a time", "-n", "20", "--seed", "1", "-q").stdout.decode(),
      "after 40 broken connections: the right answer")

# ---------------------------------------------------------------- damage at random
good = json.dumps(messages(tools=[], stop=["a"], n=2, temperature=0.5)).encode()
statuses = set()
for i in range(300):
    data = bytearray(good)
    for _ in range(noise.randrange(1, 4)):
        at = noise.randrange(len(data))
        if i % 3 == 0:
            data[at] = noise.randrange(256)
        elif i % 3 == 1:
            del data[at]
        else:
            data[at:at] = noise.choice([b'"', b"{", b"[", b"-", b"9", b",", b"\\", b"null"])
    statuses.add(server.post(CHAT, bytes(data))[0])
ok(statuses <= {200, 400}, "300 damaged bodies", statuses)
status, seconds = server.stop()
ok(status == 0 and b"ERROR" not in server.notes and b"runtime error" not in server.notes, "and a clean end",
   server.notes)
done()
