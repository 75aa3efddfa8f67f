#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Load for a server: what it gives to one client and to many, and whether every answer is the one it should be.

serve_load.py URL [--clients 1,8,64] [--seconds 30] [--tokens 100] [--prompts 8] [--key KEY] [--pid PID]
              [--ids]

Each client asks again and again with one of a few prompts and a seed; the first answer to each pair counts as right,
since answers do not depend on what else is computed, and was computed alone. Prints a row of a table a number of clients:
tokens a second, the time to the first token, lost and different answers, and the memory of the process where its number
is given. --ids: prompts are token ids, for models without a tokenizer, whose answers have no text to compare.
"""

import argparse
import http.client
import json
import random
import re
import statistics
import threading
import time
import urllib.parse

PROMPTS = ["Once upon a time", "The little dog", "One day, Lily", "Tom had a big red", "There was a", "In the garden",
           "Mom said", "The sun was"]


def ask(address, key, prompt, seed, tokens):
    """Text, tokens, seconds to the first token."""
    c = http.client.HTTPConnection(address.hostname, address.port, timeout=600)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    start, first, text, count = time.monotonic(), None, [], None
    c.request("POST", "/v1/completions", json.dumps({
        "prompt": prompt, "seed": seed, "max_tokens": tokens, "stream": True, "temperature": 1,
        "stream_options": {"include_usage": True}}), headers)
    answer = c.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"status {answer.status}: {answer.read()[:200]}")
    for line in answer:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if event.get("error"):
            raise RuntimeError(event["error"]["message"])
        if event["choices"] and event["choices"][0]["text"]:
            first = first or time.monotonic()
            text.append(event["choices"][0]["text"])
        if event.get("usage"):
            count = event["usage"]["completion_tokens"]
    c.close()
    if count is None:
        raise RuntimeError("the answer was cut")
    return "".join(text), count, (first or time.monotonic()) - start


def memory(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def run(options, clients, right):
    """One row."""
    lock, end = threading.Lock(), time.monotonic() + options.seconds
    tokens, waits, lost, different, answers = 0, [], [], 0, 0
    samples = []

    def client(number):
        nonlocal tokens, different, answers
        noise = random.Random(number)
        while time.monotonic() < end:
            pair = noise.choice(PROMPTS[: options.prompts]), noise.randrange(4)
            try:
                text, n, wait = ask(options.address, options.key, *pair, options.tokens)
            except (OSError, RuntimeError, http.client.HTTPException) as e:
                with lock:
                    lost.append(repr(e))
                continue
            with lock:
                tokens += n
                answers += 1
                waits.append(wait)
                different += text != right[pair]

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    start = time.monotonic()
    for t in threads:
        t.start()
    while options.pid and any(t.is_alive() for t in threads):
        samples.append(memory(options.pid))
        time.sleep(0.5)
    for t in threads:
        t.join()
    seconds = time.monotonic() - start
    warm = samples[len(samples) // 4 :]
    grown = f"{warm[-1]:.1f} ({100 * (warm[-1] / warm[0] - 1):+.1f} %)" if warm else ""
    print(f"| {clients} | {tokens / seconds:.1f} | {1000 * statistics.median(waits) if waits else 0:.0f} | {answers} "
          f"| {len(lost)} | {different} | {grown} |", flush=True)
    for line in sorted(set(lost))[:3]:
        print("lost:", line)
    return len(lost) + different


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("url")
    p.add_argument("--clients", default="1,8,64")
    p.add_argument("--seconds", type=float, default=30)
    p.add_argument("--tokens", type=int, default=100)
    p.add_argument("--prompts", type=int, default=len(PROMPTS))
    p.add_argument("--key")
    p.add_argument("--pid", type=int)
    p.add_argument("--ids", action="store_true")
    options = p.parse_args()
    if options.ids:
        PROMPTS[:] = [tuple(range(10 + i, 15 + i)) for i in range(len(PROMPTS))]
    options.address = urllib.parse.urlsplit(options.url)
    pairs = [(prompt, seed) for prompt in PROMPTS[: options.prompts] for seed in range(4)]
    right = {pair: "" if options.ids else ask(options.address, options.key, *pair, options.tokens)[0] for pair in pairs}
    print("| clients | tokens/s | first token, ms | answers | lost | different | memory, MiB, and its growth |")
    print("|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    bad = sum(run(options, int(clients), right) for clients in options.clients.split(","))
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
