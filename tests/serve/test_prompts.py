#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prompt caches on disk: known after a restart, with the same answers; damaged and foreign files; a bound."""

import stat

from serve_testing import *

folder = tmp("prompts")
STORY = "Once upon a time there was a little girl called Lily. She had a red ball and a small dog, and every day " * 2
ASKED = dict(prompt=STORY, max_tokens=30, seed=7)


def files():
    return sorted(f for f in os.listdir(folder) if f.endswith(".ellmkv"))


def path(name):
    return os.path.join(folder, name)


def kept(answer):
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


def text(answer):
    return [c["text"] for c in answer["choices"]]


def wait_for(what, seconds=10):
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    return what()


def serve(*arguments):
    return Server("--ctx", "256", "--parallel", "2", "--prompt-cache", folder, *arguments)


plain = Server("--ctx", "256", "--parallel", "2")
want = plain.complete(**ASKED)[1]
chat = plain.chat(STORY, max_tokens=20, seed=3)[1]["choices"][0]["message"]["content"]
equal(plain.stop()[0], 0, "a server without prompt caches")

# ---------------------------------------------------------------- over a restart
server = serve()
ok(server.port and stat.S_IMODE(os.stat(folder).st_mode) == 0o700, "the folder is made, for its owner alone",
   server.line)
first = server.complete(**ASKED)[1]
equal((text(first), kept(first)), (text(want), 0), "an answer with prompt caches is the one without")
ok(wait_for(files), "a file is written once nothing is asked for a while")
name = (files() or ["none"])[0]
ok(re.fullmatch(r"[0-9a-f]{32}-\d+-\d+-[0-9a-f]{16}\.ellmkv", name), "its name begins with the model's identity", name)
server.process.kill()
server.process.wait()
server = serve()
again = server.complete(**ASKED)[1]
equal((text(again), kept(again)), (text(want), want["usage"]["prompt_tokens"] - 1),
      "after a kill and a restart its prompt is known, and the answer the same")
longer = dict(ASKED, prompt=STORY + text(want)[0] + " Then")
server.complete(**dict(longer, max_tokens=5))
equal(server.stop()[0], 0, "an end that writes")
after = files()
ok(len(after) == 1 and after[0] != name, "a longer sequence takes the place of its beginning", after)
server = serve()
got = server.complete(**longer)[1]
ok(kept(got) >= got["usage"]["prompt_tokens"] - 1 > first["usage"]["prompt_tokens"] + 25,
   "known as far as it was computed", got)
ok(kept(server.complete(**ASKED)[1]) >= first["usage"]["prompt_tokens"] - 1, "and its beginning")
equal(server.chat(STORY, max_tokens=20, seed=3)[1]["choices"][0]["message"]["content"], chat, "a chat is the same, too")
server.stop()

# ---------------------------------------------------------------- damaged and foreign files
names = files()
with open(path(names[0]), "r+b") as f:
    f.seek(os.path.getsize(path(names[0])) // 2)
    byte = f.read(1)
    f.seek(-1, os.SEEK_CUR)
    f.write(bytes([byte[0] ^ 1]))
prefix = name[:name.rindex("-") + 1]
foreign = prefix + "f" * 16 + ".ellmkv"
run("compress", "--bits", "8", MODEL, "-o", tmp("other.ellm"), "-q")
run("run", "-m", tmp("other.ellm"), "-p", STORY, "-n", "1", "-q", "--prompt-cache", path(foreign))
ok(os.path.exists(path(foreign)), "a prompt cache of another model")
others = {prefix + "a" * 16 + ".ellmkv": b"no prompt cache", prefix + "b" * 16 + ".ellmkv": b"",
          prefix + "c" * 16 + ".ellmkv": open(path(names[-1]), "rb").read()[:5000]}
for other, data in others.items():
    with open(path(other), "wb") as f:
        f.write(data)
os.symlink("/etc/passwd", path(prefix + "d" * 16 + ".ellmkv"))
os.mkdir(path(prefix + "e" * 16 + ".ellmkv"))
server = serve()
ok(server.port, "it starts with damaged and foreign files", server.line)
equal(text(server.complete(**ASKED)[1]), text(want), "and answers the same")
server.stop()
notes = server.notes.decode()
for bad in (names[0], foreign, *others):
    ok(f"{bad}: " in notes and "it is not used" in notes, f"{bad[-14:]} is refused by name", notes)
ok("/etc/passwd" not in notes and os.path.islink(path(prefix + "d" * 16 + ".ellmkv")), "links are not followed", notes)

# ---------------------------------------------------------------- a bound
shutil.rmtree(folder)
server = serve()
for i in range(4):
    server.complete(f"{i} {STORY}", max_tokens=1, seed=1)
server.stop()
sizes = [os.path.getsize(path(f)) for f in files()]
equal(len(sizes), 4, "four prompts, four files")
server = serve("--prompt-cache-size", str(sum(sizes) * 7 // 8))
server.complete(f"0 {STORY}", max_tokens=1, seed=1)  # used again: the newest
server.complete(f"4 {STORY}", max_tokens=1, seed=1)
server.stop()
ok(sum(os.path.getsize(path(f)) for f in files()) <= sum(sizes) * 7 // 8 and len(files()) == 3, "a bound is kept",
   files())
server = serve()
equal([kept(server.complete(f"{i} {STORY}", max_tokens=1, seed=1)[1]) > 30 for i in (4, 0, 1)], [True, True, False],
      "those that were used last are there")
server.stop()
shutil.rmtree(folder)
server = serve("--prompt-cache-size", "4000")
equal(text(server.complete(**ASKED)[1]), text(want), "where there is no room for one")
server.stop()
equal(files(), [], "none is kept")

# ---------------------------------------------------------------- a folder that goes
server = serve()
shutil.rmtree(folder)
equal(text(server.complete(**ASKED)[1]), text(want), "the folder is removed while it serves")
equal(server.stop()[0], 0, "a clean end")
ok("prompts are not kept any more" in server.notes.decode(), "which is said", server.notes)

# ---------------------------------------------------------------- what cannot be
for arguments, status, word in ((("--prompt-cache", os.path.join(MODEL, "config.json")), IO, "config.json"),
                                (("--prompt-cache", tmp("no/such")), IO, "no/such"),
                                (("--prompt-cache", ""), USAGE, "--prompt-cache"),
                                (("--prompt-cache", folder, "--prompt-cache-size", "many"), USAGE,
                                 "--prompt-cache-size")):
    p = run("serve", "-m", MODEL, "--port", "0", *arguments)
    ok(p.returncode == status and word in p.stderr.decode(), f"{arguments[-1][-12:]!r} is refused", p.stderr)
done()
