# SPDX-License-Identifier: Apache-2.0
"""GGUF files for the tools of this folder: read as floats, and written as F32 under the metadata of another one. Needs
numpy and the `gguf` package."""

import gguf
import numpy as np


def floats(path):
    """(name, float32 array in the order of rows and columns, bytes in the file) of each tensor, one at a time."""
    for t in gguf.GGUFReader(path).tensors:
        values = gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
        yield t.name, values.reshape(tuple(reversed(t.shape.tolist()))), int(t.n_bytes)


def write(path, like, tensors):
    """A file of F32 tensors, (name, array) pairs; its metadata are those of the file `like`."""
    reader = gguf.GGUFReader(like)
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    own = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version")
    for name, field in reader.fields.items():
        if name.startswith(own):
            continue
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, field.contents(), field.types[0])
    writer.add_file_type(0)
    for name, values in tensors:
        writer.add_tensor(name, np.ascontiguousarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
