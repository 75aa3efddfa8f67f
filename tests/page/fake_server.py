#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that speaks what the page expects of `entrollm serve`, answers with a given text, and fails on demand.

As a program: fake_server.py PAGE.html [PORT] serves until it is interrupted. The file `policy` beside the page is sent
as its Content-Security-Policy."""

import http.server
import json
import os
import sys
import threading
import time

TEXT = "Once upon a time there was a small fox. It lived at the edge of a wood and was fond of **early** mornings."


class FakeServer:
    """What the page sees; tests change the fields while it runs.

    faults: for each of the next requests for an answer one of None, a (status, code, message), "cut" (the connection
    ends in the middle), "error" (an error among the events), "garbage" (an event that is no JSON)."""

    def __init__(self, page, port=0):
        self.page_path = page
        self.key = None
        self.answer = TEXT
        self.thought = ""
        self.delay = 0.004  # seconds a token
        self.pieces = 0  # bytes a write; 0: an event a write
        self.faults = []
        self.requests = []  # bodies of requests for answers
        self.cancelled = 0
        self.finish = "stop"
        self.used = None
        self.props = {
            "model": "SmolLM2-135M-Instruct", "context": 4096, "parallel": 4, "version": "1.0.0",
            "chat_template": True,
            "file": {"bytes": 75_431_936, "bits_a_weight": 4.2503, "divergence": 0.0214, "same_top": 0.9312,
                     "words": "Close to the original: most answers would be the same, word for word."},
            "sampling": {"temperature": 0.7, "top_p": 0.95, "top_k": 40, "min_p": 0.0, "repeat_penalty": 1.0},
        }  # fmt: skip
        self.server = None
        self.start(port)

    def start(self, port=None):
        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, client_address):
                pass  # clients leave

        self.server = Server(("127.0.0.1", self.port if port is None else port), Handler)
        self.server.fake = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def send(self, status, kind, body, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, value, status=200, **headers):
        self.send(status, "application/json", json.dumps(value).encode(), **headers)

    def send_error_json(self, status, code, message, **headers):
        self.send_json({"error": {"message": message, "type": "error", "param": None, "code": code}}, status, **headers)

    def allowed(self):
        fake = self.server.fake
        if not fake.key or self.headers.get("Authorization") == "Bearer " + fake.key:
            return True
        self.send_error_json(401, "invalid_api_key", "a key is needed")
        return False

    def do_GET(self):
        fake = self.server.fake
        if self.path == "/":
            with open(fake.page_path, "rb") as file:
                page = file.read()
            with open(os.path.join(os.path.dirname(fake.page_path), "policy"), encoding="ascii") as file:
                policy = file.read()
            self.send(200, "text/html; charset=utf-8", page, Content_Security_Policy=policy)
        elif self.path == "/health":
            self.send_json({"status": "ok"})
        elif self.path == "/props":
            if self.allowed():
                self.send_json(fake.props)
        else:
            self.send_error_json(404, "not_found", "there is no such path")

    def do_POST(self):
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self.send_error_json(404, "not_found", "there is no such path")
        if not self.allowed():
            return None
        fake.requests.append(body)
        fault = fake.faults.pop(0) if fake.faults else None
        if isinstance(fault, tuple):
            more = {"Retry_After": "7"} if fault[0] == 429 else {}
            return self.send_error_json(*fault, **more)
        try:
            self.stream(fake, body, fault)
        except OSError:
            fake.cancelled += 1
        return None

    def event(self, fake, value):
        data = f"data: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}\n\n".encode()
        step = fake.pieces or len(data)
        for at in range(0, len(data), step):
            self.wfile.write(data[at : at + step])
            self.wfile.flush()

    def stream(self, fake, body, fault):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

        def chunk(delta, reason=None):
            return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": fake.props["model"],
                    "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}  # fmt: skip

        delay = fake.delay
        self.wfile.write(b": a comment\r\n\r\nretry: 5\n")
        self.event(fake, chunk({"role": "assistant", "content": ""}))
        words = [(kind, word) for kind, text in (("reasoning_content", fake.thought), ("content", fake.answer))
                 for word in split(text)]  # fmt: skip
        for i, (kind, word) in enumerate(words):
            if fault and i == len(words) // 2:
                if fault == "error":
                    self.event(fake, {"error": {"message": "the file was damaged", "code": "damaged"}})
                if fault == "garbage":
                    self.event(fake, "{not json")
                return
            if delay:
                time.sleep(delay)
            self.event(fake, chunk({kind: word}))
        self.event(fake, chunk({}, fake.finish))
        if body.get("stream_options", {}).get("include_usage"):
            prompt = sum(len(m["content"]) // 4 + 4 for m in body["messages"])
            used = fake.used or prompt + len(words)
            self.event(fake, {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": len(words),
                                                       "total_tokens": prompt + len(words)},
                              "timings": {"prompt_tokens_per_s": 812.5, "tokens_per_s": 41.26, "context_used": used}})  # fmt: skip
        self.event(fake, "[DONE]")


def split(text):
    """Pieces like tokens: a word with the space before it."""
    pieces, piece = [], ""
    for character in text:
        if character in " \n" and piece.strip():
            pieces.append(piece)
            piece = ""
        piece += character
    return pieces + [piece] if piece else pieces


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(f"usage: {sys.argv[0]} PAGE.html [PORT]")
    fake = FakeServer(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 0)
    print(fake.url, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
