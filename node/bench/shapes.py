"""Model files with random weights, in the shapes of the benchmark and in llama.cpp's formats.

Tokenizer and template come from a real file of the same family, so that every engine loads them.
"""

import pathlib

import gguf
import numpy as np

SHAPES = {
    # llama.cpp's name, width, inner width, layers, heads, heads of keys and values, theta
    "smollm2-135m": ("llama", 576, 1536, 30, 9, 3, 100_000.0),
    "qwen2.5-0.5b": ("qwen2", 896, 4864, 24, 14, 2, 1_000_000.0),
}
TYPES = {
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
    "Q4_0": gguf.GGMLQuantizationType.Q4_0,
}


def words(writer, real):
    """Copies tokenizer and chat template; returns the size of the vocabulary."""
    reader = gguf.GGUFReader(str(real))
    size = 0
    for name, field in reader.fields.items():
        if not name.startswith("tokenizer."):
            continue
        value = field.contents()
        if name == "tokenizer.ggml.tokens":
            size = len(value)
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_array(name, value)
        else:
            writer.add_key_value(name, value, kind)
    return size


def make(shape, kind, real, path, seed=7):
    """Writes one file; the same arguments give the same bytes."""
    arch, width, inner, layers, heads, kv_heads, theta = SHAPES[shape]
    head = width // heads
    chance = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), arch)
    writer.add_block_count(layers)
    writer.add_context_length(8192)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(theta)
    writer.add_rope_dimension_count(head)
    vocab = words(writer, real)
    writer.add_vocab_size(vocab)

    def matrix(name, rows, cols):
        weights = chance.standard_normal((rows, cols), dtype=np.float32) * 0.03
        packed = gguf.quants.quantize(weights, TYPES[kind])
        writer.add_tensor(name, packed, raw_dtype=TYPES[kind])

    def vector(name, size, value):
        writer.add_tensor(name, np.full(size, value, dtype=np.float32))

    matrix("token_embd.weight", vocab, width)
    vector("output_norm.weight", width, 1.0)
    for layer in range(layers):
        at = f"blk.{layer}."
        vector(at + "attn_norm.weight", width, 1.0)
        vector(at + "ffn_norm.weight", width, 1.0)
        for name, rows in (("q", width), ("k", kv_heads * head), ("v", kv_heads * head)):
            matrix(f"{at}attn_{name}.weight", rows, width)
            if arch == "qwen2":
                vector(f"{at}attn_{name}.bias", rows, 0.01)
        matrix(at + "attn_output.weight", width, width)
        matrix(at + "ffn_gate.weight", inner, width)
        matrix(at + "ffn_up.weight", inner, width)
        matrix(at + "ffn_down.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ensure(shape, kind, real, folder):
    """The file's path; made when it is not there."""
    path = pathlib.Path(folder) / f"{shape}.random.{kind}.gguf"
    if not path.exists():
        part = path.with_suffix(".part")
        make(shape, kind, real, part)
        part.rename(path)
    return path
