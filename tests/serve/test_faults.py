#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm serve when things go wrong: its end under load, slow clients, a model's file that changes."""

from serve_testing import *

PROMPT = "Once upon a time"

# ---------------------------------------------------------------- SIGTERM under load
server = Server("--parallel", "4", "--queue", "64", "--ctx", "512")
counts = {}
stop = threading.Event()


def client(number):
    """Asks until the server is gone; every answer must be whole and have a reason."""
    while not stop.is_set():
        c = server.connection(timeout=20)
        try:
            stream = number % 2 == 0
            c.request("POST", "/v1/completions", json.dumps(
                {"prompt": PROMPT, "max_tokens": 400, "stream": stream, "seed": number, "stop": "\u2603"}))
            answer = c.getresponse()
            data = answer.read().decode()
            if answer.status == 200 and stream:
                event = [e for e in data.split("\n\n")
                         if e][-2][6:] if data.endswith("[DONE]\n\n") else data.split("\n\n")[-2][6:]
                what = json.loads(event)
                reason = what["choices"][0]["finish_reason"] if "choices" in what else "error"
            elif answer.status == 200:
                reason = json.loads(data)["choices"][0]["finish_reason"]
            else:
                reason = answer.status
        except OSError:
            reason = "refused"
        except Exception as e:  # an answer that was cut
            reason = f"broken: {e!r}"
        c.close()
        counts[reason] = counts.get(reason, 0) + 1
        if reason == "refused":
            return


threads = [threading.Thread(target=client, args=(i,)) for i in range(24)]
for t in threads:
    t.start()
time.sleep(1)
status, seconds = server.stop()
stop.set()
for t in threads:
    t.join(20)
ok(status == 0 and seconds < 5, "SIGTERM under load: the end within 5 seconds", (status, seconds, server.notes))
ok(set(counts) <= {"length", "stop", "shutdown", "error", 503, "refused"}, "no answer is cut without a reason", counts)
ok(counts.get("length", 0) + counts.get("stop", 0) + counts.get("shutdown", 0) > 0, "some have ended", counts)

# ---------------------------------------------------------------- time-outs
server = Server("--timeout", "0.1", "--ctx", "512")
reasons = []
for seed in range(3):
    got = server.complete([PROMPT] * 24, max_tokens=500, seed=seed, stop="\u2603")[1]
    reasons += [c["finish_reason"] for c in got["choices"]]
ok("timeout" in reasons and set(reasons) <= {"timeout", "stop", "length"}, "--timeout ends answers, and says so",
   reasons)

# ---------------------------------------------------------------- slow readers
body = json.dumps({"prompt": PROMPT, "max_tokens": 100, "n": 4, "stream": True, "seed": 1}).encode()
request = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
request += b"Content-Length: %d\r\n\r\n" % len(body) + body
server.stop()
server = Server("--ctx", "512", "--parallel", "8")
slow = []
for _ in range(4):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(("127.0.0.1", server.port))
    s.sendall(request)
    slow.append(s)
start = time.monotonic()
fast = server.complete(PROMPT, max_tokens=30, seed=9)[1]["choices"][0]["text"]
equal(fast, run("run", "-m", MODEL, "-p", PROMPT, "-n", "30", "--seed", "9", "-q").stdout.decode(),
      "slow readers do not stop the others")
whole = []
for s in slow:
    data = b""
    while piece := s.recv(1024):
        data += piece
    s.close()
    whole.append(data.split(b"\r\n\r\n", 1)[1])
ok(all(b"[DONE]" in w for w in whole), "and get their answers whole", [w[-80:] for w in whole])
server.stop()

# ---------------------------------------------------------------- the model's file
file = tmp("model.ellm")
run("compress", MODEL, "-o", file, "--bits", "8", "-q")
other = tmp("other.ellm")
run("compress", MODEL, "-o", other, "--bits", "4", "-q")


def served():
    copy = tmp("served.ellm")
    with open(copy, "wb") as f:
        f.write(read(file))
    return copy, Server(model=copy)


copy, server = served()
before = server.complete(PROMPT, max_tokens=30, seed=1)[1]["choices"]
os.rename(other, copy)
time.sleep(1.2)
equal(server.complete("The cat", max_tokens=30, seed=1)[1]["choices"][0]["text"],
      run("run", "-m", file, "-p", "The cat", "-n", "30", "--seed", "1", "-q").stdout.decode(),
      "a file that is replaced by rename goes on being used as it was")
server.stop()


def fails(name, change, ask_first):
    """Does the server end with an error after its file was changed, having answered with status 500?"""
    copy, server = served()
    if ask_first:
        server.complete(PROMPT, max_tokens=5)
    change(copy)
    statuses = []
    try:
        for _ in range(200):
            statuses.append(server.complete(PROMPT, max_tokens=100, stop="\u2603")[0])
            if statuses[-1] != 200:
                break
    except OSError:
        statuses.append(503) # it has noticed between two requests and is gone
    try:
        server.process.wait(8)
    except subprocess.TimeoutExpired:
        pass
    status, _ = server.stop()
    good = status == INPUT and server.notes.decode().splitlines()[-1].startswith("entrollm: ")
    ok(good and (500 in statuses or 503 in statuses), name, (status, statuses[-3:], server.notes))


def cut(path):
    os.truncate(path, 200000)


def damage(path):
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        f.write(b"\xff" * 4096)


fails("a file that is cut before its first use", cut, False)
fails("a file that is cut while it is in use", cut, True)
fails("a file that is damaged before its first use", damage, False)
fails("a file that is damaged while it is in use", damage, True)
done()
