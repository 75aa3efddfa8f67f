#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page in Chromium, as `entrollm serve` itself serves it with the embedded model."""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "serve"))
import browser

why_not = browser.missing()  # before there is anything to be cleaned up, as it may go on in another Python
from serve_testing import BUILD, MODEL, Server, done, equal, ok, read, run, skip, tmp

file = tmp("stories.ellm")
made = run("compress", MODEL, "--bits", "8", "-o", file, "-q")
equal(made.returncode, 0, "a file")
server = Server(model=file)
status, headers, data = server.request("GET", "/")
equal((status, data), (200, read(os.path.join(BUILD, "page", "page.html"))), "the program has the page")
equal(headers["Content-Security-Policy"], read(os.path.join(BUILD, "page", "policy")).decode(), "and sends its policy")
equal(headers["Content-Type"], "text/html; charset=utf-8", "as what it is")
if why_not:
    server.stop()
    skip("the page in a browser", why_not)
    done()

page = browser.Page(tmp("profile"))
try:
    page.open(f"http://127.0.0.1:{server.port}/")
    ok(page.wait("props !== null"), "opens")
    seen = page.value("document.body.innerText")
    size = os.path.getsize(file) / 2**20
    equal([w for w in ("stories", f"{size:.2f} MiB", "Bits a weight", "Context 0 of 512") if w not in seen], [], "what is served")

    page.js("settings.sampling = {seed: 5, max_tokens: 40}; grown = new Set();"
            "new MutationObserver(() => grown.add(byId('messages').innerText.length))"
            ".observe(byId('messages'), {childList: true, subtree: true, characterData: true})")  # fmt: skip
    page.ask("Tell me a story about a fox.")
    content = page.value("current.messages[1].content")
    messages = [{"role": "user", "content": "Tell me a story about a fox."}]
    _, whole = server.post("/v1/chat/completions", {"messages": messages, "seed": 5, "max_tokens": 40})
    equal(content, whole["choices"][0]["message"]["content"], "the answer is that of a whole request with its seed")
    ok(page.value("grown.size") > 2, "it comes piece by piece", page.value("grown.size"))
    stats = page.value("byId('messages').querySelector('.assistant .stats').textContent")
    ok("tokens/s" in stats and stats.endswith("seed 5"), "with its speed and seed", stats)
    used = whole["usage"]["total_tokens"]
    equal(page.value("byId('context-text').textContent"), f"Context {used} of 512", "context used")

    page.js("settings.sampling = {seed: 6}")
    page.click_text("Regenerate", "#messages")
    page.answered()
    ok(page.value("current.messages[1].content") not in ("", content), "regenerated with another seed")

    page.js("stopper = new MutationObserver(() => { const m = [...document.querySelectorAll('.md')].pop();"
            " if (!m.querySelector('.waiting') && m.innerText.length > 3 && streams.size)"
            " document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true})) });"
            "stopper.observe(byId('messages'), {childList: true, subtree: true, characterData: true})")  # fmt: skip
    page.ask("And another, a long one.")
    page.js("stopper.disconnect()")
    ok(page.wait("!streams.size") and page.note() == "Stopped.", "stopped", (page.last(), page.note()))
    end = time.monotonic() + 5
    while server.metric("answers_running") > 0 and time.monotonic() < end:
        time.sleep(0.05)
    equal(server.metric("answers_running"), 0, "the server goes no further")

    page.click_text("Edit", "#messages > li:nth-child(3)")
    page.keys(" And kind.", "ENTER")
    page.answered()
    equal((page.messages()[2][1], len(page.messages())), ("And another, a long one. And kind.", 4), "edited")
    before = page.messages()
    page.driver.refresh()
    page.wait("props !== null && byId('messages').children.length === 4")
    equal(page.messages(), before, "all of it survives a reload")

    page.js("openNew()")
    page.js("byId('message').value = 'many words '.repeat(400)")
    page.ask(" ")
    ok("no longer fits" in page.notice(), "more than the context", page.notice())
    page.js("openNew(); byId('system').value = 'x'; byId('system').dispatchEvent(new Event('input'))")
    page.js("settings.sampling = {temperature: 0, top_k: 1, min_p: 0.1, repeat_penalty: 1.1, top_p: 0.5, max_tokens: 3}")
    page.ask("Every setting")
    equal((page.notice(), page.note()), ("", "The answer ends here: it has reached the most tokens allowed."), "all settings")

    server.stop()
    page.ask("Anybody there?")
    ok(page.wait("byId('notice').innerText.includes('does not answer')"), "the server is gone", page.notice())

    with open(tmp("keys"), "w", encoding="ascii") as f:
        f.write("secret\n")
    server = Server("--api-key-file", tmp("keys"))
    page.open(f"http://127.0.0.1:{server.port}/")
    page.wait("byId('asked-key') && document.activeElement.id === 'asked-key'")
    page.keys("secret", "ENTER")
    ok(page.wait("props !== null && !byId('notice').innerText"), "a key")
    page.js("settings.sampling = {max_tokens: 4}")
    page.ask("Hello")
    equal((len(page.messages()), page.notice()), (2, ""), "is sent along")
    equal(page.problems(), [], "the console is silent")
finally:
    page.close()
    server.stop()
done()
