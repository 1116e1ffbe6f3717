"""Quantized blocks beside ggml's own quantizers, through the library that llama-cpp-python brings.

blocks_ggml.py BUILD             the table that unit.blocks_encode holds ours to is what ggml does
blocks_ggml.py BUILD --figures   the rows of tests/unit/blocks_ggml.inc

The inputs are those of tests/unit/blocks_encode.c, which prints them. Skipped (77)
without llama_cpp.
"""

import ctypes
import importlib.util
import os
import subprocess
import sys

INPUTS = 7
TYPES = {  # ours: ggml's number, elements and bytes of a block
    "QN_Q2_K": (10, 256, 84),
    "QN_Q3_K": (11, 256, 110),
    "QN_Q4_K": (12, 256, 144),
    "QN_Q5_K": (13, 256, 176),
    "QN_Q6_K": (14, 256, 210),
    "QN_IQ4_NL": (20, 32, 18),
    "QN_IQ4_XS": (23, 256, 136),
    "QN_MXFP4": (39, 32, 17),
}


class Traits(ctypes.Structure):
    """ggml.h, struct ggml_type_traits."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("interleave", ctypes.c_int64),
        ("bytes", ctypes.c_size_t),
        ("quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float", ctypes.c_void_p),
    ]


def library():
    """ggml, or None."""
    spec = importlib.util.find_spec("llama_cpp")
    path = spec and os.path.join(os.path.dirname(spec.origin), "lib", "libggml-base.so")
    if not path or not os.path.exists(path):
        return None
    ggml = ctypes.CDLL(path)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = (
        [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    )
    ggml.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    return ggml


def error(ggml, row, x):
    """Relative squared error of ggml's quantizer."""
    import numpy as np

    number, block, size = row
    blocks = np.zeros(x.size // block * size, np.uint8)
    back = np.zeros(x.size, np.float32)
    ggml.ggml_quantize_chunk(number, x.ctypes.data, blocks.ctypes.data, 0, x.size // 256, 256, None)
    traits = ggml.ggml_get_type_traits(number).contents
    assert traits.block == block and traits.bytes == size, traits.name
    traits.to_float(blocks.ctypes.data, back.ctypes.data, x.size)
    x = x.astype(np.float64)
    return float(((x - back) ** 2).sum() / (x**2).sum())


def main():
    try:
        import numpy as np
    except ImportError:
        print("skipped: numpy is not installed")
        return 77
    ggml = library()
    if not ggml:
        print("skipped: llama_cpp is not installed (pip install llama-cpp-python)")
        return 77
    program = os.path.join(sys.argv[1], "tests", "unit_blocks_encode")
    inputs = np.frombuffer(
        subprocess.run([program, "--print"], check=True, capture_output=True).stdout, np.float32
    )
    inputs = inputs.reshape(INPUTS, -1)
    figures = {name: [error(ggml, row, x) for x in inputs.copy()] for name, row in TYPES.items()}
    if "--figures" in sys.argv:
        for name, errors in figures.items():
            print("{%s, {%s}}," % (name, ", ".join("%.6e" % e for e in errors)))
        return 0
    # What the C test holds ours to must be what ggml does today.
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "blocks_ggml.inc")
    stored = "".join(line for line in open(here) if not line.startswith("/*"))
    rows = [
        row.strip(" {}\n").replace("{", "").split(",") for row in stored.split("}},") if row.strip()
    ]
    failed = 0
    for row in rows:
        name, errors = row[0].strip(), [float(e) for e in row[1:]]
        for which, (was, now) in enumerate(zip(errors, figures[name])):
            # A newer ggml may have got better: then our figures are out of date.
            if now < was * 0.9999:
                print(f"{name} input {which}: ggml {now:.6e}, the table says {was:.6e}")
                failed = 1
    print(f"{len(rows)} types, {INPUTS} inputs each: {'differ' if failed else 'as in the table'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
