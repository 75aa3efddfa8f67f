#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads .ellm files with nothing but Python's standard library.

Written from docs/FORMAT.md and docs/format/blocks.md alone, as a check of those
documents and as an example; it is slow. Checksums are verified.

  read_ellm.py FILE --list
  read_ellm.py FILE --tensor NAME --codes OUT    one byte a code, row-major, at most what its bits hold
  read_ellm.py FILE --tensor NAME --weights OUT  the weights, float32, row-major; of an exact tensor its elements

Of a model that was split all parts are given: their rows are put together.
"""
import argparse
import json
import struct
import sys

MAGIC = b"\x89ELLM\r\n\x1a"
DTYPES = "F32 F16 BF16 F64 I8 U8 I16 U16 I32 U32 I64 U64 BOOL F8_E4M3 F8_E5M2".split()
SIZES = [4, 2, 2, 8, 1, 1, 2, 2, 4, 4, 8, 8, 1, 1, 1]
ASSET, KEPT, CODED, METADATA, COLUMNS, PART = 1, 2, 3, 4, 5, 6
BY_ROW, BY_COLUMN, PATCHED = 1, 2, 4  # bits of the granularity
UNIFORM, EXACT = 0, 255  # quantizers
PANEL_ROWS, TILE_COLUMNS, TILE, MAX_CODES = 16, 4, 64, 16384
PLAIN, HUFFMAN, TUPLES, FIELDS = 0, 1, 2, 3
ESCAPE = 256


class Bad(Exception):
    """The file breaks a rule of the format."""


def need(condition, *what):
    if not condition:
        raise Bad(" ".join(map(str, what)))


# ------------------------------------------------------------------- XXH3-64

M64 = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MX1, MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def u32(data, at=0):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at=0):
    return int.from_bytes(data[at:at + 8], "little")


def fold(a, b):
    product = a * b
    return (product & M64) ^ (product >> 64)


def avalanche(h):
    h ^= h >> 37
    h = h * MX1 & M64
    return h ^ h >> 32


def mix16(data, at, secret):
    return fold(u64(data, at) ^ u64(SECRET, secret), u64(data, at + 8) ^ u64(SECRET, secret + 8))


def xxh64_avalanche(h):
    h ^= h >> 33
    h = h * P64_2 & M64
    h ^= h >> 29
    h = h * P64_3 & M64
    return h ^ h >> 32


def xxh3_64(data):
    n = len(data)
    if n > 240:
        return xxh3_long(data)
    if n == 0:
        return xxh64_avalanche(u64(SECRET, 56) ^ u64(SECRET, 64))
    if n <= 3:
        word = data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8
        return xxh64_avalanche(word ^ u32(SECRET) ^ u32(SECRET, 4))
    if n <= 8:
        word = (u32(data, n - 4) + (u32(data) << 32)) ^ u64(SECRET, 8) ^ u64(SECRET, 16)
        word ^= (word << 49 | word >> 15) & M64 ^ (word << 24 | word >> 40) & M64
        word = word * MX2 & M64
        word ^= (word >> 35) + n & M64
        word = word * MX2 & M64
        return word ^ word >> 28
    if n <= 16:
        low = u64(data) ^ u64(SECRET, 24) ^ u64(SECRET, 32)
        high = u64(data, n - 8) ^ u64(SECRET, 40) ^ u64(SECRET, 48)
        swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
        return avalanche(n + swapped + high + fold(low, high) & M64)
    if n <= 128:
        total = n * P64_1 & M64
        for i in range((n - 1) // 32, -1, -1):
            total += mix16(data, 16 * i, 32 * i) + mix16(data, n - 16 * (i + 1), 32 * i + 16)
        return avalanche(total & M64)
    total = n * P64_1 & M64
    for i in range(8):
        total += mix16(data, 16 * i, 16 * i)
    total = avalanche(total & M64)
    for i in range(8, n // 16):
        total += mix16(data, 16 * i, 16 * (i - 8) + 3)
    return avalanche(total + mix16(data, n - 16, 136 - 17) & M64)


def accumulate(acc, data, at, secret):
    stripe, key = struct.unpack_from("<8Q", data, at), struct.unpack_from("<8Q", SECRET, secret)
    for i in range(8):
        value = stripe[i] ^ key[i]
        acc[i ^ 1] += stripe[i]
        acc[i] = acc[i] + (value & 0xFFFFFFFF) * (value >> 32) & M64
    for i in range(8):
        acc[i] &= M64


def xxh3_long(data):
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    n, limit = len(data), 192 - 64
    per_block = limit // 8
    whole = (n - 1) // (64 * per_block)
    for block in range(whole):
        for s in range(per_block):
            accumulate(acc, data, (block * per_block + s) * 64, 8 * s)
        for i in range(8):
            acc[i] = (acc[i] ^ acc[i] >> 47 ^ u64(SECRET, limit + 8 * i)) * P32_1 & M64
    start = whole * per_block * 64
    for s in range((n - 1 - start) // 64):
        accumulate(acc, data, start + 64 * s, 8 * s)
    accumulate(acc, data, n - 64, limit - 7)
    total = n * P64_1 & M64
    for i in range(4):
        total += fold(acc[2 * i] ^ u64(SECRET, 11 + 16 * i), acc[2 * i + 1] ^ u64(SECRET, 19 + 16 * i))
    return avalanche(total & M64)


# ------------------------------------------------------------------ container

class Record:
    """One record of the directory."""

    def __init__(self, data, at, end):
        need(end - at >= 48, "directory ends inside a record")
        (self.type, self.bytes, self.flags, name_bytes, self.offset, self.section_bytes, self.head_bytes,
         self.checksum) = struct.unpack_from("<4I4Q", data, at)
        need(48 <= self.bytes <= min(65536, end - at) and self.bytes % 8 == 0, "record size", self.bytes)
        need(self.flags in (0, 1), "flags", self.flags)
        need(self.section_bytes % 64 == 0 and self.head_bytes <= self.section_bytes, "section size", self.section_bytes)
        self.name, self.payload_bytes = None, 0
        if self.type not in (ASSET, KEPT, CODED, METADATA, COLUMNS, PART):
            need(self.flags == 0, "required record of unknown type", self.type)
            return
        p, value_bytes = at + 48, 0
        if self.type == KEPT:
            self.dtype, n = data[p], data[p + 1]
            need(n <= 8 and self.dtype < len(DTYPES) and not any(data[p + 2:p + 8]), "kept tensor's fields")
            self.shape = struct.unpack_from(f"<{n}Q", data, p + 8)
            p += 8 + 8 * n
        elif self.type == CODED:
            (self.dtype, n, self.bits, self.scheme, self.quantizer, self.granularity, layout, self.zero, self.step,
             self.panels_per_block, self.block_columns, self.n_blocks, self.payload_bytes, self.entropy_bits,
             self.huffman_bits, rows, columns) = struct.unpack_from("<8Bf3IQdQ2Q", data, p)
            need(self.quantizer in (UNIFORM, EXACT) and layout < 2 and self.granularity < 8, "coded tensor's fields")
            need(n == 2 and self.dtype < 3 and 2 <= self.bits <= 8, "coded tensor's fields")
            if self.quantizer == EXACT:
                self.planes = SIZES[self.dtype] - 1 - self.zero  # `zero` is the bytes left out
                fixed = (self.bits, self.scheme, self.granularity, u32(data, p + 8)) == (8, 0, 0, 0)
                need(fixed and self.planes >= 0, "exact tensor's fields")
            self.shape, self.ranges = (rows, columns), None
            p += 64
            if layout == 1:
                self.ranges = some_groups(data, p)
                p += 32
        elif self.type == PART:
            self.number, self.n_parts = struct.unpack_from("<2I", data, p)
            need(1 <= self.number <= self.n_parts and 2 <= self.n_parts <= 1024, "number of the part")
            self.whole, self.whole_bytes = data[p + 8:p + 24].hex(), u64(data, p + 24)
            self.shares = struct.unpack_from(f"<{self.n_parts}I", data, p + 32)
            need(all(self.shares) and self.section_bytes == 0, "shares of a part")
            p += 32 + 4 * self.n_parts
        elif self.type == METADATA:
            value_bytes, reserved = struct.unpack_from("<2I", data, p)
            need(reserved == 0, "reserved field")
            p += 8
        elif self.type == COLUMNS:
            self.columns = u64(data, p)
            need(0 < self.columns < 1 << 32 and self.head_bytes == 2 * self.columns, "scales of columns: size")
            p += 8
        need((p - at + name_bytes + value_bytes + 7) // 8 * 8 == self.bytes, "record size", self.bytes)
        self.name = data[p:p + name_bytes].decode("utf-8")
        self.value = data[p + name_bytes:p + name_bytes + value_bytes].decode("utf-8")
        need(not any(data[p + name_bytes + value_bytes:at + self.bytes]), "padding of a record")
        filled = self.head_bytes + self.payload_bytes
        need(self.section_bytes - filled == -filled % 64, "section size", self.section_bytes)


def some_groups(data, p):
    """The ranges of row groups of a tensor of layout 1."""
    n, reserved, *numbers = struct.unpack_from("<8I", data, p)
    need(n <= 3 and reserved == 0 and not any(numbers[2 * n:]), "row groups")
    ranges = [(numbers[2 * i], numbers[2 * i + 1]) for i in range(n)]
    need(all(first < end for first, end in ranges), "row groups")
    need(all(a[1] < b[0] for a, b in zip(ranges, ranges[1:])), "row groups")
    return ranges


class File:
    """A .ellm file: records, and the bytes of their sections."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = data = f.read()
        need(len(data) >= 64 and data[:8] == MAGIC, "not a .ellm file")
        major, _, header_bytes, directory, directory_bytes, checksum = struct.unpack_from("<2HI3Q", data, 8)
        need(major == 1, "version", major)
        need(u64(data, 56) == xxh3_64(data[:56]), "header: wrong checksum")
        need(header_bytes == 64 and directory % 64 == 0 and directory + directory_bytes == len(data), "header: sizes")
        need(xxh3_64(data[directory:]) == checksum, "directory: wrong checksum")
        self.source = data[40:56].hex()
        self.records, at, end = [], directory + 8, 64
        need(u32(data, directory + 4) == 0, "reserved field")
        for _ in range(u32(data, directory)):
            record = Record(data, at, len(data))
            need(record.offset == end, record.name, "section offset", record.offset)
            end += record.section_bytes
            at += record.bytes
            self.records.append(record)
        need(at == len(data) and end == directory, "directory size")
        parts = [record for record in self.records if record.type == PART]
        need(len(parts) < 2, "two parts")
        self.part = parts[0] if parts else None
        some = [record for record in self.records if record.type == CODED and record.ranges is not None]
        need(self.part or not some, "some row groups, but the file is no part")

    def head(self, record):
        """The head of a section, checked."""
        head = self.data[record.offset:record.offset + record.head_bytes]
        tail = self.data[record.offset + record.head_bytes + record.payload_bytes:record.offset + record.section_bytes]
        need(not any(tail), record.name, "padding of the section")
        need(xxh3_64(head + tail) == record.checksum, record.name, "wrong checksum")
        return head

    def scales(self, record, used):
        """Scales of rows and columns (None: all 1) and the outliers of a coded tensor, whose code book takes `used`
        bytes of the head; and their size."""
        if record.granularity == 0:
            return None, None, 0, 0
        head, at = self.head(record), used + -used % 4
        number, reserved, outliers = struct.unpack_from("<2IQ", head, at)
        need(reserved == 0 and (outliers != 0) == (record.granularity & PATCHED != 0), record.name, "outliers")
        rows = columns = None
        size = 16
        if record.granularity & BY_ROW:
            rows = factors(head, at + size, record.shape[0])
            size += 2 * len(rows)
            need(not any(head[at + size:at + size + -size % 4]), record.name, "padding of the scales")
            size += -size % 4
        if record.granularity & BY_COLUMN:
            before = number < self.records.index(record)
            need(before and self.records[number].type == COLUMNS, record.name, "scales of columns")
            columns = factors(self.head(self.records[number]), 0, self.records[number].columns)
            need(len(columns) == record.shape[1], record.name, "number of scales of columns")
        else:
            need(number == 0xFFFFFFFF, record.name, "scales of columns")
        return rows, columns, outliers, size

    def tensor(self, name):
        for record in self.records:
            if record.type in (KEPT, CODED) and record.name == name:
                return record
        raise Bad("no tensor " + name)


def factors(data, at, n):
    """n BF16 numbers, as floats."""
    bits = struct.unpack_from(f"<{n}H", data, at)
    need(all(0x0080 <= b < 0x7F80 for b in bits), "a scale is not positive and finite")
    return struct.unpack(f"<{n}f", struct.pack(f"<{n}I", *[b << 16 for b in bits]))


# --------------------------------------------------------------------- coding

class Book:
    """A code book; `used` is its size."""

    def __init__(self, data):
        self.kind, widths, tuples, self.pad, n = struct.unpack_from("<4BH", data)
        self.bits, self.raw_bits, self.tuple, levels = widths & 15, widths >> 4, tuples & 15, tuples >> 4
        self.least, self.most, at = 0, (1 << self.bits) - 1, 6
        if self.kind == HUFFMAN:
            escape = data[6] | data[7] << 8
            self.symbols = list(data[8:8 + n])
            if escape != 0xFFFF:
                self.symbols[escape] = ESCAPE
            at = 8 + n
            self.lengths = [data[at + i // 2] >> 4 * (i % 2) & 15 for i in range(n)]
            at += (n + 1) // 2
            self.tree()
        elif self.kind == TUPLES:
            self.widths = [data[at + j // 2] >> 4 * (j % 2) & 15 for j in range(levels)]
            at += (levels + 1) // 2
            self.symbols = list(data[at:at + n])
            at += n
        elif self.kind == FIELDS:
            self.least, self.most = n, n + (1 << self.raw_bits) - 1
            need(2 <= self.raw_bits <= min(self.bits, 6) and tuples == 1, "width of fields")
            need(self.most < 1 << self.bits and self.least <= self.pad <= self.most, "range of fields")
        else:
            need(self.kind == PLAIN, "unknown kind of code book", self.kind)
        self.used = at

    def tree(self):
        """Nodes in breadth-first order; a child is an index of a node, or ~symbol."""
        self.nodes, leaf, width, depth = [], 0, 1 if len(self.symbols) > 1 else 0, 0
        while width:
            below, inner, depth = len(self.nodes) + width, 0, depth + 1
            need(depth <= 15, "code word too long")
            for _ in range(width):
                children = []
                for _ in range(2):
                    if leaf < len(self.symbols) and self.lengths[leaf] == depth:
                        children.append(~self.symbols[leaf])
                        leaf += 1
                    else:
                        children.append(below + inner)
                        inner += 1
                self.nodes.append(children)
            width = inner
        need(len(self.symbols) == 1 or leaf == len(self.symbols), "code lengths")


def raw_list(data, at, n, width):
    """n fields of 1, 2 or 4 bits in whole groups of 64 bytes -> (fields, bytes taken)."""
    per_group, mask = 512 // width, (1 << width) - 1
    fields = []
    for group in range((n + per_group - 1) // per_group):
        chunk = data[at + 64 * group:at + 64 * group + 64]
        need(len(chunk) == 64, "block ends inside a list of raw bits")
        for shift in range(0, 8, width):
            fields.extend([byte >> shift & mask for byte in chunk])
    return fields[:n], (n + per_group - 1) // per_group * 64


def raw_bits(number, data, at, n):
    """The raw low bits of n codes, so many of each -> (values, end)."""
    values, shift = [0] * n, 0
    for width in (4, 2, 1):
        if number & width:
            fields, taken = raw_list(data, at, n, width)
            values = [v | f << shift for v, f in zip(values, fields)]
            at, shift = at + taken, shift + width
    return values, at


def field_list(data, at, n, width):
    """n fields of a tuple level -> (fields, bytes taken)."""
    if width == 1:
        return [data[at + i // 8] >> i % 8 & 1 for i in range(n)], (n + 7) // 8
    if width == 3:
        low, first = field_list(data, at, n, 2)
        high, second = field_list(data, at + first, n, 1)
        return [a | b << 2 for a, b in zip(low, high)], first + second
    per_group, fields = 512 // width, []
    for first in range(0, n, per_group):
        m = min(per_group, n - first)
        lanes = (m * width + 7) // 8
        base = at + first * width // 8
        fields.extend([data[base + f % lanes] >> width * (f // lanes) & (1 << width) - 1 for f in range(m)])
    return fields, (n * width + 7) // 8


def huffman_symbols(book, data, at, n):
    counts = [0] * len(book.nodes)
    bitmaps = []
    escapes = n if book.symbols == [ESCAPE] else 0
    if counts:
        counts[0] = n
    for (left, right), count in zip(book.nodes, counts):
        size = (count + 7) // 8
        bits = int.from_bytes(data[at:at + size], "little")
        need(at + size <= len(data) and bits >> count == 0, "bitmap of a node")
        ones = bin(bits).count("1")
        for child, number in ((left, count - ones), (right, ones)):
            if child >= 0:
                counts[child] = number
            elif ~child == ESCAPE:
                escapes = number
        bitmaps.append(bits)
        at += size
    need(at + escapes == len(data), "block size")
    escaped = list(data[at:])
    if not book.nodes:
        return escaped if escapes else [book.symbols[0]] * n
    lists = [None] * len(book.nodes)
    for node in range(len(book.nodes) - 1, -1, -1):
        sides = []
        for child in book.nodes[node]:
            if child >= 0:
                sides.append(iter(lists[child]))
                lists[child] = None
            else:
                sides.append(iter(escaped) if ~child == ESCAPE else iter(lambda symbol=~child: symbol, None))
        bits = bitmaps[node]
        text = bin(bits | 1 << counts[node])[:2:-1]
        lists[node] = [next(sides[bit == "1"]) for bit in text]
    return lists[0]


def tuple_symbols(book, data, at, n):
    levels, count = [], n
    for level, width in enumerate(book.widths):
        fields, taken = field_list(data, at, count, width)
        levels.append(fields)
        at += taken
        count = data[2 * level] | data[2 * level + 1] << 8
        need(fields.count((1 << width) - 1) == count, "count of a level")
    need(at + count == len(data), "block size")
    symbols, base = list(data[at:]), sum((1 << width) - 1 for width in book.widths)
    for fields, width in zip(reversed(levels), reversed(book.widths)):
        escape = (1 << width) - 1
        base -= escape
        table = (book.symbols[base:base + escape] + [0] * escape)[:escape]
        rest = iter(symbols)
        symbols = [next(rest) if field == escape else table[field] for field in fields]
    return symbols


def decode_block(book, data, panels, tiles, panel_rows):
    """The codes of a block in tile order."""
    tile = TILE_COLUMNS * panel_rows
    n = panels * tiles * tile
    if book.kind == PLAIN:
        codes, taken = raw_list(data, 0, n, 4) if book.bits <= 4 else (list(data), n)
        need(taken == len(data), "block size")
    elif book.kind == FIELDS:
        wide = book.raw_bits >= 4
        uppers, at = raw_list(data, 0, n, 4) if wide else ([0] * n, 0)
        lower = book.raw_bits - 4 if wide else book.raw_bits
        fields, taken = raw_bits(lower, data, at, n)
        need(taken == len(data), "block size")
        codes = [book.least + (upper << lower | field) for upper, field in zip(uppers, fields)]
    else:
        raw, at = raw_bits(book.raw_bits, data, 2 * len(book.widths) if book.kind == TUPLES else 0, n)
        pairs = (tiles + 1) // 2
        n_symbols = panels * pairs * TILE if book.tuple == 2 else n
        symbols = (tuple_symbols if book.kind == TUPLES else huffman_symbols)(book, data, at, n_symbols)
        if book.tuple == 2:
            uppers = []
            for panel in range(panels):
                for t in range(tiles):
                    first = (panel * pairs + t // 2) * TILE
                    shift = 4 * (t % 2)
                    uppers.extend([symbol >> shift & 15 for symbol in symbols[first:first + TILE]])
        else:
            uppers = symbols
        codes = [upper << book.raw_bits | low for upper, low in zip(uppers, raw)]
    need(max(codes) >> book.bits == 0, "code too large")
    return codes


def take_patches(data, record, book, panels, tiles, panel_rows, height, width):
    """The patches of a block -> ({place: difference}, bytes taken)."""
    n = data[0] | data[1] << 8
    need(2 + 3 * n <= len(data), record.name, "patches")
    differences, sums, before = {}, {}, None
    most = 65795 - 256 * max(record.zero - book.least, book.most - record.zero)
    for i in range(n):
        word = int.from_bytes(data[2 + 3 * i:5 + 3 * i], "little")
        place, difference = word & 16383, word >> 14
        difference -= 1024 if difference > 511 else 0
        tile, lane = divmod(place, TILE_COLUMNS * panel_rows)
        row = tile // tiles * panel_rows + lane // TILE_COLUMNS
        column = tile % tiles * TILE_COLUMNS + lane % TILE_COLUMNS
        need(difference != 0 and tile < panels * tiles and row < height and column < width, record.name, "patch")
        if before is not None and place <= before[0]:
            need(place == before[0] and before[1] in (511, -512) and (difference < 0) == (before[1] < 0), record.name,
                 "order of patches")
        before = place, difference
        differences[place] = differences.get(place, 0) + difference
        sums[row, column // 256] = sums.get((row, column // 256), 0) + abs(difference)
        need(sums[row, column // 256] <= most, record.name, "sum of patches")
    return differences, 2 + 3 * n


def tensor_codes(file, record):
    """All codes of a coded tensor, row-major, one byte each; those that do not fit its bits as the nearest."""
    codes, patches, _ = decode_tensor(file, record)
    out = bytearray(codes)
    for i, difference in ({} if record.quantizer == EXACT else patches).items():
        out[i] = max(0, min((1 << record.bits) - 1, out[i] + difference))
    return bytes(out)


def exact_elements(file, record):
    """All elements of an exact tensor, as safetensors stores them."""
    codes, rests, _ = decode_tensor(file, record)
    size = SIZES[record.dtype]
    low = 8 * size - 9
    out = bytearray()
    for code, rest in zip(codes, rests):
        out += ((rest >> low) << (8 * size - 1) | code << low | rest & (1 << low) - 1).to_bytes(size, "little")
    return bytes(out)


def tensor_weights(file, record):
    """All weights of a coded tensor, float32, row-major; the elements of one that is exact."""
    if record.quantizer == EXACT:
        return exact_elements(file, record)
    codes, patches, (rows, columns) = decode_tensor(file, record)
    out, width, one = bytearray(), record.shape[1], struct.Struct("<f")

    def rounded(x):  # a product of two float32 is exact in float64
        return one.unpack(one.pack(x))[0]

    for i, code in enumerate(codes):
        w = rounded((code + patches.get(i, 0) - record.zero) * record.step)
        if rows:
            w = rounded(w * rows[i // width])
        if columns:
            w = rounded(w * columns[i % width])
        out += one.pack(w)
    return bytes(out)


def decode_tensor(file, record):
    """Codes; {index: difference} of the patched ones, of an exact tensor the rests; scales of rows and columns."""
    need(record.type == CODED, record.name, "is kept, it has no codes")
    rows, columns = record.shape
    head = file.head(record)
    book = Book(head)
    table = head[len(head) - 8 * record.n_blocks:]
    need(book.bits == record.bits, record.name, "bits of the code book")
    row_scales, column_scales, outliers, size = file.scales(record, book.used)
    need(book.used + -book.used % 4 + size + 8 * record.n_blocks == len(head), record.name, "size of the head")
    payload = file.data[record.offset + record.head_bytes:record.offset + record.head_bytes + record.payload_bytes]
    panel_rows = min(PANEL_ROWS, rows)
    group_rows = panel_rows * record.panels_per_block
    ranges = -(-columns // record.block_columns)
    groups = [(0, -(-rows // group_rows))] if record.ranges is None else record.ranges
    need(all(end <= -(-rows // group_rows) for _, end in groups), record.name, "row groups")
    places = [g * ranges + r for first, end in groups for g in range(first, end) for r in range(ranges)]
    need(len(places) == record.n_blocks, record.name, "number of blocks")
    out, patched = bytearray(rows * columns), {}
    exact = record.quantizer == EXACT
    rests = [0] * (rows * columns) if exact else None
    for block in range(record.n_blocks):
        first, checksum = struct.unpack_from("<2I", table, 8 * block)
        last = u32(table, 8 * block + 8) if block + 1 < record.n_blocks else record.payload_bytes
        data = payload[first:last]
        need(first <= last <= len(payload), record.name, "block table")
        need(xxh3_64(data) & 0xFFFFFFFF == checksum, record.name, "block", block, "wrong checksum")
        row0, column0 = places[block] // ranges * group_rows, places[block] % ranges * record.block_columns
        height, width = min(group_rows, rows - row0), min(record.block_columns, columns - column0)
        panels, tiles = -(-height // panel_rows), -(-width // TILE_COLUMNS)
        if record.granularity & PATCHED:
            found, taken = take_patches(data, record, book, panels, tiles, panel_rows, height, width)
            data = data[taken:]
            for place, difference in found.items():
                tile, lane = divmod(place, TILE_COLUMNS * panel_rows)
                row = row0 + tile // tiles * panel_rows + lane // TILE_COLUMNS
                column = column0 + tile % tiles * TILE_COLUMNS + lane % TILE_COLUMNS
                patched[row * columns + column] = difference
        n_codes = panels * tiles * TILE_COLUMNS * panel_rows
        if exact:
            need(record.planes * n_codes <= len(data), record.name, "rests")
            planes = [data[p * n_codes:(p + 1) * n_codes] for p in range(record.planes)]
            data = data[record.planes * n_codes:]
        codes = bytes(decode_block(book, data, panels, tiles, panel_rows))
        for row in range(height):
            at = row // panel_rows * tiles * TILE_COLUMNS * panel_rows + row % panel_rows * TILE_COLUMNS
            step = TILE_COLUMNS * panel_rows
            line = b"".join(codes[at + t * step:at + t * step + TILE_COLUMNS] for t in range(tiles))
            start = (row0 + row) * columns + column0
            out[start:start + width] = line[:width]
            for column in range(width if exact else 0):
                place = at + column // TILE_COLUMNS * step + column % TILE_COLUMNS
                rest = int.from_bytes(bytes(plane[place] for plane in planes), "little")
                rests[start + column] = rest << 8 * record.zero
    need(len(patched) == outliers or record.ranges is not None and len(patched) < outliers, record.name,
         "number of outliers")
    return bytes(out), rests if exact else patched, (row_scales, column_scales)


def join_parts(files, name, read):
    """What `read` makes of a tensor, from all parts of a model."""
    parts = [file.part for file in files]
    need(all(parts) and sorted(p.number for p in parts) == list(range(1, parts[0].n_parts + 1)), "not all parts of a model")
    need(len({(p.whole, p.shares) for p in parts}) == 1, "parts of different models")
    out, done = None, set()
    for file in files:
        record = file.tensor(name)
        data = read(file, record)
        if record.ranges is None:
            need(out in (None, data), name, "differs from part to part")
            out, done = data, None
            continue
        need(done is not None, name, "is whole in some parts only")
        out = out or bytearray(len(data))
        rows = record.shape[0]
        height, line = min(PANEL_ROWS, rows) * record.panels_per_block, len(data) // rows
        for group in (g for first, end in record.ranges for g in range(first, end)):
            at, end = group * height * line, min((group + 1) * height, rows) * line
            need(group not in done or out[at:end] == data[at:end], name, "differs from part to part")
            out[at:end] = data[at:end]
            done.add(group)
    need(done is None or len(done) == -(-rows // height), name, "rows that no part has")
    return bytes(out)


def describe(record):
    types = {ASSET: "asset", KEPT: "kept", CODED: "coded", METADATA: "metadata",
             COLUMNS: "scales of columns", PART: "part"}
    entry = {"type": types.get(record.type, record.type), "name": record.name}
    if record.type in (KEPT, CODED):
        entry.update(dtype=DTYPES[record.dtype], shape=list(record.shape))
    if record.type == CODED:
        entry.update(bits=record.bits, step=record.step, zero=record.zero, blocks=record.n_blocks)
        if record.granularity:
            entry.update(granularity=record.granularity)
        if record.quantizer == EXACT:
            entry.update(exact=True)
    if record.type == CODED and record.ranges is not None:
        entry.update(row_groups=record.ranges)
    if record.type == PART:
        entry.update(number=record.number, parts=record.n_parts, shares=list(record.shares), whole=record.whole)
    if record.type == COLUMNS:
        entry.update(columns=record.columns)
    if record.type == METADATA:
        entry.update(value=record.value)
    entry.update(bytes=record.section_bytes + record.bytes)
    return entry


def main():
    parser = argparse.ArgumentParser(description="Reads .ellm files; standard library only.")
    parser.add_argument("file", nargs="+")
    parser.add_argument("--list", action="store_true", help="print the directory, a JSON object a line")
    parser.add_argument("--tensor", metavar="NAME")
    parser.add_argument("--codes", metavar="OUT", help="write the tensor's codes, one byte each, row-major")
    parser.add_argument("--weights", metavar="OUT", help="write the tensor's weights, float32, row-major")
    arguments = parser.parse_args()
    if not arguments.list and not (arguments.tensor and (arguments.codes or arguments.weights)):
        parser.error("nothing to do: --list, or --tensor NAME with --codes OUT or --weights OUT")
    try:
        files = [File(path) for path in arguments.file]
        if arguments.list:
            for record in (record for file in files for record in file.records):
                print(json.dumps(describe(record)))
        for path, read in ((arguments.codes, tensor_codes), (arguments.weights, tensor_weights)):
            if arguments.tensor and path:
                data = (join_parts(files, arguments.tensor, read) if len(files) > 1 or files[0].part
                        else read(files[0], files[0].tensor(arguments.tensor)))
                with open(path, "wb") as out:
                    out.write(data)
    except (Bad, UnicodeDecodeError, struct.error, IndexError, StopIteration) as error:
        sys.exit(f"{' '.join(arguments.file)}: {error or 'damaged'}")
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
