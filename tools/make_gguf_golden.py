#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make tests/golden/gguf: files written, and blocks dequantized, by the `gguf` Python package (0.19 was used).

    python3 -m venv /tmp/gguf && /tmp/gguf/bin/pip install gguf
    /tmp/gguf/bin/python tools/make_gguf_golden.py tests/golden/gguf

types.gguf has a tensor of random blocks for each element type, and metadata of each value type. types.f32 is what the
package makes of the tensors, in their order: little-endian float32. The first blocks of each tensor have extreme
scales: the largest F16, the smallest one, zeros of both signs. No scale is NaN or infinite: what NaN times something
is differs between processors. set-0000N-of-00003.gguf is a set of files.

The same arguments give the same bytes.
"""
import os
import sys

import numpy as np
from gguf import GGUFWriter, GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# where a block's F16 scales lie, in bytes from its beginning
SCALES = {
    T.F32: [], T.F16: [0], T.BF16: [], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0],
    T.MXFP4: [], T.TQ1_0: [52], T.TQ2_0: [64],
}
EXTREME = [0x7BFF, 0xFBFF, 0x0001, 0x8001, 0x0000, 0x8000, 0x03FF, 0x0400]  # F16 bits
ROWS = 2


def finite_f16(random, n):
    bits = random.integers(0, 65536, n, dtype=np.uint16)
    return np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits).astype(np.uint16)


def plain(random, kind, n):
    """Elements of a type without blocks, as bytes; every pattern but NaN may occur."""
    if kind == T.F16:
        extreme = np.array(EXTREME + [0x7C00, 0xFC00], np.uint16)
        return np.concatenate([extreme, finite_f16(random, n - 10)]).view(np.uint8)
    width = {T.F32: np.uint32, T.BF16: np.uint16}[kind]
    exponent = {T.F32: 0x7F800000, T.BF16: 0x7F80}[kind]
    bits = random.integers(0, np.iinfo(width).max, n, dtype=width, endpoint=True)
    bits = np.where((bits & exponent) == exponent, bits & ~np.array(exponent, width), bits).astype(width)
    bits[:4] = [0, exponent, exponent | (exponent + (exponent & -exponent)), 1]  # 0, infinities, the smallest
    return bits.view(np.uint8)


def blocks_of(random, kind):
    """Rows of random blocks, [ROWS, bytes]."""
    elements, size = GGML_QUANT_SIZES[kind]
    if elements == 1:
        return plain(random, kind, ROWS * 48).reshape(ROWS, -1)
    n = 6 * ROWS if elements == 256 else 8 * ROWS
    blocks = random.integers(0, 256, (n, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = finite_f16(random, n)
        some = min(n - 1, len(EXTREME))
        scales[:some] = np.roll(EXTREME, at)[:some]
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(n, 2)
    if kind == T.MXFP4:
        blocks[:6, 0] = [0, 1, 2, 127, 254, 255]
    return blocks.reshape(ROWS, -1)


def write_types(folder):
    random = np.random.Generator(np.random.PCG64(14))
    w = GGUFWriter(os.path.join(folder, "types.gguf"), "test")
    w.add_uint8("u8", 200), w.add_int8("i8", -100), w.add_uint16("u16", 60000), w.add_int16("i16", -30000)
    w.add_uint32("u32", 4000000000), w.add_int32("i32", -2000000000), w.add_uint64("u64", 2**64 - 1)
    w.add_int64("i64", -2**63), w.add_float32("f32", 0.1), w.add_float64("f64", 0.1), w.add_bool("yes", True)
    w.add_bool("no", False), w.add_string("string", "Zürich")
    w.add_array("strings", ["one", "", "dreißig", "x" * 300])
    w.add_array("integers", [1, -2, 3]), w.add_array("floats", [0.5, -1.5]), w.add_array("bools", [True, False, True])
    w.add_custom_alignment(64)
    floats = []
    for kind in SCALES:
        blocks = blocks_of(random, kind)
        w.add_tensor("t." + kind.name, blocks, raw_dtype=kind)
        floats.append(dequantize(blocks, kind).astype("<f4").ravel())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    with np.errstate(all="ignore"):
        assert not any(np.isnan(f).any() for f in floats)
    np.concatenate(floats).tofile(os.path.join(folder, "types.f32"))


def write_set(folder):
    w = GGUFWriter(os.path.join(folder, "set.gguf"), "test", split_max_tensors=2)
    w.add_string("general.name", "a set")
    for i in range(5):
        w.add_tensor(f"part.{i}", np.full((2, 4 + i), i, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    with np.errstate(all="ignore"):
        write_types(folder)
    write_set(folder)


if __name__ == "__main__":
    main()
