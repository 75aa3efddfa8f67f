# SPDX-License-Identifier: Apache-2.0
"""What torture.py does with faults: commands of the program on a tiny model, and what they may leave behind."""

import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
import tiny  # noqa: E402

TIMEOUT = 120
TEXT = "The old dog went to the sea and saw the other dogs there. " * 16


def tree(folder):
    """name -> bytes of all files below"""
    found = {}
    for at, _, files in os.walk(folder):
        for file in files:
            path = os.path.join(at, file)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = f.read()
    return found


class Operation:
    """A command. `skips`: (group, way) that cannot happen to it. `results`: names of what it writes; `given`: inputs
    copied to where it works, new name -> name; `old`: results that exist before, as rubbish that must not change unless
    it is replaced as a whole. `varying`: results that are whole at several stages, with different bytes (a plan grows
    with what was measured)."""

    skips = frozenset()

    def __init__(self, name, command, results=(), given=None, old=(), resume=False, prints=True, kills=False, varying=()):
        self.varying = varying
        self.name, self.command, self.prints, self.kills = name, command, prints, kills
        self.result_names, self.given, self.old, self.resume = tuple(results), given or {}, old, resume
        self.again = bool(results)

    def prepare(self, inputs, at):
        for new, name in self.given.items():
            path = os.path.join(inputs, name)
            (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, os.path.join(at, new))
        for name in self.old:
            path = os.path.join(at, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(b"what was there before\n")
        os.symlink(inputs, os.path.join(at, "in"))

    def is_result(self, name):
        return any(name == r or name.startswith(r + "/") for r in self.result_names)

    def results(self, before, after):
        return {name: data for name, data in after.items() if self.is_result(name)}

    def may_leave(self, name, way, group):
        """Leftovers: of kills, of removals that failed, of what --resume goes on from."""
        if name in self.varying:
            return True
        unfinished = ".partial" in name or name.startswith(".entrollm-")
        killed = way in ("kill", "after") or way.startswith("loss")
        no_removal = group in ("name", "open", "stat", "memory", "read")
        return unfinished and (killed or self.resume or no_removal)

    def may_miss(self, name, way, left):
        """What --resume goes on from may go when the result is there."""
        if ".partial" in name:
            return all(result in left for result in self.result_names)
        return False

    def may_print(self, out, expected, way, err):
        return out == expected

    def may_lack(self, out, expected, way, err):
        """Whether it may end well without a result."""
        return False

    def arguments(self, again):
        more = ["--force"] if again and self.name.split("-")[0] in ("compress", "decompress", "split") else []
        if again and self.resume and "--resume" not in self.command:
            more.append("--resume")
        return [*self.command, *(m for m in more if m not in self.command)]

    def run(self, program, at, environment, again=False, after=None):
        process = subprocess.Popen([program, *self.arguments(again)], cwd=at, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=TIMEOUT if after is None else after)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            if after is None:
                return None, out, err
        return process.returncode, out, err


class Serve(Operation):
    """A server is started, asked once, and ended. What it prints here is its answer, and how much of the prompt was known."""

    skips = {("write", "+ENOSPC")}  # the pipe that the signal goes through would be full for ever
    PROMPT = TEXT[:40]              # long enough to be kept
    FAILED = re.compile(rb"note: (?!memory: )")  # what a server says that goes on without something
    KEPT = re.compile(r"prompts/[0-9a-f]{32}-\d+-\d+-[0-9a-f]{16}\.ellmkv(\.partial)?$")

    def run(self, program, at, environment, again=False, after=None):
        process = subprocess.Popen([program, *self.command], cwd=at, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        watch = threading.Timer(TIMEOUT if after is None else after, process.kill)
        watch.start()
        # a server that cannot write this line serves all the same, and says so at its end
        ready, _, _ = select.select([process.stdout], [], [], 20)
        line = process.stdout.readline().decode() if ready else ""
        if not ready:
            process.send_signal(signal.SIGTERM)
        found = re.match(r"listening at http://127\.0\.0\.1:(\d+)$", line)
        answer = b""
        if found:
            answer = self.ask(int(found.group(1)))
            process.send_signal(signal.SIGTERM)
        try:
            _, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired: # the word of the first signal was lost on its way
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate()
        watch.cancel()
        status = process.returncode
        if found and status == 0:
            return status, answer, err
        return status, b"", err

    def may_print(self, out, expected, way, err):
        """A server that goes on after a failure says so in its answer; a leap of the clock ends an answer early; what
        was not kept, or could not be restored, is computed."""
        if way.endswith("late"):
            return expected.startswith(out.rpartition(b"|")[0]) or out in (b"error", b"nothing")
        return out in (expected, b"error", b"nothing") or (self.FAILED.search(err) and out == expected.rpartition(b"|")[0] + b"|0")

    def may_lack(self, out, expected, way, err):
        """Prompts are kept if that can be done: else a note says so. No time may be left for it."""
        return out != expected or bool(self.FAILED.search(err)) or way.endswith("late")

    def may_leave(self, name, way, group):
        """Of an answer that was cut its beginning is kept; that it is whole shows when it is restored."""
        return super().may_leave(name, way, group) or bool(self.KEPT.match(name))

    @classmethod
    def ask(cls, port):
        """The text, a bar, how many tokens were known; or an error that the server gave: b"error"; b"nothing" where the
        connection was cut."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            body = json.dumps({"prompt": cls.PROMPT, "max_tokens": 3, "temperature": 0, "ignore_eos": True})
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
            if answer.status == 200:
                found = json.loads(data)
                known = found["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)
                return f"{found['choices'][0]['text']}|{known}".encode()
            return b"error" if "error" in json.loads(data) else b"another answer: " + data
        except (OSError, http.client.HTTPException):
            return b"nothing"
        finally:
            connection.close()


def make_inputs(program, folder):
    """The model as a folder, as .ellm files, as GGUF, a text, a prompt's cache."""
    os.makedirs(folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ENTROLLM_FAULT")}
    environment["ASAN_OPTIONS"] = "detect_leaks=0"

    def command(*words):
        p = subprocess.run([program, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if p.returncode != 0:
            sys.exit(f"{words}: {p.stderr.decode(errors='replace')}")

    tiny.write_folder(os.path.join(folder, "tiny"))
    tiny.write_gguf(os.path.join(folder, "tiny.gguf"))
    with open(os.path.join(folder, "text"), "w", encoding="utf-8") as f:
        f.write(TEXT)
    with open(os.path.join(folder, "prompt"), "w", encoding="utf-8") as f:
        f.write(TEXT[:40])
    command("compress", "--bits", "4", "tiny", "-o", "tiny.ellm", "-q", "-t", "1")
    command("compress", "--lossless", "tiny", "-o", "lossless.ellm", "-q", "-t", "1")
    command("compress", "--target-bpw", "4.5", "tiny", "-o", "measured.ellm", "-q", "-t", "1", "--calibrate", "text",
            "--plan", "plan")
    command("run", "-m", "tiny.ellm", "-f", "prompt", "-n", "1", "-t", "1", "-q", "--prompt-cache", "cache")
    serve = Serve("", ["serve", "-m", "tiny.ellm", "--port", "0", "-t", "1", "--prompt-cache", "prompts"])
    status, answer, err = serve.run(program, folder, environment)
    if status != 0 or len(os.listdir(os.path.join(folder, "prompts"))) != 1:
        sys.exit(f"prompts: status {status}, {answer!r}: {err.decode(errors='replace')}")
    # a compression that was killed half way
    p = subprocess.run([program, "compress", "--bits", "4", "tiny", "-o", "half.ellm", "-q", "-t", "1", "--resume"], cwd=folder,
                       env=dict(environment, ENTROLLM_FAULT="disk:30:kill"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode != -9:
        sys.exit(f"half.ellm: status {p.returncode}: {p.stderr.decode(errors='replace')}")


def operations():
    quiet = ["-q", "-t", "1"]
    to_4 = ["compress", "--bits", "4", "in/tiny", "-o", "out.ellm", *quiet]
    to_size = ["compress", "--target-bpw", "4.5", "in/tiny", "-o", "out.ellm", *quiet]
    ask = ["run", "-m", "in/tiny.ellm", "-f", "in/prompt", "-n", "3", "--temp", "0", "--ignore-eos", *quiet]
    serve = ["serve", "-m", "in/tiny.ellm", "--port", "0", "-t", "1"]
    out = ["out.ellm"]
    half = {"out.ellm.partial": "half.ellm.partial", "out.ellm.journal.partial.partial": "half.ellm.journal.partial.partial"}
    return [
        Operation("compress-bits", to_4, out, kills=True),
        Operation("compress-replace", [*to_4, "--force"], out, old=out, kills=True),
        Operation("compress-size", [*to_4, "--prefer", "size"], out),
        Operation("compress-speed", [*to_4, "--prefer", "speed"], out),
        Operation("compress-lossless", ["compress", "--lossless", "in/tiny", "-o", "out.ellm", *quiet], out),
        Operation("compress-calibrated", [*to_size, "--calibrate", "in/text"], out),
        Operation("compress-self", [*to_size, "--effort", "quick", "--plan", "plan"], [*out, "plan"],
                  varying=["plan"]),
        Operation("compress-plan", [*to_size, "--calibrate", "in/text", "--plan", "in/plan"], out),
        Operation("compress-keep", [*to_4, "--resume"], out, resume=True, kills=True),
        Operation("compress-resume", [*to_4, "--resume"], out, given=half, resume=True, kills=True),
        Operation("compress-gguf", ["compress", "--bits", "4", "in/tiny.gguf", "-o", "out.ellm", *quiet], out),
        Operation("compress-threads", [*to_4[:-1], "3"], out),
        Operation("decompress", ["decompress", "in/lossless.ellm", "-o", "out", *quiet], ["out"], kills=True),
        Operation("decompress-replace", ["decompress", "in/lossless.ellm", "-o", "out", "--force", *quiet], ["out"],
                  old=["out/model.safetensors"], kills=True),
        Operation("verify", ["verify", "in/tiny.ellm", *quiet]),
        Operation("inspect", ["inspect", "in/tiny.ellm"]),
        Operation("inspect-gguf", ["inspect", "in/tiny.gguf", "--json"]),
        Operation("run", ask),
        Operation("run-gguf", [*ask[:2], "in/tiny.gguf", *ask[3:]]),
        Operation("run-load", [*ask, "--load"]),
        Operation("run-threads", [*ask[:-1], "3"]),
        Operation("cache-save", [*ask, "--prompt-cache", "cache"], ["cache"], kills=True),
        Operation("cache-restore", [*ask, "--prompt-cache", "cache"], ["cache"], given={"cache": "cache"}),
        Operation("split", ["split", "in/tiny.ellm", "-n", "2", "-o", "parts", "-q"], ["parts"], kills=True),
        Operation("split-replace", ["split", "in/tiny.ellm", "-n", "2", "-o", "parts", "--force", "-q"], ["parts"],
                  old=["parts/part-2-of-2.ellm"], kills=True),
        Serve("serve", serve),
        Serve("serve-save", [*serve, "--prompt-cache", "prompts"], ["prompts"], kills=True),
        Serve("serve-restore", [*serve, "--prompt-cache", "prompts"], ["prompts"], given={"prompts": "prompts"}),
    ]
