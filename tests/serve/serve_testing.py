# SPDX-License-Identifier: Apache-2.0
"""A server to test: started, asked, stopped. Standard library only."""

import atexit
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from cli_testing import *  # noqa: F401,F403 (what the tests of the program share)
from cli_testing import BUILD, MODEL, PROGRAM, run, tmp


class Server:
    """A server with the embedded model at a free port of the loopback address."""

    def __init__(self, *arguments, model=MODEL, env=None):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "-m", model, "--port", "0", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))
        atexit.register(self.kill)
        line = self.process.stdout.readline().decode()
        found = re.match(r"listening at http://127\.0\.0\.1:(\d+)$", line)
        self.port = int(found.group(1)) if found else None
        self.line = line.strip()
        self.notes = b""

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, number=signal.SIGTERM, timeout=20):
        """Ends it; status and seconds."""
        start = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, self.notes = self.process.communicate(timeout=timeout)
        return self.process.returncode, time.monotonic() - start

    def alive(self):
        return self.process.poll() is None and self.get("/health")[0] == 200

    def memory(self, field="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(field + r":\s+(\d+) kB", f.read()).group(1)) * 1024

    def connection(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        """Status, headers and bytes of one request with a connection of its own."""
        c = self.connection()
        try:
            c.request(method, path, body, headers or {})
            answer = c.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            c.close()

    def get(self, path, **headers):
        status, _, data = self.request("GET", path, None, headers)
        return status, data

    def post(self, path, body, headers=None):
        """Status and object of an answer."""
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        status, _, answer = self.request("POST", path, data, headers)
        try:
            return status, json.loads(answer)
        except ValueError:
            return status, answer

    def complete(self, prompt, **fields):
        return self.post("/v1/completions", dict({"prompt": prompt}, **fields))

    def chat(self, content, **fields):
        return self.post("/v1/chat/completions", dict({"messages": [{"role": "user", "content": content}]}, **fields))

    def events(self, path, body):
        """The events of a stream: objects, and "[DONE]"."""
        c = self.connection()
        c.request("POST", path, json.dumps(dict(body, stream=True)))
        answer = c.getresponse()
        data = answer.read().decode()
        c.close()
        if answer.status != 200:
            return [json.loads(data)]
        parts = data.split("\n\n")
        assert parts.pop() == "" and all(p.startswith("data: ") for p in parts), data
        return [p[6:] if p[6:] == "[DONE]" else json.loads(p[6:]) for p in parts]

    def metric(self, name):
        return float(re.search(rf"^entrollm_{name} (\S+)$", self.get("/metrics")[1].decode(), re.M).group(1))

    def raw(self, data, timeout=10):
        """All that comes back for some bytes, until the server closes or nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            try:
                s.sendall(data)
            except OSError:
                pass
            got = b""
            try:
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        break
                    got += piece
            except OSError:
                pass
            return got


def together(functions):
    """Run all at once; their results."""
    results = [None] * len(functions)

    def call(i):
        results[i] = functions[i]()

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(functions))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results
