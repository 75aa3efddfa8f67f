#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page of `entrollm serve`: what it consists of, and in Chromium how it behaves, against a server of this test that
can fail. PAGE_SCREENSHOTS=FOLDER keeps pictures of it."""

import base64
import hashlib
import html.parser
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import browser

why_not = browser.missing()  # before there is anything to be cleaned up, as it may go on in another Python
from cli_testing import BUILD, done, equal, ok, read, skip, tmp
from fake_server import TEXT, FakeServer

PAGE = os.path.join(BUILD, "page", "page.html")
SCREENSHOTS = os.environ.get("PAGE_SCREENSHOTS")


# ------------------------------------------------------------------ the file
class Parts(html.parser.HTMLParser):
    VOID = {"meta", "link", "input", "br", "use", "path", "circle", "rect"}

    def __init__(self):
        super().__init__()
        self.open, self.problems, self.ids = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attributes:
            if key == "id":
                self.ids.append(value)
            local = value is not None and (value.startswith("#") or value.startswith("data:image/svg+xml,"))
            if key.startswith("on") or key == "style" or (key in ("src", "href", "action", "srcset") and not local):
                self.problems.append(f"<{tag} {key}={value}>")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")


text = read(PAGE).decode("utf-8")
parts = Parts()
parts.feed(text)
parts.close()
equal((parts.problems, parts.open), ([], []), "well-formed, loads nothing, no inline styles or handlers")
equal(len(parts.ids), len(set(parts.ids)), "ids are unique")
script = re.search(r"<script>(.*)</script>", text, re.S)[1]
style = re.search(r"<style>(.*)</style>", text, re.S)[1]
policy = read(os.path.join(BUILD, "page", "policy")).decode()
for name, part in (("script", script), ("style", style)):
    sha = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
    ok(f"{name}-src 'sha256-{sha}';" in policy, f"the policy has the hash of the {name}", policy)
forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|javascript:"
forbidden += "|createContextualFragment"
equal(re.findall(forbidden, script), [], "no text becomes markup or a program")
equal(re.findall(r"url\(|@import|https?://(?!\[|www\.w3\.org/2000/svg)[\w]", style + script), [],
      "nothing is fetched elsewhere")
equal(sorted(set(re.findall(r'byId\("([\w-]+)"\)', script)) - set(parts.ids)), [], "what the script looks for is there")
embedded = read(os.path.join(BUILD, "page", "page.c")).decode()
data = bytes(int(x, 16) for x in re.findall(r"0x(..)", embedded))
equal(data, text.encode(), "what is embedded is the page")
ok(len(data) < 120_000, "the page is small", len(data))


# ------------------------------------------------------------ contrast
def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    a, b = sorted((luminance(a), luminance(b)))
    return (b + 0.05) / (a + 0.05)


for theme, block in zip(("light", "dark"), re.findall(r":root[^{]*\{(.*?)\}", style, re.S)):
    colour = dict(re.findall(r"--([\w-]+): (#\w{6});", block))
    pairs = [(ink, on, 4.5) for ink in ("ink", "soft") for on in ("ground", "raised", "sunken", "tint")]
    pairs += [("accent", on, 4.5) for on in ("ground", "raised")] + [("on-accent", "accent", 4.5),
                                                                     ("danger", "ground", 4.5)]
    pairs += [("edge", on, 3) for on in ("ground", "raised")] + [("accent", on, 3) for on in ("sunken", "tint")]
    low = [(a, b, round(contrast(colour[a], colour[b]), 2)) for a, b, least in pairs
           if contrast(colour[a], colour[b]) < least]
    equal(low, [], f"contrast of the {theme} colours")

if why_not:
    skip("the page in a browser", why_not)
    done()

# ------------------------------------------------------------------- browser
fake = FakeServer(PAGE)
page = browser.Page(tmp("profile"))
NO_SIDEWAYS = "document.documentElement.scrollWidth <= innerWidth && byId('log').scrollWidth <= byId('log').clientWidth"


def shoot(name):
    if not SCREENSHOTS:
        return
    os.makedirs(SCREENSHOTS, exist_ok=True)
    for width, height in ((390, 844), (1280, 860)):
        page.size(width, height)
        for theme in ("light", "dark"):
            page.js("chooseTheme(arguments[0])", theme)
            time.sleep(0.25)
            page.driver.save_screenshot(os.path.join(SCREENSHOTS, f"{name}-{width}-{theme}.png"))
    page.js("chooseTheme('')")
    page.size(1280)


def fresh():
    """A new conversation at a server without faults."""
    fake.faults, fake.key, fake.answer, fake.thought = [], None, TEXT, ""
    fake.delay, fake.pieces, fake.finish = 0.004, 0, "stop"
    page.js("session.set('key', ''); settings.sampling = {}; settings.system = ''; failures.clear(); openNew()")
    fake.requests.clear()


def test_opens():
    page.prefer("light")
    page.size(1280)
    page.open(fake.url)
    ok(page.wait("props !== null"), "opens")
    seen = page.value("document.body.innerText")
    facts = ("SmolLM2-135M-Instruct", "71.9 MiB", "4.25", "0.021", "93.1 %", "Close to the original",
             "Context 0 of 4,096")
    equal([f for f in facts if f not in seen], [], "says what the file is")
    equal(page.focused(), "message", "the focus is in the message")
    ok("EntroLLM" in page.driver.title and "SmolLM2" in page.driver.title, "has a title")
    page.js("shifts = 0; new PerformanceObserver(l => l.getEntries().forEach("
            "e => shifts += e.hadRecentInput ? 0 : e.value))"
            ".observe({type: 'layout-shift', buffered: true})")  # fmt: skip
    shoot("empty")


def test_streams():
    fresh()
    fake.delay = 0.04
    page.js("grown = new Set(); new MutationObserver(() => grown.add(byId('messages').innerText.length))"
            ".observe(byId('messages'), {childList: true, subtree: true, characterData: true})")  # fmt: skip
    page.ask("Tell me a story", wait=False)
    page.answered()
    ok(page.value("grown.size") > 3, "the answer grows while it is written", page.value("[...grown]"))
    equal(page.messages(), [("user", "Tell me a story"), ("assistant", TEXT.replace("*", ""))], "the answer is there")
    equal(page.value("byId('messages').querySelector('.md strong').textContent"), "early", "emphasis is shown")
    body = fake.requests[0]
    equal(body, {"messages": [{"role": "user", "content": "Tell me a story"}], "stream": True,
                 "stream_options": {"include_usage": True}}, "what was sent: nothing that nobody set")  # fmt: skip
    stats = page.value("byId('messages').querySelector('.assistant .stats').textContent")
    equal(stats, "23 tokens · 41.3 tokens/s · prompt 7 tokens", "speed and length")
    equal(page.value("byId('context-text').textContent"), "Context 30 of 4,096", "context used")
    ok("small fox" in (page.wait("byId('status').textContent.includes('small fox') && byId('status').textContent")
                       or ""),
       "the answer is announced when it is complete")  # fmt: skip
    ok(page.value("shifts") < 0.02, "nothing jumps while the page opens and an answer comes", page.value("shifts"))
    fake.pieces, fake.delay, fake.answer = 1, 0, "Füchse, лисы, 狐狸, 🦊 – alle."
    page.ask("Again, byte by byte")
    equal(page.last(), fake.answer, "characters that come in pieces")
    page.js("byId('message').focus()")
    page.keys("one", "SHIFT+ENTER", "two", "ENTER")
    page.answered()
    equal(fake.requests[-1]["messages"][-1]["content"], "one\ntwo", "Shift+Enter begins a line")
    roles = [m["role"] for m in fake.requests[-1]["messages"]]
    equal(roles, ["user", "assistant", "user", "assistant", "user"], "the conversation is sent along")


def test_stops():
    for how in ("Escape", "the button"):
        fresh()
        fake.delay = 0.1
        cancelled = fake.cancelled
        page.ask("Tell me a story", wait=False)
        page.wait("(byId('messages').querySelector('.md')?.innerText || '').includes('Once')")
        equal(page.value("byId('send').getAttribute('aria-label')"), "Stop", "the button stops")
        page.js("byId('message').focus()")
        page.keys("ESCAPE") if how == "Escape" else page.click("#send")
        ok(page.wait("streams.size === 0 && byId('send').getAttribute('aria-label') === 'Send'"), f"stops by {how}")
        page.wait("!byId('messages').querySelector('.assistant .note').hidden")
        text = page.last()
        ok(text.startswith("Once") and len(text) < len(TEXT) - 5 and page.note() == "Stopped.", "what had come stays",
           (text, page.note()))
        end = time.monotonic() + 3
        while fake.cancelled == cancelled and time.monotonic() < end:
            time.sleep(0.02)
        equal(fake.cancelled, cancelled + 1, "the server sees it")


def test_regenerates_and_edits():
    fresh()
    page.ask("First")
    page.ask("Second")
    fake.answer = "Another answer."
    page.click_text("Regenerate", "#messages")
    page.answered()
    equal([m[0] for m in page.messages()], ["user", "assistant"] * 2, "regenerating replaces the last answer")
    equal((page.last(), fake.requests[-1]["messages"]), ("Another answer.", fake.requests[-2]["messages"]),
          "by a new one")
    page.click_text("Edit", "#messages > li:nth-child(3)")
    equal(page.focused(), "Edit your message", "editing takes the focus")
    page.keys(" thing", "ESCAPE")
    equal((page.messages()[2][1], len(fake.requests)), ("Second", 3), "Escape leaves it as it was")
    page.click_text("Edit", "#messages > li:nth-child(1)")
    page.keys(", changed", "ENTER")
    page.answered()
    equal(page.messages(), [("user", "First, changed"), ("assistant", "Another answer.")],
          "an edited message is answered anew")
    equal(fake.requests[-1]["messages"], [{"role": "user", "content": "First, changed"}], "and what followed is gone")
    page.click_text("Edit", "#messages > li:nth-child(2)")
    page.keys(" Mine.")
    page.click_text("Save", "#messages")
    equal((page.last(), len(fake.requests)), ("Another answer. Mine.", 4), "an answer can be edited without asking")
    page.ask("Go on")
    equal(fake.requests[-1]["messages"][1]["content"], "Another answer. Mine.", "and is sent as it is then")


def test_settings():
    fresh()
    page.click("#open-settings")
    equal(page.value("byId('set-temperature').placeholder"), "0.7", "the model's own values are shown")
    for name, value in (("temperature", "0.25"), ("top_k", "12"), ("seed", "7"), ("max_tokens", "50"), ("top_p", "3")):
        page.click("#set-" + name)
        page.keys(value)
    page.click("#system")
    page.keys("Be brief.")
    shoot("settings")
    page.keys("ESCAPE")
    ok(page.wait("!byId('settings').open"), "Escape closes the settings")
    page.ask("Hello")
    body = fake.requests[-1]
    got = {k: body.get(k) for k in ("temperature", "top_k", "seed", "max_tokens", "top_p", "min_p")}
    equal(got, {"temperature": 0.25, "top_k": 12, "seed": 7, "max_tokens": 50, "top_p": None, "min_p": None},
          "what was set is sent, but nothing out of its range")  # fmt: skip
    equal(body["messages"][0], {"role": "system", "content": "Be brief."}, "the system prompt is sent")
    ok("Be brief." in page.value("byId('system-shown').innerText"), "and shown")
    page.driver.refresh()
    page.wait("props !== null")
    equal(page.value("byId('set-temperature').value"), "0.25", "settings survive a reload")
    page.click("#open-settings")
    page.click("#reset")
    page.keys("ESCAPE")
    page.click("#open-about")
    about = page.value("byId('about').innerText")
    want = ("75,431,936 bytes", "divergence 0.021 nats per token; the same first token in 93.1 % of cases",
            "4,096 tokens", "1.0.0")
    equal([w for w in want if w not in about], [], "what the file is, in full")
    shoot("about")
    page.keys("ESCAPE")
    ok(page.wait("!byId('about').open"), "Escape closes that too")


def test_reload():
    fresh()
    page.ask("Remember this")
    before = page.messages()
    page.driver.refresh()
    page.wait("props !== null && byId('messages').children.length === 2")
    equal(page.messages(), before, "the conversation survives a reload")
    fake.delay = 0.1
    page.ask("And this", wait=False)
    page.wait("[...document.querySelectorAll('.md')].pop().innerText.includes('Once upon')")
    page.driver.refresh()
    page.wait("props !== null && byId('messages').children.length === 4")
    ok(page.last().startswith("Once upon") and "reloaded" in page.note(), "so does half an answer",
       (page.last(), page.note()))
    fake.delay = 0.004
    page.js("localStorage.setItem('entrollm.conversation.bad', '{not'); localStorage.setItem('entrollm.settings', '[1')"
            ";localStorage.setItem('entrollm.conversation.odd', "
            "'{\"id\":\"odd\",\"messages\":[null,{\"role\":\"x\"}]}')")  # fmt: skip
    page.driver.refresh()
    ok(page.wait("props !== null && byId('messages').children.length === 4"), "what is kept may be damaged")
    page.js("['bad', 'odd'].forEach(n => localStorage.removeItem('entrollm.conversation.' + n))")


def test_history():
    page.js("store.conversations().forEach(c => store.delete(c))")
    fresh()
    fake.delay = 0.03
    page.ask("A long one", wait=False)
    page.wait("byId('messages').querySelector('.md')?.innerText.includes('Once')")
    page.click("#new")
    fake.delay, fake.answer = 0.0, "Short."
    page.ask("A short one", wait=False)
    page.wait("streams.size === 1")
    equal(page.messages()[1:], [("assistant", "Short.")], "two conversations at a time")
    page.answered()
    names = page.value("[...byId('list').querySelectorAll('.open')].map(b => b.textContent)")
    equal(sorted(names), ["A long one", "A short one"], "both are listed")
    page.click_text("A long one", "#list")
    equal(page.last(), TEXT.replace("*", ""), "the first went on meanwhile")
    page.click("#list .current [data-kind=rename]")
    page.keys("A fox", "ENTER")
    equal(page.value("byId('list').querySelector('.current .open').textContent"), "A fox", "renamed")
    page.click("#list .current [data-kind=delete], #list .current [data-kind=remove]")
    equal(page.value("[...byId('list').querySelectorAll('.open')].map(b => b.textContent)"), ["A short one"], "deleted")
    equal(page.messages(), [], "a new conversation instead")
    page.click("#undo")
    equal(sorted(page.value("[...byId('list').querySelectorAll('.open')].map(b => b.textContent)")),
          ["A fox", "A short one"],
          "and brought back")  # fmt: skip
    page.driver.refresh()
    page.wait("props !== null")
    equal(page.last(), TEXT.replace("*", ""), "for good")
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open(fake.url)
    page.wait("props !== null")
    page.js("removeConversations(store.conversations().filter(c => c.title === 'A short one'))")
    page.driver.close()
    page.driver.switch_to.window(first)
    page.wait("byId('list').children.length === 1")
    equal(page.value("[...byId('list').querySelectorAll('.open')].map(b => b.textContent)"), ["A fox"],
          "what another tab deletes is gone here too")  # fmt: skip


def test_colours():
    fresh()
    ground = "getComputedStyle(document.body).backgroundColor"
    equal(page.value(ground), "rgb(251, 250, 248)", "light where the system is light")
    page.prefer("dark")
    ok(page.wait(ground + " === 'rgb(24, 23, 21)'"), "dark where the system is dark")
    page.click("#theme")
    equal(page.value(ground), "rgb(251, 250, 248)", "the switch makes it light")
    page.driver.refresh()
    page.wait("props !== null")
    equal(page.value(ground), "rgb(251, 250, 248)", "and it stays so")
    page.prefer("light")
    page.js("chooseTheme('')")


def test_failures():
    page.js("store.conversations().forEach(c => store.delete(c))")
    fresh()
    cases = [
        ((429, "rate_limit", "the queue is full"),
         "The server is busy: all its places are taken. It asks to wait 7 seconds."),
        ((400, "context_length_exceeded", "5000 tokens are more than the context of 4096"),
         "no longer fits the model’s context"),
        ((400, "invalid", "temperature: -1 is below 0"), "The server says: temperature: -1 is below 0."),
        ((500, "internal", "model.ellm: block 3 is damaged"), "The server says: model.ellm: block 3 is damaged."),
        ((503, "stopping", "the server stops"), "The server takes no requests at the moment. the server stops."),
        ("cut", "The connection broke before the answer was complete."),
        ("error", "The server ended the answer: the file was damaged"),
        ("garbage", "something that cannot be read"),
    ]
    for fault, words in cases:
        page.js("openNew()")
        fake.faults = [fault]
        page.ask("Hello")
        page.wait("byId('notice').innerText")
        kept = [m[0] for m in page.messages()]
        want = ["user"] if isinstance(fault, tuple) else ["user", "assistant"]
        ok(words in page.notice() and kept == want, f"in words: {words[:48]}", (page.notice(), kept))
        if fault[0] == 429:
            shoot("busy")
    page.click_text("Try again", "#notice")
    page.answered()
    equal((page.last(), page.notice()), (TEXT.replace("*", ""), ""), "trying again")
    page.js("openNew()")
    fake.faults = [(500, "internal", "x")]
    page.ask("One")
    page.ask("Two")
    equal([m["content"] for m in fake.requests[-1]["messages"]], ["One\n\nTwo"],
          "two questions in a row are sent as one")
    fake.finish = "length"
    page.ask("Three")
    ok("most tokens" in page.note(), "an answer that is cut at its length says so", page.note())
    fake.finish, fake.used = "length", 4096
    page.ask("Four")
    full = page.value("byId('context').classList.contains('full')")
    ok("context is full" in page.note() and full, "and where the context is full", page.note())
    fake.finish, fake.used = "shutdown", None
    page.ask("Five")
    ok("about to end" in page.note(), "and where the server ends", page.note())


def test_key():
    fresh()
    fake.key = "secret"
    page.driver.refresh()
    ok(page.wait("byId('notice').innerText.includes('asks for a key')"), "asks for a key")
    ok(page.value("byId('welcome').hidden"), "and says nothing of a model that it does not know")
    ok(page.wait("document.activeElement.id === 'asked-key'"), "where it can be written at once")
    page.keys("wrong", "ENTER")
    ok(page.wait("byId('notice').innerText.includes('does not accept this key')"), "a wrong key")
    page.wait("document.activeElement.id === 'asked-key'")
    shoot("key")
    page.js("byId('asked-key').focus()")
    page.keys("secret", "ENTER")
    ok(page.wait("props !== null && !byId('notice').innerText"), "the right key")
    page.ask("Hello")
    equal(page.last(), TEXT.replace("*", ""), "is sent along")
    fake.key = "changed"
    page.ask("Still there?")
    ok(page.wait("byId('asked-key') && document.activeElement.id === 'asked-key'"), "a key that is no longer good")
    page.keys("changed", "ENTER")
    page.wait("byId('messages').children.length === 4")
    page.answered()
    equal((page.last(), page.notice()), (TEXT.replace("*", ""), ""), "goes on where it was")
    ok(not page.value("Object.values(localStorage).some(v => v.includes('changed') && !v.includes('messages'))"),
       "the key is not kept beyond the tab")  # fmt: skip


def test_gone():
    fresh()
    fake.stop()
    page.ask("Anybody there?")
    ok(page.wait("byId('notice').innerText.includes('does not answer. Is it still running?')"), "the server is gone",
       page.notice())
    page.wait("byId('latest').hidden")
    fake.start()
    ok(page.wait("byId('notice').innerText.includes('The server answers again.')", 8), "and there again", page.notice())
    page.click_text("Try again", "#notice")
    page.wait("streams.size === 1 || byId('messages').children.length === 2")
    page.answered()
    equal(page.last(), TEXT.replace("*", ""), "the question was not lost")


MARKDOWN = """Here is a **plan** with `inline <b>code</b>` and a [link](https://example.org/a_b_c).

## Steps

1. Read the *file*.
2. Decode it:
   - the header,
   - the blocks.
3. Compare.

```python
def decode(block):
    # a long line that goes beyond the width of a telephone, and is to be scrolled within its block
    yield block
```

| Variant | Bits | What is said about it here |
|:--|--:|--|
| small | 3.5 | a|
| standard | 4.25 | b `x|y` |

> Quoted.

---
snake_case_name, 2 * 3 * 4, ~~gone~~, ***both***, \\*plain\\*
"""
# Texts of random pieces. One that grows is shown as if it had come at once; nothing but known elements and attributes.
RANDOM = """let seed = 1;
const next = (n) => (seed = (seed * 16807) % 2147483647) % n, problems = [];
const pieces = ["*", "**", "_", "~~", "`", "```", "\\n", "\\n\\n", "- ", "1. ", "> ", "# ", "|", "|-|-|\\n", "  ",
  "    ", "[", "](", ")", "http://a.b/", "javascript:x", "[a](javascript:x)", "[a](http://b/)", "<img src=x onerror=y>",
  "<br>", "\\\\", "!", "a", "word ", "\u00e4", "\u72d0", "&lt;", "---\\n", "~~~"];
const known = new RegExp("^(p|h[3-6]|ul|ol|li|blockquote|hr|pre|code|div|span|button|table|thead|tbody|tr|th|td" +
                         "|em|strong|del|a|br)$");
const attributes = /^(class|start|href|title|rel|target|type|tabindex|role|aria-label)$/;
for (let i = 0; i < 250 && !problems.length; i++) {
  let text = "";
  const grown = document.createElement("div"), whole = document.createElement("div");
  for (let n = next(40) + 1; n > 0; n--) {
    text += pieces[next(pieces.length)];
    showMarkdown(grown, text);
  }
  showMarkdown(whole, text);
  if (grown.innerHTML !== whole.innerHTML) problems.push(["grown", text]);
  for (const e of whole.querySelectorAll("*")) {
    const odd = [...e.attributes].filter((a) => !attributes.test(a.name));
    if (!known.test(e.localName) || odd.length || (e.href && !/^(https?|mailto):/.test(e.href)))
      problems.push([e.outerHTML, text]);
  }
}
return problems"""
HOSTILE = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>

[a](javascript:document.title='owned') [b](data:text/html,x) [c](vbscript:x) ![i](https://example.org/i.png)
[**d**](https://example.org/"onmouseover="x) <a href="javascript:1">e</a> &lt;b&gt;

```html"><img src=x>
</code></pre><img src=x>
```
| <img src=x> | b |
|--|--|
| <svg onload=x> | </td> |
"""


def test_markdown():
    fresh()
    fake.delay, fake.answer = 0, MARKDOWN
    page.ask("Show me")
    page.js("md = [...document.querySelectorAll('.md')].pop()")
    count = lambda selector: page.value("md.querySelectorAll(arguments[0]).length", selector)
    shapes = {"h4": 1, "ol > li": 3, "ul > li": 2, "pre code": 1, "table tr": 3, "td.right": 2, "blockquote": 1,
              "hr": 1, "del": 1, "strong em": 1, "a[href]": 1, "p > code": 1, "b": 0}  # fmt: skip
    equal({s: count(s) for s in shapes}, shapes, "Markdown becomes elements")
    seen = page.last()
    words = ("inline <b>code</b>", "snake_case_name, 2 * 3 * 4, gone, both, *plain*", "x|y")
    equal([w for w in words if w not in seen], [], "and the rest stays text")
    link = page.value("(a => [a.href, a.rel, a.target])(md.querySelector('a'))")
    equal(link, ["https://example.org/a_b_c", "noopener noreferrer nofollow", "_blank"], "links")
    page.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    page.click_text("Copy", ".md")
    page.wait("md.querySelector('.codebar button').textContent === 'Copied'")
    page.js("copied = null; navigator.clipboard.readText().then(t => copied = t, e => copied = String(e))")
    ok("yield block" in str(page.wait("copied")), "code can be copied", page.value("copied"))
    shoot("answer")
    for width in (320, 390, 1280):  # 320: 1280 at four times the size
        page.size(width, 844)
        ok(page.value(NO_SIDEWAYS), f"nothing reaches beyond {width} pixels")
    fake.answer = HOSTILE
    page.ask("Attack me")
    page.js("md = [...document.querySelectorAll('.md')].pop()")
    equal(count("img, script, svg, iframe, [onerror], [onload], [onmouseover], [style]"), 0,
          "no markup comes from a model")
    links = page.value("[...md.querySelectorAll('a')].map(a => a.protocol)")
    ok(set(links) == {"https:"} and "owned" not in page.driver.title, "no link leads to a program", links)
    ok("<img src=x onerror=" in page.last(), "it is shown as it was written")
    equal(page.js(RANDOM), [], "texts of random pieces")
    page.js("slow = (text) => { const t = performance.now(); showMarkdown(document.createElement('div'), text);"
            " return performance.now() - t }")  # fmt: skip
    slowest = (0, "")
    for piece in ("*a ", "**a*", "_a", "[", "![a](", "[a](b", "`", "``a`", "~~a", "> ", "- ", "| a ", "<br", "http://",
                  "\\", "***a", "1. ", "#", "  - a\n", "> > a\n", "|-|-|\n", "```\n", "a\n---|\n", "*_", "``` `",
                  "[a](b \"", "[a](b(", "|-"):  # fmt: skip
        took = page.value("slow(arguments[0].repeat(arguments[1]))", piece, 30_000 // len(piece))
        slowest = max(slowest, (took, piece))
    ok(slowest[0] < 3000, "no text takes long to be shown", slowest)  # squares of lengths would take far longer


def test_thoughts():
    fresh()
    fake.thought, fake.answer = "First I think.", "Then I speak."
    page.ask("Think")
    equal(page.value("document.querySelector('.thought div').textContent"), "First I think.", "thoughts stand apart")
    fake.thought, fake.answer = "", "<think>\nAnother thought\n</think>\n\nSpoken."
    page.ask("Think in the text")
    equal((page.last(), page.value("document.querySelectorAll('.thought div')[1].textContent")),
          ("Spoken.", "Another thought"),
          "in the text too")  # fmt: skip
    page.ask("What did you say?")
    sent = [m["content"] for m in fake.requests[-1]["messages"] if m["role"] == "assistant"]
    equal(sent, ["Then I speak.", "Spoken."], "and are not sent back")


NAMELESS = """[...document.querySelectorAll('button, input, textarea, a, dialog, [tabindex]')].filter(e =>
  !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || (e.labels && e.labels.length) ||
    e.textContent.trim())).map(e => e.outerHTML.slice(0, 80))"""


def test_keyboard():
    page.js("store.conversations().forEach(c => store.delete(c))")
    fresh()
    fake.answer = "Some `code`:\n\n```\nx\n```\n"
    page.driver.refresh()
    page.wait("props !== null")
    equal(page.value(NAMELESS), [], "everything that can be used has a name")
    page.ask("By keyboard")
    equal(page.value(NAMELESS), [], "in a conversation too")
    page.js("document.activeElement.blur(); byId('app').parentNode.focus()")
    order, hidden = [], []
    page.keys("TAB")
    page.js("document.querySelector('.skip').focus()")
    for _ in range(18):
        name = page.focused()
        order.append(name)
        if not page.value("(e => { const s = getComputedStyle(e), f = getComputedStyle(byId('form'));"
                          "return s.outlineStyle !== 'none' || (e.id === 'message' && f.boxShadow !== 'none') })"
                          "(document.activeElement)"):  # fmt: skip
            hidden.append(name)
        page.keys("TAB")
    want = ["Skip to the message", "New conversation", "By keyboard", "Rename By keyboard", "Delete By keyboard"]
    equal(order[:5], want, "the order of the focus: conversations,")
    equal([o for o in order
           if o in ("Switch to dark", "Settings", "Conversation", "Code", "Regenerate", "message", "Send")],
          ["Switch to dark", "Settings", "Conversation", "Code", "Regenerate", "message", "Send"],
          "then the bar, the conversation, the message")  # fmt: skip
    equal(hidden, [], "the focus can be seen everywhere")
    page.js("document.querySelector('.skip').focus()")
    page.keys("ENTER")
    equal(page.focused(), "message", "the first link leads to the message")
    page.js("byId('open-settings').focus()")
    page.keys("ENTER", "ESCAPE")
    equal(page.focused(), "Settings", "the focus returns from the settings")
    page.js("document.querySelector('[data-kind=remove]').focus()")
    page.keys("ENTER")
    equal((page.focused(), page.value("byId('list').children.length")), ("New conversation", 0), "deleted by keyboard")
    small = page.value("[...document.querySelectorAll('button')].filter(b => b.getClientRects().length).map(b => "
                       "[b.textContent || b.getAttribute('aria-label'), b.offsetWidth, b.offsetHeight])"
                       ".filter(b => b[1] < 24 || b[2] < 24)")  # fmt: skip
    equal(small, [], "no button is too small to be hit")


def test_telephone():
    page.js("store.conversations().forEach(c => store.delete(c))")
    fresh()
    page.size(390, 844)
    fake.answer = "w" * 300 + "\n\n" + "https://example.org/" + "a" * 200
    fake.answer += "\n\n# " + "T" * 90 + "\n\n`" + "c" * 120 + "`"
    page.ask("x" * 200)
    ok(page.value(NO_SIDEWAYS), "no sideways scrolling at 390 pixels, whatever the words")
    equal(page.value("getComputedStyle(byId('history')).visibility"), "hidden", "the list of conversations is away")
    page.js("byId('open-history').focus()")
    page.keys("ENTER")
    page.wait("getComputedStyle(byId('history')).visibility === 'visible'")
    equal((page.focused(), page.value("byId('main').inert")), ("Close the list of conversations", True),
          "it opens by keyboard")
    if SCREENSHOTS:
        time.sleep(0.4)
        page.driver.save_screenshot(os.path.join(SCREENSHOTS, "list-390.png"))
    page.keys("ESCAPE")
    equal((page.focused(), page.value("byId('main').inert")), ("Conversations", False), "and closes")
    fake.answer = "A line.\n\n" * 60
    page.ask("Many lines")
    at_end = "byId('log').scrollHeight - byId('log').scrollTop - byId('log').clientHeight < 3"
    ok(page.wait(at_end), "the end is in sight")
    fake.delay = 0.05
    page.ask("More", wait=False)
    page.wait("[...document.querySelectorAll('.md')].pop().children.length > 3")
    page.js("byId('log').scrollTop = 100")
    page.wait("!byId('latest').hidden")
    time.sleep(0.2)
    equal(page.value("byId('log').scrollTop"), 100, "who reads above is not dragged down")
    page.click("#latest")
    ok(page.wait(at_end), "unless asked for")
    page.keys("ESCAPE")
    page.answered()
    fake.delay, fake.answer = 0, TEXT
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.driver.refresh()
    page.wait("props !== null")
    page.js("byId('message').focus()")
    page.keys("one", "ENTER", "two")
    page.click("#send")
    page.answered()
    equal((fake.requests[-1]["messages"][-1]["content"], page.value("document.activeElement === byId('message')")),
          ("one\ntwo", False),
          "by touch Enter begins a line, and the button sends and puts the keyboard away")  # fmt: skip
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.size(1280)
    page.driver.refresh()
    page.wait("props !== null")


def test_storage_full():
    fresh()
    page.js("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }")
    page.ask("Hello")
    equal(page.last(), TEXT.replace("*", ""), "goes on where the browser keeps nothing")
    ok("full or switched off" in page.value("byId('kept').textContent"), "and says so")
    page.driver.refresh()
    page.wait("props !== null")


def test_no_template():
    fake.props["chat_template"], fake.props["file"] = False, None
    fresh()
    page.js("openNew()")
    page.driver.refresh()
    ok(page.wait("byId('notice').innerText.includes('no chat template')"), "a file without a chat template")
    page.ask("Hello")
    equal((fake.requests, page.value("byId('message').value")), ([], "Hello"), "is not asked")
    seen = page.value("byId('welcome').innerText")
    ok("4,096 tokens" in seen and "Bits" not in seen and "null" not in seen, "figures that are not known are left out",
       seen)


try:
    for test in [value for name, value in list(globals().items()) if name.startswith("test_")]:
        start = time.monotonic()
        try:
            test()
        except Exception as error:  # the others may still tell something
            ok(False, f"{test.__name__} runs to its end", repr(error))
        print(f"# {test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
        equal(page.problems(), [], "the console is silent")
finally:
    page.close()
    fake.stop()
done()
