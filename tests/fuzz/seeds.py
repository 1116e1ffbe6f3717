"""seeds.py FOLDER: small valid inputs for the fuzz targets, FOLDER/gguf/..., so that runs begin
behind the first checks of a parser."""

import json
import os
import struct
import sys


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(kind, value):
    """kind: number of a GGUF type; 9: a list of (kind, values)."""
    if kind == 8:
        return text(value)
    if kind == 9:
        inner, items = value
        return struct.pack("<IQ", inner, len(items)) + b"".join(gguf_value(inner, i) for i in items)
    return struct.pack("<" + "BbHhIif?--Qqd"[kind], value)


def gguf(keys, tensors):
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, kind, value in keys:
        out += text(key) + struct.pack("<I", kind) + gguf_value(kind, value)
    data = b""
    for name, kind, shape, raw in tensors:
        data += b"\0" * (-len(data) % 32)
        out += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        out += struct.pack("<IQ", kind, len(data))
        data += raw
    return out + b"\0" * (-len(out) % 32) + data


VOCABULARY = [
    ("tokenizer.ggml.model", 8, "llama"),
    (
        "tokenizer.ggml.tokens",
        9,
        (8, ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "\u2581a", "ab"]),
    ),
    ("tokenizer.ggml.scores", 9, (6, [0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0])),
    ("tokenizer.ggml.token_type", 9, (5, [2, 3, 3, 1, 1, 1, 1, 1])),
    ("tokenizer.ggml.bos_token_id", 4, 1),
    ("tokenizer.ggml.eos_token_id", 4, 2),
]


def gguf_seeds():
    numbers = [(f"n.{kind}", kind, 1) for kind in (0, 1, 2, 3, 4, 5, 10, 11)]
    numbers += [("n.f", 6, 0.5), ("n.b", 7, True), ("n.d", 12, 0.25), ("general.alignment", 4, 32)]
    yield gguf(numbers, [])
    yield gguf(
        VOCABULARY, [("a.weight", 0, (2, 3), bytes(24)), ("b.weight", 8, (32, 2), bytes(68))]
    )
    yield gguf([("split.no", 2, 0), ("split.count", 2, 1)], [("q", 12, (256,), bytes(144))])


def safetensors_seeds():
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    }
    for value in (header, {}):
        raw = json.dumps(value).encode()
        yield struct.pack("<Q", len(raw)) + raw + bytes(32 if value else 0)


def tokenizer_seeds():
    whole = gguf(VOCABULARY, [])
    yield bytes([len(VOCABULARY)]) + whole[24:] + b"\xfea b ab"
    model = {
        "type": "BPE",
        "vocab": {"a": 0, "b": 1, "ab": 2, "\u0120a": 3, "\u0120": 4},
        "merges": ["a b", "\u0120 a"],
    }
    pre = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    added = [{"id": 5, "content": "<|end|>", "special": True}]
    tokenizer = {"added_tokens": added, "pre_tokenizer": pre, "model": model}
    yield b"\0" + json.dumps(tokenizer).encode() + b"\xfea ab"


GRAMMARS = [
    'root ::= "a" [b-y]* ("z" | word){2,3}\nword ::= [^"\\\\\\x00-\\x1F]+ # one\n\0abcz',
    'root ::= object\nobject ::= "{" (pair ("," pair)*)? "}"\npair ::= "\\"" . "\\":" object\n\0{}',
]
SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": -3, "maximum": 250}}},
    {"type": "array", "items": {"$ref": "#/$defs/x"}, "maxItems": 3, "$defs": {"x": {"const": 1}}},
    {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 9}, {"enum": ["a", None, 2]}]},
    {"allOf": [{"type": "string"}, {"pattern": "^[a-z]+(-[0-9]{2,3})?$"}]},
    {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
]


def main():
    seeds = {
        "gguf": gguf_seeds(),
        "safetensors": safetensors_seeds(),
        "tokenizer": tokenizer_seeds(),
        "gbnf": (grammar.encode() for grammar in GRAMMARS),
        "schema": (json.dumps(schema).encode() for schema in SCHEMAS),
    }
    for name, inputs in seeds.items():
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        for number, raw in enumerate(inputs):
            with open(os.path.join(folder, f"seed{number}"), "wb") as file:
                file.write(raw)


main()
