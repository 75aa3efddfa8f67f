#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plot of docs/QUANTIZATION.md: divergence over bits a weight, from the points that bench/quality.py --json wrote.

    bench/quality_plot.py POINTS.json -o docs/quality-smollm2.svg [--title TEXT]

Ours are lines, llama.cpp's types are marks with their names. Divergence is on a scale of logarithms.
"""

import argparse
import html
import json
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 540, 64, 20, 40, 52
BITS = (2.0, 7.0)
NATS = (0.008, 3.0)
STYLES = {  # colour, mark, label
    "full": ("#0b5fa5", "line", "ours, full effort"),
    "quick": ("#3f9b57", "line", "ours, quick effort"),
    "none": ("#8a6fb5", "line", "ours, not calibrated"),
    "paper": ("#b0413e", "line", "one step a tensor (the paper's method)"),
    "llama.cpp": ("#555555", "circle", "llama.cpp"),
    "llama.cpp with importance matrix": ("#d08a00", "triangle", "llama.cpp with importance matrix"),
    "llama.cpp in rows of 256": ("#888888", "square", "llama.cpp in rows of 256"),
}


def x_of(bits):
    return LEFT + (bits - BITS[0]) / (BITS[1] - BITS[0]) * (WIDTH - LEFT - RIGHT)


def y_of(nats):
    low, high = math.log(NATS[0]), math.log(NATS[1])
    return HEIGHT - BOTTOM - (math.log(nats) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def text(x, y, words, anchor="start", size=12, colour="#222"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">'
        f"{html.escape(words)}</text>"
    )


def mark(kind, x, y, colour):
    if kind == "triangle":
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{colour}"/>'
    if kind == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def axes(title):
    out = [text(LEFT, 22, title, size=15)]
    for bits in range(int(BITS[0]), int(BITS[1]) + 1):
        x = x_of(bits)
        out.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>')
        out.append(text(x, HEIGHT - BOTTOM + 18, str(bits), "middle"))
    for nats in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2):
        y = y_of(nats)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        out.append(text(LEFT - 8, y + 4, f"{nats:g}", "end"))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "bits a weight, all that belongs to quantized matrices", "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(f'<g transform="rotate(-90 16 {middle})">{text(16, middle, "KL divergence from the source, nats a token", "middle")}</g>')
    return out


def series(points, name):
    colour, kind, _ = STYLES[name]
    mine = sorted((p for p in points if p["series"] == name), key=lambda p: p["bits"])
    seen = [p for p in mine if BITS[0] <= p["bits"] <= BITS[1] and NATS[0] <= p["kl"] <= NATS[1]]
    places = [(x_of(p["bits"]), y_of(p["kl"])) for p in seen]
    out = []
    if kind == "line" and places:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    out += [mark(kind, x, y, colour) for x, y in places]
    if kind != "line":
        dx, dy, anchor = {"circle": (7, 4, "start"), "triangle": (0, 15, "middle"), "square": (-8, 4, "end")}[kind]
        out += [text(x + dx, y + dy, p["name"], anchor, 10, colour) for p, (x, y) in zip(seen, places)]
    return out


def legend(names):
    out = []
    for i, name in enumerate(names):
        colour, kind, label = STYLES[name]
        x, y = WIDTH - RIGHT - 270, TOP + 14 + 18 * i
        if kind == "line":
            out.append(f'<path d="M{x - 10} {y}h20" stroke="{colour}" stroke-width="2"/>')
        out.append(mark(kind, x, y, colour))
        out.append(text(x + 16, y + 4, label))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", help="what bench/quality.py --json wrote")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--title", default="SmolLM2-135M-Instruct, WikiText-2")
    args = parser.parse_args()
    with open(args.points) as f:
        points = json.load(f)
    names = [n for n in STYLES if any(p["series"] == n for p in points)]
    parts = axes(args.title)
    for name in names:
        parts += series(points, name)
    parts += legend(names)
    body = "\n".join(parts)
    with open(args.output, "w") as f:
        f.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'
        )


if __name__ == "__main__":
    main()
