"""Writes a model file's weights as f32: the same numbers, but no engine rounds activations for them.

llama.cpp turns activations into bytes before it multiplies them with quantised weights, and the last
bit of a sum then decides which byte. With weights in f32 it computes in f32, as the node does with
`--quant none`.
"""

import gguf

FILE_TYPE_F32 = 0


def unpacked(tensor):
    """The tensor's numbers as f32, rows as in the file, which lists its sizes in reverse."""
    return gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1].tolist())


def as_floats(path, out):
    """Writes `path` to `out` with every tensor in f32. The rest stays, including tokenizer and template."""
    reader = gguf.GGUFReader(path)
    fields = reader.fields
    writer = gguf.GGUFWriter(out, fields["general.architecture"].contents())
    for field in fields.values():
        # The header, and the fields that the writer sets.
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = FILE_TYPE_F32 if field.name == "general.file_type" else field.contents()
        kind, *inner = field.types
        writer.add_key_value(field.name, value, kind, sub_type=inner[-1] if inner else None)
    for tensor in reader.tensors:
        shape, size = tensor.shape[::-1].tolist(), int(tensor.n_elements) * 4
        writer.add_tensor_info(tensor.name, shape, "float32", size, gguf.GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    # One tensor at a time: all together are eight times as large as the file.
    for tensor in reader.tensors:
        writer.write_tensor_data(unpacked(tensor))
    writer.close()
