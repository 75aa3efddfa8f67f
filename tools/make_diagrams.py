#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/diagrams: the geometry of a block, one token's way through the folders of src/.

make_diagrams.py [--check]

With --check nothing is written: it fails where a file is not what this program draws. A picture has a ground of its own,
so that it is legible on pages of any colour. Standard library only.
"""
import html
import os
import sys

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "diagrams")
INK, SOFT, LINE, GROUND = "#1c2733", "#52616f", "#8a97a3", "#ffffff"
BLUE, GREEN, ORANGE, GREY, VIOLET = "#cfe3f7", "#cfeccf", "#fbdcb8", "#e8ecef", "#e2d8f5"


class Picture:
    def __init__(self, width, height, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="Helvetica,Arial,sans-serif" font-size="13" fill="{INK}">',
            f"<title>{html.escape(title)}</title>",
            '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
            f'<path d="M0,0 L9,4 L0,8 z" fill="{SOFT}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}" stroke="{LINE}"/>']

    def box(self, x, y, w, h, fill=GREY, stroke=LINE, radius=0):
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius}" fill="{fill}" stroke="{stroke}"/>')

    def text(self, x, y, words, size=13, anchor="start", colour=INK, weight="normal", mono=False):
        family = ' font-family="DejaVu Sans Mono,Menlo,Consolas,monospace"' if mono else ""
        for i, line in enumerate(words.split("\n")):
            self.parts.append(f'<text x="{x:g}" y="{y + i * (size + 4):g}" font-size="{size}" text-anchor="{anchor}" '
                              f'fill="{colour}" font-weight="{weight}"{family}>{html.escape(line)}</text>')

    def line(self, points, tip=False, dash=False):
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        more = (' marker-end="url(#tip)"' if tip else "") + (' stroke-dasharray="4 3"' if dash else "")
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{SOFT}" stroke-width="1.3"{more}/>')

    def save(self):
        return "\n".join(self.parts + ["</svg>", ""])


# ------------------------------------------------------------------------------------------------- a block

def bits(p, x, y, labels, cell=34, height=26):
    """A row of bits or groups of bits, the lowest at the right: (text, bits, colour) from the highest on; positions
    stand above. The left end."""
    total = sum(n for _, n, _ in labels)
    at = total
    for words, n, fill in labels:
        p.box(x, y, cell * n, height, fill)
        p.text(x + cell * n / 2, y + height / 2 + 5, words, 12, "middle")
        p.text(x + 3, y - 4, str(at - 1), 10, colour=SOFT)
        if n > 1:
            p.text(x + cell * n - 3, y - 4, str(at - n), 10, "end", SOFT)
        x += cell * n
        at -= n


def block():
    p = Picture(980, 800, "The geometry of a block: matrix, panel, tile, code, lists")
    p.text(24, 34, "The geometry of a block", 18, weight="bold")

    # matrix
    p.text(24, 64, "A matrix is cut into panels of 16 rows.", weight="bold")
    for i in range(6):
        p.box(24, 76 + 24 * i, 250, 24, GROUND)
    p.box(24 + 125, 76 + 48, 125, 24, BLUE, INK)
    p.text(211, 141, "block", 12, "middle")
    p.line([(149, 76), (149, 220)], dash=True)
    p.text(86, 236, "column range 0", 11, "middle", SOFT)
    p.text(211, 236, "column range 1", 11, "middle", SOFT)
    p.text(292, 126, "a panel", 12)
    p.text(24, 258, "A block is a column range of a panel, or several\nwhole panels: a row group. At most 16,384 codes.", 12,
           colour=SOFT)

    # panel
    p.text(400, 64, "A panel is cut into tiles of 4 columns.", weight="bold")
    for i in range(8):
        p.box(400 + 42 * i, 76, 42, 96, BLUE if i == 1 else GROUND)
        p.text(421 + 42 * i, 128, f"t{i}", 12, "middle")
    p.text(744, 128, "...", 14)
    p.text(500, 194, "Codes of a block: panel by panel, tile by tile, row by row (tile order).", 12, colour=SOFT)
    p.line([(274, 136), (396, 136)], tip=True)

    # tile
    p.text(24, 316, "A tile: 16 rows x 4 columns, 64 codes.", weight="bold")
    p.text(24, 334, "Its number is its byte in a vector of 64.", 12, colour=SOFT)
    for row in range(16):
        for column in range(4):
            shade = ORANGE if row == 0 else GROUND
            p.box(60 + 40 * column, 350 + 23 * row, 40, 23, shade)
            p.text(80 + 40 * column, 366 + 23 * row, str(4 * row + column), 11, "middle")
        p.text(52, 366 + 23 * row, f"row {row}", 10, "end", SOFT)
    for column in range(4):
        p.text(80 + 40 * column, 350 + 16 * 23 + 16, f"col {column}", 10, "middle", SOFT)
    p.line([(463, 172), (463, 284), (330, 284), (330, 358), (226, 358)], tip=True)
    p.text(60, 756, "A lane of sums is a row: a product adds\n4 columns to 16 rows at once.", 12, colour=SOFT)

    # code
    x = 360
    p.text(x, 316, "A code, here of 6 bits with 2 raw bits", weight="bold")
    bits(p, x, 340, [("upper", 4, GREEN), ("raw", 2, VIOLET)])
    p.text(x + 220, 350, "raw bits are stored as they are;\nuppers become symbols, which are coded", 12, colour=SOFT)

    p.text(x, 402, "A symbol of two uppers (a pair), of tiles 2k and 2k + 1", weight="bold")
    bits(p, x, 426, [("upper of tile 2k + 1", 4, GREEN), ("upper of tile 2k", 4, GREEN)], 40)
    p.text(x + 336, 436, "the codes at the same place\nof both tiles", 12, colour=SOFT)

    p.text(x, 488, "A list of fields of 2 bits: byte b of 64 holds the codes b of four tiles", weight="bold")
    bits(p, x, 512, [("tile 3", 2, VIOLET), ("tile 2", 2, VIOLET), ("tile 1", 2, VIOLET), ("tile 0", 2, VIOLET)], 40)
    p.text(x + 336, 522, "so a shift and a mask unpack\n64 codes at once", 12, colour=SOFT)

    p.text(x, 574, "Fields of 4 bits: two tiles; of 1 bit: eight tiles", weight="bold")
    bits(p, x, 598, [("tile 1", 4, VIOLET), ("tile 0", 4, VIOLET)], 40)
    p.text(x + 336, 608, "raw bits are lists of 4, 2 and 1 bits;\n3 of them: 2 low ones, then 1", 12, colour=SOFT)

    p.text(x, 660, "The bytes of a block of levels", weight="bold")
    at = x
    for words, w, fill in (("patches,\nif any", 70, ORANGE), ("counts\n2 a level", 70, GREY), ("raw lists\n4, 2, 1 bits", 96, VIOLET),
                           ("fields of\nlevel 0", 140, GREEN), ("level 1", 70, GREEN), ("...", 40, GREEN),
                           ("escaped\nsymbols", 80, GREEN)):
        p.box(at, 674, w, 44, fill)
        p.text(at + w / 2, 692 if "\n" in words else 700, words, 11, "middle")
        at += w
    p.text(x, 740, "A Huffman block has a bitmap for each node of the tree in place of the fields;\n"
           "a block of a field book has the lists of its fields alone.", 12, colour=SOFT)
    return p.save()


# ------------------------------------------------------------------------------------------------- a token

def room(p, x, y, w, h, folder, words, fill):
    p.box(x, y, w, h, fill, radius=5)
    p.text(x + 10, y + 19, folder, 12, weight="bold", mono=True)
    p.text(x + 10, y + 38, words, 12)


def token():
    p = Picture(980, 730, "One token's way through the folders of src/")
    p.text(24, 34, "One token's way through src/", 18, weight="bold")

    room(p, 24, 56, 180, 76, "cli, serve", "a prompt comes in,\ntext goes out", GREY)
    room(p, 250, 56, 180, 76, "text, template", "messages to text,\ntext to ids", BLUE)
    room(p, 476, 56, 220, 76, "generate", "requests join a batch:\na row for each answer", BLUE)
    room(p, 742, 56, 214, 76, "grammar", "which ids may follow\n(where one was asked for)", BLUE)
    p.line([(204, 94), (248, 94)], tip=True)
    p.line([(430, 94), (474, 94)], tip=True)
    p.line([(740, 84), (698, 84)], tip=True)

    # the model
    p.box(24, 176, 672, 300, "#f6f8fa", radius=5)
    p.text(34, 196, "model", 12, weight="bold", mono=True)
    p.text(124, 196, "evaluate: rows of (sequence, position), pages for keys and values; forward:", 12, colour=SOFT)
    p.line([(586, 132), (586, 158), (110, 158), (110, 210)], tip=True)
    p.text(250, 153, "ids and positions", 11, colour=SOFT)
    steps = (("embedding", GREY), ("norm", GREY), ("q, k, v", ORANGE), ("rotate", GREY), ("attention", GREEN), ("output", ORANGE))
    for i, (words, fill) in enumerate(steps):
        p.box(50 + 106 * i, 214, 90, 34, fill, radius=4)
        p.text(95 + 106 * i, 235, words, 12, "middle")
        if i:
            p.line([(34 + 106 * i, 231), (48 + 106 * i, 231)], tip=True)
    p.box(474, 262, 90, 40, GREEN, radius=4)
    p.text(519, 279, "pages: 16\npositions each", 10, "middle")
    p.line([(519, 262), (519, 250)], tip=True)
    steps = (("norm", GREY), ("gate, up", ORANGE), ("activation", GREY), ("down", ORANGE))
    for i, (words, fill) in enumerate(steps):
        p.box(156 + 106 * i, 322, 90, 34, fill, radius=4)
        p.text(201 + 106 * i, 343, words, 12, "middle")
        if i:
            p.line([(140 + 106 * i, 339), (154 + 106 * i, 339)], tip=True)
    p.line([(625, 248), (625, 312), (201, 312), (201, 320)], tip=True)
    p.line([(566, 339), (584, 339), (584, 376), (146, 376), (146, 240), (154, 240)], tip=True, dash=True)
    p.text(300, 392, "the next layer", 11, colour=SOFT)
    for i, (words, fill) in enumerate((("norm", GREY), ("head", ORANGE))):
        p.box(156 + 106 * i, 414, 90, 34, fill, radius=4)
        p.text(201 + 106 * i, 435, words, 12, "middle")
    p.line([(201, 376), (201, 412)], tip=True)
    p.line([(246, 431), (260, 431)], tip=True)
    p.text(368, 427, "logits, one for each token of the vocabulary;\nonly rows that ask for them", 11, colour=SOFT)
    p.line([(352, 431), (362, 431)])
    p.line([(640, 440), (720, 440), (720, 118), (698, 118)], tip=True)
    p.text(728, 300, "the sampler takes an id;\nits text goes to the answer,\nthe id is the next row", 12, colour=SOFT)

    # a product
    p.text(24, 508, "A product (orange), a matrix times the activations of the batch", weight="bold")
    room(p, 20, 522, 174, 110, "kernels", "activations, times column\nfactors, to integers of\n16 or 8 bits by groups", ORANGE)
    room(p, 216, 522, 170, 110, "model", "rows are dealt to\nthreads by row groups;\nnothing is shared", ORANGE)
    room(p, 408, 522, 170, 110, "container", "the block: mapped,\nchecked at its first use,\nstill coded", VIOLET)
    room(p, 600, 522, 170, 110, "kernels, coder", "codes appear in\nregisters, tile by tile,\nand are multiplied", ORANGE)
    room(p, 792, 522, 164, 110, "kernels", "exact integer sums;\nstep and row factors\ncome last", ORANGE)
    for x in (194, 386, 578, 770):
        p.line([(x, 577), (x + 20, 577)], tip=True)
    p.text(24, 660, "Weights are never whole in memory: a block's codes live in registers and in the first cache, for as long as they are\n"
           "multiplied. Sums of integers are exact and floats are added in a fixed order, so the logits are the same for any\n"
           "number of threads, any batch and any instruction set.", 12, colour=SOFT)
    return p.save()


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    os.makedirs(FOLDER, exist_ok=True)
    for name, text in (("block.svg", block()), ("token.svg", token())):
        path = os.path.join(FOLDER, name)
        if check:
            with open(path, encoding="utf-8") as f:
                if f.read() != text:
                    sys.exit(f"docs/diagrams/{name} is not what tools/make_diagrams.py draws")
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)


if __name__ == "__main__":
    main()
