"""`quernel quantize` beside llama.cpp's quantizer, on random models with rows of every kind of
length. The `gguf` package reads our file, and what it makes of the blocks is what we make of them,
bit for bit. llama.cpp (llama-cpp-python) gives each tensor the type that we give it, and is nowhere
nearer to the weights. Without transformers or `gguf` it says so and passes; without
llama-cpp-python that part is left out.

    python3 tests/interop/quantize_llama.py BUILD_FOLDER [MODEL ...]
"""

import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    from gguf.quants import dequantize
    from random_models import random_model
    from transformers import Gemma2Config, GPT2Config, LlamaConfig, Phi3Config
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
try:
    import llama_cpp
except ImportError as missing:
    print(f"llama.cpp is left out: {missing}")
    llama_cpp = None

QUERNEL = pathlib.Path(sys.argv[1]).resolve() / "quernel"


def sizes(width, ffn, layers, heads, kv_heads):
    return dict(
        vocab_size=96,
        max_position_embeddings=32,
        hidden_size=width,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        bos_token_id=0,
        eos_token_id=0,
    )


def llama(*counts, **more):
    return LlamaConfig(**sizes(*counts), **more)


MODELS = {
    "16 layers, grouped": llama(256, 512, 16, 8, 2),
    "9 layers, tied": llama(256, 256, 9, 4, 4, tie_word_embeddings=True),
    "rows of 96 and 160": llama(96, 160, 2, 4, 4),
    "rows of 48 and 40": llama(48, 40, 2, 4, 1),
    "phi3": Phi3Config(**sizes(256, 256, 8, 8, 2), pad_token_id=0, sliding_window=None),
    "gemma2": Gemma2Config(
        **sizes(256, 512, 8, 8, 8),
        head_dim=32,
        query_pre_attn_scalar=32,
        sliding_window=32,
        pad_token_id=0,
    ),
    "eight experts": None,
    "gpt2": GPT2Config(
        vocab_size=96,
        n_positions=32,
        n_embd=256,
        n_layer=10,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    ),
}
# llama.cpp has gone from iq4_nl to q4_0 where blocks of 256 do not fit q2_K and q3_K; we have not.
ELSEWHERE = {("IQ4_NL", "Q4_0")}


def quernel(*words):
    done = subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(str(path)).tensors}


def values(tensor):
    return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def error(x, y):
    x = x.astype(np.float64).ravel()
    return float(((x - y.ravel()) ** 2).sum() / (x**2).sum())


def by_llama_cpp(source, out, file_type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = file_type, 2
    status = llama_cpp.llama_model_quantize(
        str(source).encode(), str(out).encode(), ctypes.byref(params)
    )
    assert status == 0, (out, status)


def compare(label, name, source, ours, theirs):
    """Types, and squared errors of each tensor."""
    plain, ours, theirs = tensors(source), tensors(ours), tensors(theirs)
    assert ours.keys() == theirs.keys(), (label, name)
    ratios = []
    for key, tensor in ours.items():
        kinds = tensor.tensor_type.name, theirs[key].tensor_type.name
        assert kinds[0] == kinds[1] or kinds in ELSEWHERE, (label, name, key, kinds)
        off, their_off = (error(values(plain[key]), values(t)) for t in (tensor, theirs[key]))
        assert off <= their_off * 1.0001, (label, name, key, kinds, off, their_off)
        if kinds[0].startswith(("Q", "IQ")) and their_off > 0:
            ratios.append(off / their_off)
    if ratios:
        print(
            f"{label}, {name}: {min(ratios):.3f} to {max(ratios):.3f} of llama.cpp's squared error"
        )


def read_back(source, ours, folder):
    """The numbers that the gguf package finds are those that we find, and the metadata fits."""
    back = folder / "back.gguf"
    quernel("quantize", ours, back, "--type", "F32")
    found = tensors(back)
    for key, tensor in tensors(ours).items():
        assert np.array_equal(values(tensor).view(np.uint32), values(found[key]).view(np.uint32)), (
            ours,
            key,
        )
    fields = gguf.GGUFReader(str(ours)).fields
    assert fields["general.quantization_version"].contents() == 2
    source = gguf.GGUFReader(str(source)).fields
    for key, field in source.items():
        if not key.startswith(("general.file_type", "GGUF.")):
            assert field.contents() == fields[key].contents(), key


def experts(path):
    """A file of Mixtral's kind: eight experts a layer, which no folder of ours is made of."""
    width, layers = 256, 8
    file, random = gguf.GGUFWriter(str(path), "llama"), np.random.default_rng(0)
    file.add_block_count(layers)
    file.add_context_length(64)
    file.add_embedding_length(width)
    file.add_feed_forward_length(width)
    file.add_head_count(8)
    file.add_head_count_kv(2)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_expert_count(8)
    file.add_expert_used_count(2)
    file.add_vocab_size(64)
    file.add_rope_dimension_count(32)
    file.add_tokenizer_model("no_vocab")
    square, grouped, stack = (width, width), (64, width), (8, width, width)
    names = dict(attn_q=square, attn_k=grouped, attn_v=grouped, attn_output=square)
    names |= dict(ffn_gate_inp=(8, width), attn_norm=(width,), ffn_norm=(width,))
    names |= dict(ffn_gate_exps=stack, ffn_up_exps=stack, ffn_down_exps=stack)
    shapes = {f"blk.{i}.{k}.weight": v for i in range(layers) for k, v in names.items()}
    shapes |= {
        "token_embd.weight": grouped,
        "output.weight": grouped,
        "output_norm.weight": (width,),
    }
    for name, shape in shapes.items():
        file.add_tensor(name, (random.standard_normal(shape) * 0.05).astype(np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def check(label, config, folder, types):
    hf, source = folder / "hf", folder / "source.gguf"
    if config:
        random_model(hf, config)
        quernel("convert", hf, source)
    else:
        experts(source)
    for name, file_type in types.items():
        ours, direct = folder / f"{name}.gguf", folder / "direct.gguf"
        report = json.loads(quernel("quantize", source, ours, "--type", name, "--json"))
        kinds = {t.tensor_type.name for t in tensors(ours).values()}
        assert {t["type"].upper() for t in report["types"]} == {k.upper() for k in kinds}
        read_back(source, ours, folder)
        if config:  # from the folder as from the file, but for the name
            quernel("quantize", hf, direct, "--type", name)
            a, b = tensors(ours), tensors(direct)
            assert all(np.array_equal(t.data, b[key].data) for key, t in a.items()), (label, name)
        if llama_cpp:
            by_llama_cpp(source, folder / "theirs.gguf", file_type)
            compare(label, name, source, ours, folder / "theirs.gguf")
        ours.unlink()


def main():
    if llama_cpp:
        silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    known = json.loads(quernel("quantize", "--list", "--json"))["types"]
    types = {t["type"]: getattr(gguf.LlamaFileType, "MOSTLY_" + t["type"], 0) for t in known}
    for label, config in MODELS.items():
        if sys.argv[2:] and label not in sys.argv[2:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            check(label, config, pathlib.Path(folder), types)
    print(f"{len(MODELS)} models, {len(types)} types of file")


if __name__ == "__main__":
    main()
