#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm report: the tables, the page as HTML, and, where Chromium is installed, the page in a browser."""

import csv
import html.parser
import os
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree as xml
import zlib

from cli_testing import *

# A name that must be escaped.
hostile = '<img src="x">&\'"\u00e9'
source = copy_model(hostile)
tensors = read_safetensors(os.path.join(source, "model.safetensors"))
n_matrices = sum(len(t[1]) == 2 for t in tensors.values())

out = tmp("report")
p = run("report", source, "-o", out, "--ctx", "64", "--chunks", "3", "-q")
if not ok(p.returncode == 0, "report", p.stderr):
    done()
equal(sorted(os.listdir(out)), ["index.html", "report.csv", "tensors.csv"], "the files of a report, nothing else")
p = run("report", source, "-o", out, "--ctx", "64", "--chunks", "3", "-q")
ok(p.returncode == USAGE and b"--force" in p.stderr, "a report is not replaced unasked", p.stderr)


# ------------------------------------------------------------------- tables
def table(name):
    with open(os.path.join(out, name), newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


rows = {r["variant"]: r for r in table("report.csv")}
names = [f"{b}-{s}-{c}" for b in (8, 4) for s in ("mixed", "symmetric", "asymmetric") for c in ("huffman", "none")]
equal(list(rows), ["original"] + names, "a row for every variant")
ok(all(None not in r and None not in r.values() for r in rows.values()), "every row has every column")
number = lambda v, k: float(rows[v][k])
FIGURES = ("perplexity", "kl", "same_top", "perplexity_ratio")
QUALITY = [f"{k}_{a}{e}" for k in FIGURES for a in ("f32", "run") for e in ("", "_stderr")]
for v in names:
    coded = v.endswith("huffman")
    ok(
        number(v, "file_bytes") > 0
        and number(v, "tokens_per_second") > 0
        and number(v, "prompt_tokens_per_second") > 0
        and number(v, "peak_memory_bytes") > 1e6
        and number(v, "kl_f32") > 0
        and number(v, "perplexity_run") > 1
        and 0 <= number(v, "same_top_run") <= 1
        and number(v, "weight_error") > 0,
        f"{v}: figures in their ranges",
        rows[v],
    )
    if coded:
        plain = v.replace("huffman", "none")
        ok(number(v, "file_bytes") < number(plain, "file_bytes"), f"{v}: smaller than uncoded")
        ok(number(v, "coded_bits") > number(v, "entropy_bits"), f"{v}: not below the entropy")
        equal([rows[v][k] for k in QUALITY], [rows[plain][k] for k in QUALITY], f"{v}: coding changes nothing")
    ok(number(v, "kl_f32") > number("original", "kl_f32") * 100, f"{v}: diverges")
ok(number("4-mixed-huffman", "kl_run") > number("8-mixed-huffman", "kl_run"), "4 bits diverge more than 8")
file = tmp("m8.ellm")
run("compress", "--bits", "8", source, "-o", file, "-q")
equal(os.path.getsize(file), int(rows["8-mixed-huffman"]["file_bytes"]), "the size is that of compress")
r = run_json(
    "eval", "divergence", "-m", file, "--reference", source, "-f", os.path.join(MODEL, "unseen.txt"), "--ctx", "64",
    "--limit", "3", "--activations", "f32",
)  # fmt: skip
ok(
    r and abs(r["kl"] / number("8-mixed-huffman", "kl_f32") - 1) < 1e-3
    and abs(r["perplexity"] / number("8-mixed-huffman", "perplexity_f32") - 1) < 1e-6,
    "quality is that of eval divergence",
    r,
)  # fmt: skip
per_tensor = table("tensors.csv")
equal(len(per_tensor), 12 * n_matrices, "a row for every tensor of every variant")
equal({t["tensor"] for t in per_tensor}, {n for n, t in tensors.items() if len(t[1]) == 2}, "all tensors are there")
info = {t["name"]: t for t in run_json("inspect", file)["tensors"] if not t["kept"]}
for t in per_tensor:
    if t["variant"] == "8-mixed-huffman":
        same = info[t["tensor"]]
        if abs(float(t["entropy_bits"]) - same["entropy"]) > 1e-4 or t["scheme"] != same["scheme"]:
            ok(False, "tensors.csv agrees with inspect", (t, same))


# --------------------------------------------------------------------- page
class Page(html.parser.HTMLParser):
    VOID = {"meta", "br", "wbr", "img", "link", "hr", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.problems, self.counts, self.text = [], [], {}, ""

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)
        for k, v in attributes:
            if k in ("src", "srcset", "data", "action") or k.startswith("on"):
                self.problems.append(f"<{tag} {k}={v}>")
            if k == "href" and v not in ("report.csv", "tensors.csv"):
                self.problems.append(f"link to {v}")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.text += data


page_path = os.path.join(out, "index.html")
source_text = read(page_path).decode("utf-8")
page = Page()
page.feed(source_text)
page.close()
equal((page.problems, page.open), ([], []), "well-formed HTML that loads nothing")
ok(not re.search(r"url\(|@import|<script|javascript:", source_text), "no scripts, no imports")
counts = [page.counts.get(t, 0) for t in ("img", "script", "link", "figure")]
equal(counts, [0, 0, 0, 4], "four plots and no foreign tags")
ok(hostile in page.text, "the name is escaped and shown as it is")
pictures = re.findall(r"<svg.*?</svg>", source_text, re.S)
equal(len(pictures), 4 + 2 * n_matrices, "a picture for every plot, and two for every tensor")
bad = 0
for picture in pictures:
    root = xml.fromstring(picture)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for e in root.iter():
        for k in ("x", "cx", "x1", "x2"):
            bad += not -1 <= float(e.attrib.get(k, 0)) <= width + 1
        for k in ("y", "cy", "y1", "y2"):
            bad += not -1 <= float(e.attrib.get(k, 0)) <= height + 1
equal(bad, 0, "everything is drawn within its picture")
points = [xml.fromstring(x) for x in pictures[:4]]
counts = [sum("point" in e.attrib.get("class", "") for e in root.iter()) for root in points]
equal(counts, [12, 12, 13, 21 + 1 + 2], "points of the plots")
falling = [float(x) for x in re.findall(r"<title>predicted: [^,]*, ([^<]*)</title>", pictures[3])]
ok(len(falling) == 21 and falling == sorted(falling, reverse=True) and falling[-1] > 0, "the curve of sizes falls", falling)
ok(not re.search(r"\b(nan|inf)\b", page.text), "no figure is missing")
ok(source_text.count("<tr>") == 2 + 13, "a row for every variant")
equal(page.text.count("\u00b1"), 1 + 7 + 6 * 13, "an error beside every figure of quality")

# ------------------------------------------------------------------ browser
chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


def browse(*options):
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command.append("--user-data-dir=" + tmp("chromium"))
    return subprocess.run([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


def colours(path):
    """Width of a PNG, and how many different bytes its rows hold."""
    data = read(path)
    at, body, width = 8, b"", 0
    while at < len(data):
        (n,) = struct.unpack(">I", data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if kind == b"IHDR":
            (width,) = struct.unpack(">I", data[at + 8 : at + 12])
        if kind == b"IDAT":
            body += data[at + 8 : at + 8 + n]
        at += 12 + n
    return width, len(set(zlib.decompress(body)))


if not chromium:
    skip("the page in a browser", "Chromium is not installed")
else:
    measured = tmp("measured.html")
    script = "<script>document.title = document.documentElement.scrollWidth + ' ' + innerWidth</script></body>"
    with open(measured, "w", encoding="utf-8") as f:
        f.write(source_text.replace("</body>", script))
    for width in (390, 1280):
        shot = tmp(f"shot-{width}.png")
        p = browse(f"--window-size={width},2400", f"--screenshot={shot}", "file://" + page_path)
        good = os.path.exists(shot)
        ok(good, f"a screenshot at {width} pixels", p.stderr[-500:])
        if good:
            png_width, n = colours(shot)
            ok(png_width == width and n > 60, f"something is drawn at {width} pixels", (png_width, n))
        p = browse(f"--window-size={width},2400", "--dump-dom", "file://" + measured)
        dom = p.stdout.decode("utf-8", "replace")
        sizes = re.search(r"<title>(\d+) (\d+)</title>", dom)
        ok(
            sizes and int(sizes[1]) <= int(sizes[2]),
            f"nothing reaches beyond a screen of {width} pixels",
            sizes and sizes[0],
        )
    printed = tmp("page.pdf")
    browse(f"--print-to-pdf={printed}", "file://" + page_path)
    ok(os.path.exists(printed) and read(printed)[:5] == b"%PDF-", "it prints")
done()
