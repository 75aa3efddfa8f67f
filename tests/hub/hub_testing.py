# SPDX-License-Identifier: Apache-2.0
"""A hub for the tests, on the loopback address: the few endpoints that a pull uses, and the faults of the real world.
Standard library only."""

import hashlib
import http.server
import json
import os
import re
import socket
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *

LARGE = 1 << 16  # from here on a file is "large": its content lies elsewhere and has a SHA-256


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repository:
    def __init__(self, files, commit="c" * 40, **facts):
        self.files, self.commit = files, commit
        self.sizes = True  # whether the list of files has sizes and hashes
        self.token = None  # who wants to read it must have this one
        self.edit = None  # changes the answer of the list
        self.__dict__.update(facts)

    def is_large(self, path):
        return len(self.files[path]) >= LARGE

    def hash(self, path):
        data = self.files[path]
        return hashlib.sha256(data).hexdigest() if self.is_large(path) else git_hash(data)

    def listing(self):
        siblings = []
        for path, data in self.files.items():
            entry = {"rfilename": path}
            if self.sizes:
                entry.update(size=len(data), blobId=git_hash(data))
                if self.is_large(path):
                    entry["lfs"] = {"size": len(data), "sha256": self.hash(path), "pointerSize": 134}
            siblings.append(entry)
        answer = {"id": "x", "sha": self.commit, "siblings": siblings}
        return self.edit(answer) or answer if self.edit else answer

    def tree(self):
        """The same as another endpoint has it, which huggingface_hub asks."""
        entries = []
        for path, data in self.files.items():
            entries.append({"type": "file", "path": path, "size": len(data), "oid": git_hash(data)})
            if self.is_large(path):
                entries[-1]["lfs"] = {"size": len(data), "oid": self.hash(path), "pointerSize": 134}
        return entries


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and bodies are written apart

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code=""):
        self.answer(status, b'{"error": "no"}', [("X-Error-Code", code)])

    def cut(self):
        """Close the connection as it is."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def content(self, data, headers=()):
        """The whole, or what a Range asks for."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(wanted.group(1)) if wanted else 0
        if wanted and first >= len(data):
            return self.answer(416, b"", [("Content-Range", f"bytes */{len(data)}")])
        extra = [("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")] if wanted else []
        return self.answer(206 if wanted else 200, data[first:], [*headers, *extra])

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        try:
            self.serve()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def serve(self):
        hub = self.server.hub
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        content = re.fullmatch(r"/content/(\w+)/(.+)", path)
        tree = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path)
        api = tree or re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        kind = (
            "content"
            if content
            else "api" if api else "head" if file and self.command == "HEAD" else "file" if file else "?"
        )
        name = content.group(2) if content else file.group(3) if file else ""
        with hub.lock:
            hub.requests.append((self.server.server_port, kind, name, dict(self.headers)))
        if hub.fault and hub.fault(self, kind, name):
            return
        if content:
            return self.content(hub.elsewhere[content.group(1)], [("ETag", '"of-the-store"')])
        repository = hub.repositories.get((api or file).group(1)) if api or file else None
        if not repository:
            return self.refuse(404, "RepoNotFound")
        if repository.token and self.headers.get("Authorization") != "Bearer " + repository.token:
            return self.refuse(401, "RepoNotFound")
        if (api or file).group(2) not in ("main", "v1", "refs/pr/1", repository.commit):
            return self.refuse(404, "RevisionNotFound")
        if api:
            answer = repository.tree() if tree else repository.listing()
            return self.answer(200, json.dumps(answer).encode(), [("X-Repo-Commit", repository.commit)])
        if name not in repository.files:
            return self.refuse(404, "EntryNotFound")
        headers = [("X-Repo-Commit", repository.commit)]
        if not repository.is_large(name):
            return self.content(repository.files[name], [*headers, ("ETag", f'"{repository.hash(name)}"')])
        hub.elsewhere[repository.hash(name)] = repository.files[name]
        headers += [
            ("X-Linked-ETag", f'"{repository.hash(name)}"'),
            ("X-Linked-Size", str(len(repository.files[name]))),
            ("ETag", '"of-the-page"'),
            ("Location", f"{hub.store}/content/{repository.hash(name)}/{name}?signature=1"),
        ]
        return self.answer(302, b"elsewhere", headers)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


class Hub:
    """Two servers: the hub and the store that it sends to for large files."""

    def __init__(self):
        self.lock, self.repositories, self.elsewhere = threading.Lock(), {}, {}
        self.requests, self.fault = [], None
        self.servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
        for server in self.servers:
            server.hub = self
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.port, self.store_port = (server.server_port for server in self.servers)
        self.endpoint, self.store = (f"http://127.0.0.1:{port}" for port in (self.port, self.store_port))

    def asked(self, kind, name=None):
        return [r for r in self.requests if r[1] == kind and name in (None, r[2])]

    def forget(self):
        self.requests, self.fault = [], None


def environment(hub, home, **more):
    clean = {name: "" for name in os.environ if name.startswith(("HF_", "HUGGING")) or name == "TRANSFORMERS_OFFLINE"}
    clean.update(HF_ENDPOINT=hub.endpoint, HF_HOME=home, HF_HUB_DOWNLOAD_TIMEOUT="10")
    return dict(clean, **more)


def cache_of(home, repository):
    return os.path.join(home, "hub", "models--" + repository.replace("/", "--"))


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


def model_files():
    """The embedded model as a repository has it."""
    return {name: read(os.path.join(MODEL, name)) for name in os.listdir(MODEL)}
