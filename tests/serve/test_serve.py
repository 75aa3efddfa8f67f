#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm serve: endpoints, exactness, limits of who may ask and how much."""

import math
import struct

from serve_testing import *

server = Server("--parallel", "4", "--ctx", "256", "--queue", "8")
ok(server.port, "it listens at a free port and says so", server.line)

# ---------------------------------------------------------------- what it says of itself
equal(server.get("/health"), (200, b'{"status":"ok"}'), "/health")
models = json.loads(server.get("/v1/models")[1])
equal([m["id"] for m in models["data"]], ["stories-4m"], "/v1/models")
equal(json.loads(server.get("/v1/models/stories-4m")[1]), models["data"][0], "/v1/models/NAME")
equal((server.get("/v1/models/other")[0], server.get("/v1/models/")[0]), (404, 404), "there is no other")
props = json.loads(server.get("/props")[1])
equal((props["context"], props["parallel"], props["chat_template"]), (256, 4, True), "/props")
equal(set(props["file"]), {"bytes", "bits_a_weight", "divergence", "same_top", "words"}, "/props says what the file is")
status, headers, page = server.request("GET", "/")
ok(status == 200 and b"<html" in page and headers["Content-Type"].startswith("text/html"), "a page at /", page[:80])
status, headers, body = server.request("HEAD", "/health")
equal((status, body), (200, b""), "HEAD")

# ---------------------------------------------------------------- the same as run
PROMPT = "Once upon a time"


def alone(prompt, n, seed, *options):
    return run("run", "-m", MODEL, "-p", prompt, "-n", str(n), "--seed", str(seed), "-q", *options).stdout.decode()


want = [alone(PROMPT, 40, seed) for seed in (7, 8, 9)]
status, got = server.complete(PROMPT, max_tokens=40, seed=7, n=3)
equal([c["text"] for c in got["choices"]], want, "choice i is what run gives with seed + i")
equal((got["seed"], got["usage"]["prompt_tokens"], got["usage"]["completion_tokens"]), (7, 5, 120), "seed and usage")
equal([c["finish_reason"] for c in got["choices"]], ["length"] * 3, "why they ended")
options = dict(temperature=1.3, top_k=20, top_p=0.8, min_p=0.02, repeat_penalty=1.2)
flags = [w for k, v in options.items() for w in ("--" + {"temperature": "temp"}.get(k, k).replace("_", "-"), str(v))]
equal(server.complete(PROMPT, max_tokens=40, seed=3, **options)[1]["choices"][0]["text"], alone(PROMPT, 40, 3, *flags),
      "every setting of sampling does what run's does")
equal(server.complete(PROMPT, max_tokens=30, temperature=0)[1]["choices"][0]["text"],
      alone(PROMPT, 30, 0, "--temp", "0"),
      "greedy")
prompts = [PROMPT, "The dog", "One day, Lily"]
got = server.complete(prompts, max_tokens=20, seed=1, n=2)[1]["choices"]
equal([c["text"] for c in got], [alone(p, 20, s) for p in prompts for s in (1, 2)], "several prompts")
ids = json.loads(run("tokenize", "--json", stdin=PROMPT.encode()).stdout)["ids"]
equal(server.complete(ids, max_tokens=40, seed=7)[1]["choices"][0]["text"], want[0], "a prompt of ids")
text = alone(PROMPT, 60, 5)
stop = text[30:36]
got = server.complete(PROMPT, max_tokens=60, seed=5, stop=["never ", stop])[1]["choices"][0]
equal((got["text"], got["finish_reason"]), (text[: text.index(stop)], "stop"), "a stop string")
story = run("run", "-m", MODEL, "--chat", "-p", "Tell me a story", "-n", "50", "--seed", "2", "-q").stdout.decode()
equal(server.chat("Tell me a story", max_tokens=50, seed=2)[1]["choices"][0]["message"],
      {"role": "assistant", "content": story}, "a chat")
equal(server.chat([{"type": "text", "text": "Tell me "}, {"type": "text", "text": "a story"}],
                  max_completion_tokens=50, seed=2, max_tokens=3)[1]["choices"][0]["message"]["content"],
      story, "contents in parts; max_completion_tokens goes first")
one, two = (server.complete(PROMPT, max_tokens=8, temperature=1)[1] for _ in range(2))
ok(one["seed"] != two["seed"] and
   server.complete(PROMPT, max_tokens=8, temperature=1, seed=one["seed"])[1]["choices"] == one["choices"],
   "without a seed a random one is drawn, and told", (one, two))

# ---------------------------------------------------------------- streams
events = server.events("/v1/completions", {"prompt": PROMPT, "max_tokens": 40, "seed": 7, "n": 2,
                                           "stream_options": {"include_usage": True}})
ok(events[-1] == "[DONE]" and events[-2]["choices"] == [] and events[-2]["usage"]["completion_tokens"] == 80
   and "tokens_per_s" in events[-2]["timings"], "usage is the last chunk", events[-2:])
parts = [e["choices"][0] for e in events[:-2]]
equal(["".join(c["text"] for c in parts if c["index"] == i) for i in (0, 1)], want[:2], "the parts are the answers")
equal(sorted((c["index"], c["finish_reason"]) for c in parts if c["finish_reason"]), [(0, "length"), (1, "length")],
      "each has an end")
events = server.events("/v1/chat/completions", {"messages": [{"role": "user", "content": "Tell me a story"}],
                                                "max_tokens": 50, "seed": 2})
equal(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""}, "the first chunk has the role")
equal("".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]), story, "the chunks are the story")
ok(events[-1] == "[DONE]" and all("usage" not in e for e in events[:-1]), "no usage unless it is asked for",
   events[-2:])

# ---------------------------------------------------------------- biases, penalties, chances
got = server.complete(PROMPT, max_tokens=12, temperature=0, logprobs=3)[1]["choices"][0]
logs = got["logprobs"]
equal("".join(logs["tokens"]), got["text"], "the tokens of logprobs are the text")
ok(all(len(t) == 3 and max(t.values()) == t[token] == log for t, token, log in
       zip(logs["top_logprobs"], logs["tokens"], logs["token_logprobs"])), "greedy: each token is the likeliest", logs)
equal(logs["text_offset"], [len("".join(logs["tokens"][:i])) for i in range(12)], "text_offset")
reference = tmp("logits.f32")
run("logits", "--ids", " ".join(map(str, ids)), "-o", reference, "-q")
row = struct.unpack("<4096f", read(reference)[-4096 * 4 :])
want = max(row) - math.log(sum(math.exp(x) for x in row))
ok(abs(logs["token_logprobs"][0] - want) < 1e-5, "a log-probability is that of the logits",
   (logs["token_logprobs"][0], want))
chat = {"messages": [{"role": "user", "content": "Tell me a story"}], "max_tokens": 10, "seed": 2, "logprobs": True,
        "top_logprobs": 2}
whole = server.post("/v1/chat/completions", chat)[1]["choices"][0]
content = whole["logprobs"]["content"]
equal(b"".join(bytes(t["bytes"]) for t in content).decode(), whole["message"]["content"],
      "the same of a chat, as bytes")
ok(all(len(t["top_logprobs"]) == 2 and t["logprob"] <= t["top_logprobs"][0]["logprob"] for t in content),
   "top_logprobs", content)
events = server.events("/v1/chat/completions", chat)[1:-2]
equal([t for e in events for t in e["choices"][0]["logprobs"]["content"]], content, "and of a stream")
first = server.post("/tokenize", {"content": got["text"]})[1]["tokens"][0]
other = server.complete(PROMPT, max_tokens=12, temperature=0, logit_bias={str(first): -100})[1]["choices"][0]["text"]
ok(not other.startswith(got["text"][:1]) and other, "logit_bias: a token that is banned does not come",
   (got["text"], other))
forced = server.complete(PROMPT, max_tokens=5, temperature=0, logit_bias={"300": 100})[1]["choices"][0]["text"]
equal(forced, server.post("/detokenize", {"tokens": ids[:1] + [300] * 6})[1]["content"][-len(forced):],
      "or always does")
plain = server.complete(PROMPT, max_tokens=60, temperature=0)[1]["choices"][0]["text"].split()
fresh = server.complete(PROMPT, max_tokens=60, temperature=0, presence_penalty=2, frequency_penalty=2)[1]["choices"][0]
ok(len(set(fresh["text"].split())) > len(set(plain)), "penalties bring other words", (plain, fresh["text"]))

# ---------------------------------------------------------------- grammars
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "old": {"type": "boolean"},
          "kind": {"enum": ["cat", "dog"]}}, "required": ["name", "old", "kind"], "additionalProperties": False}
form = {"type": "json_schema", "json_schema": {"name": "animal", "schema": SCHEMA, "strict": True}}
for seed in range(4):
    got = server.chat("Tell me of an animal.", max_tokens=150, seed=seed, temperature=1.5,
                      response_format=form)[1]["choices"][0]
    try:
        animal = json.loads(got["message"]["content"])
    except ValueError:
        animal = None
    ok(got["finish_reason"] == "stop" and animal and list(animal) == ["name", "old", "kind"]
       and animal["kind"] in ("cat", "dog")
       and len(animal["name"]) <= 12 and isinstance(animal["old"], bool), f"an answer that follows a schema ({seed})",
       got)
got = server.complete(PROMPT, max_tokens=50, seed=1, grammar='root ::= " yes" | " no"')[1]["choices"][0]
ok(got["text"] in (" yes", " no") and got["finish_reason"] == "stop", "a grammar", got)
got = server.complete(PROMPT, max_tokens=100, seed=3, response_format={"type": "json_object"})[1]["choices"][0]
ok(got["text"].startswith("{") and (got["finish_reason"] == "length" or isinstance(json.loads(got["text"]), dict)),
   "an object", got)

# ---------------------------------------------------------------- many at once, each as it would be alone
jobs = [(p, seed) for p in prompts for seed in range(4)]
answers = together([lambda p=p, s=s: server.complete(p, max_tokens=30, seed=s) for p, s in jobs])
equal([a[0] for a in answers], [200] * len(jobs), "twelve at once: eight wait")
equal([a[1]["choices"][0]["text"] for a in answers], [alone(p, 30, s) for p, s in jobs], "each is what it is alone")
again = server.complete(PROMPT, max_tokens=1)[1]["usage"]
equal(again["prompt_tokens_details"]["cached_tokens"], 4, "the prompt is there already")

# ---------------------------------------------------------------- tokens and templates
status, got = server.post("/tokenize", {"content": PROMPT, "add_special": True})
equal((status, got["tokens"]), (200, ids), "/tokenize")
equal(server.post("/detokenize", {"tokens": got["tokens"][1:]})[1]["content"], PROMPT, "/detokenize")
text = server.post("/apply-template", {"messages": [{"role": "user", "content": "Hi \u2603"}]})[1]["prompt"]
equal(text, "<|im_start|>user\nHi \u2603<|im_end|>\n<|im_start|>assistant\n", "/apply-template")
equal(server.post("/apply-template", {"messages": [{"role": "developer", "content": "Be kind."},
                                                   {"role": "user",
                                                    "content": "Hi"}]})[1]["prompt"].count("system\nBe kind."),
      1, "a developer is the system")

# ---------------------------------------------------------------- who is told to come later
long = {"prompt": PROMPT, "max_tokens": 200, "seed": 1, "n": 12, "stop": "\0never".replace("\0", "\u2603")}
streams = []
c = server.connection()
c.request("POST", "/v1/completions", json.dumps(dict(long, stream=True)))
first = c.getresponse()
equal(first.status, 200, "twelve answers fill places and queue")
status, headers, data = server.request("POST", "/v1/completions", json.dumps({"prompt": PROMPT}))
ok(status == 429 and headers.get("Retry-After") and json.loads(data)["error"]["type"] == "rate_limit_error",
   "one more is told to come later", (status, headers, data))
left = server.metric("clients_left_total")
first.close()
c.close()
deadline = time.monotonic() + 10
while time.monotonic() < deadline and server.metric("answers_running") > 0:
    time.sleep(0.02)
equal((server.metric("answers_running"), server.metric("answers_waiting")), (0, 0),
      "its client leaves: it is not computed")
ok(server.metric("clients_left_total") > left, "and that is counted")
c = server.connection()  # the same of an answer that comes whole: nothing is written until the end
c.request("POST", "/v1/completions", json.dumps(dict(long, n=4)))
deadline = time.monotonic() + 10
while time.monotonic() < deadline and server.metric("answers_running") == 0:
    time.sleep(0.005)
before = server.metric("tokens_total")
c.close()
deadline = time.monotonic() + 10
while time.monotonic() < deadline and server.metric("answers_running") > 0:
    time.sleep(0.01)
ok(server.metric("tokens_total") - before < 700, "also while nothing is written to it",
   server.metric("tokens_total") - before)
status, got = server.complete(PROMPT, n=13)
ok(status == 400 and got["error"]["param"] == "n", "more than can ever wait", got)

# ---------------------------------------------------------------- connections
idle = []
for _ in range(1000):
    s = socket.create_connection(("127.0.0.1", server.port))
    idle.append(s)
start = time.monotonic()
equal(server.complete(PROMPT, max_tokens=10, seed=7)[1]["choices"][0]["text"], alone(PROMPT, 10, 7),
      "1,000 idle connections do not matter")
for s in idle:
    s.close()
c = server.connection()
for i in range(3):
    c.request("POST", "/v1/completions", json.dumps({"prompt": PROMPT, "max_tokens": 2}))
    equal(json.loads(c.getresponse().read())["usage"]["completion_tokens"], 2, f"a connection is used again ({i})")
c.close()
body = json.dumps({"prompt": PROMPT, "max_tokens": 5, "seed": 7}).encode()
chunked = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
got = server.raw(head + chunked)
ok(b" 200 " in got and json.dumps(alone(PROMPT, 5, 7)).encode() in got, "a body in chunks of one byte", got)

# ---------------------------------------------------------------- memory
peak = server.memory("VmHWM")
status, seconds = server.stop()
found = re.search(rb"memory: up to ([0-9.]+) (.B)", server.notes)
stated = float(found.group(1)) * {b"kB": 1e3, b"MB": 1e6, b"GB": 1e9}[found.group(2)]
ok(peak <= stated, "it took no more memory than it said", (peak, stated))
ok(status == 0 and seconds < 5, "SIGTERM ends it", (status, seconds, server.notes))
p = run("serve", "--port", "0", "--memory", "20MB")
ok(p.returncode == USAGE and b"memory" in p.stderr and b"listening" not in p.stdout, "more memory than allowed",
   p.stderr)
p = run("serve", "--port", "0", "--ctx", "100000")
ok(p.returncode == USAGE and one_error_line(p), "more context than the model has", p.stderr)

# ---------------------------------------------------------------- keys, origins, sockets
with open(tmp("keys"), "w") as f:
    f.write("# for tests\nsecret-one\n\nsecret-two\n")
server = Server("--api-key-file", tmp("keys"), "--cors", "https://page.example", "--alias", "story")
for header, want in (({}, 401), ({"Authorization": "Bearer secret"}, 401),
                     ({"Authorization": "Bearer secret-one1"}, 401),
                     ({"Authorization": "secret-one"}, 401), ({"Authorization": "Bearer secret-one"}, 200),
                     ({"Authorization": "Bearer secret-two"}, 200)):
    status, headers, data = server.request("POST", "/v1/completions", '{"prompt":"a","max_tokens":1}', header)
    equal(status, want, f"with {header}")
equal(server.get("/health")[0], 200, "/health needs no key")
equal(server.get("/props")[0], 401, "/props does")
equal(server.get("/")[0], 200, "the page does not")
equal(json.loads(server.get("/v1/models", Authorization="Bearer secret-one")[1])["data"][0]["id"], "story", "--alias")
status, headers, _ = server.request("OPTIONS", "/v1/completions", None, {"Origin": "https://page.example"})
equal((status, headers.get("Access-Control-Allow-Origin")), (204, "https://page.example"), "--cors allows an origin")
equal(server.request("GET", "/health", None, {"Origin": "https://other.example"})[0], 403, "and no other")
equal(server.request("GET", "/health", None, {"Origin": f"http://127.0.0.1:{server.port}"})[0], 200, "its own page may")
server.stop()

path = tmp("socket")
process = subprocess.Popen([PROGRAM, "serve", "--unix", path, "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
line = process.stdout.readline()
s = socket.socket(socket.AF_UNIX)
s.connect(path)
s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
got = b""
while piece := s.recv(4096):
    got += piece
ok(line == f"listening at unix:{path}\n".encode() and b'{"status":"ok"}' in got, "--unix", (line, got))
p = run("serve", "--unix", path, "-q")
ok(p.returncode == IO and one_error_line(p), "a socket that is served is not taken", p.stderr)
process.send_signal(signal.SIGTERM)
equal(process.communicate(timeout=10), (b"", b""), "-q says only where it listens")
ok(not os.path.exists(path), "the socket goes with it")
done()
