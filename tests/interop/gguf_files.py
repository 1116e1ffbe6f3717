"""GGUF both ways. The `gguf` package reads what we write; llama.cpp (llama-cpp-python) runs it,
with logits within 1e-3 of ours; so do random models of every architecture that transformers made
and we converted, against transformers; what we convert back is byte for byte the folder it came
from. Quantized models agree with llama.cpp within what 8-bit activations explain. Without
transformers or `gguf` it says so and passes; without llama-cpp-python that part is
left out.

    python3 tests/interop/gguf_files.py BUILD_FOLDER DATA_FOLDER
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    import torch
    from random_models import GEMMA2, GPT2, LLAMA, RANDOM, TOKENS, random_model, theirs_of
    from transformers import GPT2Config, Gemma2Config, LlamaConfig, Phi3Config, Qwen2Config
    from transformers import Qwen3Config
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
try:
    from llama_cpp import Llama
except ImportError as missing:
    print(f"llama.cpp is left out: {missing}")
    Llama = None

from ours import QUERNEL, Ours

DATA = pathlib.Path(sys.argv[2])
# What llama.cpp computes in another way, or not at all: a window is only in its gemma2.
ELSEWHERE = ("window", "every second layer", "all biases")
# What GGUF cannot say.
REFUSED = {
    "exact GELU": "the exact GELU",
    "inside pairs": "a yarn ramp",
    "own scale": "a scale of scores",
    "own weights": "weights of experts",
}


def quernel(*words):
    done = subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def refused(part, *words):
    done = subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)
    assert done.returncode in (64, 65) and part in done.stderr, (
        words,
        done.returncode,
        done.stderr,
    )


def agree(label, ours, theirs, bound=1e-3):
    worst = float(np.abs(ours - theirs).max())
    print(f"{label}: largest difference of a logit {worst:.2e}", flush=True)
    assert np.abs(theirs).max() > 0.1, f"{label}: logits too small to tell anything"
    assert worst <= bound, label


def ours_of(path, tokens, vocab):
    with Ours(path) as model:
        return model.logits(tokens, vocab)


def llama_cpp_of(path, tokens, context):
    """llama.cpp's logits, with keys and values in f32 (its default is f16)."""
    sizes = dict(n_ctx=context, n_batch=context, n_ubatch=context, type_k=0, type_v=0)
    model = Llama(str(path), **sizes, flash_attn=False, logits_all=True, verbose=False)
    model.eval(tokens)
    logits = np.array(model.scores[: len(tokens)])
    model.close()
    return logits


def against_llama_cpp(label, path, tokens, vocab, context, bound=1e-3):
    if Llama:
        theirs = llama_cpp_of(path, tokens, context)
        agree(f"{label}, llama.cpp", ours_of(path, tokens, vocab), theirs, bound)


def same_weights(a, b):
    a, b = (pathlib.Path(f, "model.safetensors").read_bytes() for f in (a, b))
    assert a == b, "the weights changed on the way"


# ---- a trained model ----


def stories(folder):
    text = (DATA / "stories260K_greedy200.txt").read_text()
    tokens = np.fromfile(DATA / "stories260K_tokens_i32.bin", np.int32)[:64].tolist()
    model, tokenizer = DATA / "stories260K.bin", DATA / "tok512.bin"
    for dtype in ("f32", "f16", "bf16"):
        path = folder / f"stories-{dtype}.gguf"
        quernel("convert", model, path, "--tokenizer", tokenizer, "--dtype", dtype, "--quiet")
        reader = gguf.GGUFReader(path)
        names = {t.name: t for t in reader.tensors}
        assert len(names) == 47 and "output.weight" not in names
        matrix = names["blk.0.ffn_up.weight"]
        assert list(matrix.shape) == [64, 172] and matrix.tensor_type.name == dtype.upper()
        assert names["blk.0.attn_norm.weight"].tensor_type.name == "F32"
        assert reader.fields["tokenizer.ggml.tokens"].contents()[1] == "<s>"
        # llama.cpp rounds activations to 16 bits where weights have them: 2^-11 and 2^-8 of each
        # product's terms, some 20 products deep, logits up to 20.
        bound = {"f32": 1e-3, "f16": 3e-2, "bf16": 2e-1}[dtype]
        against_llama_cpp(f"stories260K {dtype}", path, tokens, 512, 512, bound)
        if dtype == "f32":
            greedy = ("--prompt", "", "--tokens", 200, "--temperature", 0)
            assert quernel("generate", "--model", path, *greedy)[: len(text)] == text
            kept = np.fromfile(DATA / "stories260K_logits_f32.bin", np.float32).reshape(64, 512)
            agree("stories260K, llama2.c", ours_of(path, tokens, 512), kept)
    if Llama:
        path = folder / "stories-f32.gguf"
        model = Llama(str(path), n_ctx=512, verbose=False)
        written = model.create_completion("", max_tokens=190, temperature=0)
        assert text.startswith(written["choices"][0]["text"][:400]), written
        model.close()


def shards(folder):
    whole = folder / "stories-f32.gguf"
    quernel("convert", whole, folder / "cut.gguf", "--shard-size", "300K", "--quiet")
    parts = sorted(folder.glob("cut-*.gguf"))
    assert len(parts) == 4, parts
    tokens = [1, 400, 300]
    assert (ours_of(parts[0], tokens, 512) == ours_of(whole, tokens, 512)).all()
    tensors = [t for p in parts for t in gguf.GGUFReader(p).tensors]
    for one, other in zip(tensors, gguf.GGUFReader(whole).tensors, strict=True):
        assert one.name == other.name and (one.data == other.data).all()
    against_llama_cpp("shards", parts[0], tokens, 512, 64)
    refused("give the first", "convert", parts[1], folder / "x.gguf")
    quernel("convert", parts[0], folder / "joined.gguf", "--quiet")
    assert (folder / "joined.gguf").read_bytes() == whole.read_bytes()


# ---- a file that others made ----


def tiny(folder):
    path = DATA / "llama-2-tiny-random.gguf"
    tokens = [1] + [(977 * i * i + 31 * i) % 32000 for i in range(1, 40)]
    against_llama_cpp("llama-2-tiny-random", path, tokens, 32000, 64)
    quernel("convert", path, folder / "hf", "--quiet")
    theirs = theirs_of(folder / "hf", tokens)
    agree("llama-2-tiny-random, transformers", ours_of(path, tokens, 32000), theirs)
    quernel("convert", folder / "hf", folder / "again.gguf", "--quiet")
    before, after = (gguf.GGUFReader(p) for p in (path, folder / "again.gguf"))
    after = {t.name: t for t in after.tensors}
    for tensor in before.tensors:
        assert (after[tensor.name].data == tensor.data).all(), tensor.name


# ---- tokenizers ----

TEXTS = (
    "Once upon a time, Lily saw 3 birds!\n\n  It's   1999; don't-you'll\tsee? ",
    " ünïcödé 🦉 and 日本語, x=y+2",
    "the cat sat on the mat; the dog sat on the log; ",
)


def ids_of(path, text):
    done = subprocess.run(
        [QUERNEL, "tokenize", "--tokenizer", path], input=text.encode(), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def llama_cpp_ids(path, texts):
    model = Llama(str(path), vocab_only=True, verbose=False)
    ids = [model.tokenize(text.encode(), add_bos=False, special=False) for text in texts]
    model.close()
    return ids


def same_ids(label, before, after, texts=TEXTS):
    ours = [ids_of(before, text) for text in texts]
    assert ours == [ids_of(after, text) for text in texts], label
    theirs = llama_cpp_ids(after, texts) if Llama else ours
    assert theirs == ours, (label, ours, theirs)
    print(f"{label}: {sum(map(len, ours))} ids agree", flush=True)


def tokenizers(folder):
    text = folder / "text.txt"
    text.write_text("".join(TEXTS) * 30)
    for kind in ("bpe:300", "bytes"):
        out, sizes = folder / kind.replace(":", ""), ("--layers", 1, "--heads", 2, "--embed", 16)
        words = ("--steps", 1, "--batch", 1, "--context", 16, *sizes, "--arch", "llama", "--quiet")
        quernel("train", "--text", text, "--tokenizer", kind, *words, "--out", out)
        quernel("convert", out, folder / "t.gguf", "--quiet")
        same_ids(f"tokenizer {kind}", out, folder / "t.gguf")
    words = ("--tokenizer", "char", "--steps", 1, "--batch", 1, "--context", 16, *sizes, "--quiet")
    quernel("train", "--text", text, *words, "--out", folder / "char")
    refused("--tokenizer none", "convert", folder / "char", folder / "c.gguf", "--quiet")
    assert not (folder / "c.gguf").exists()
    path = DATA / "llama-2-tiny-random.gguf"
    if path.exists():  # scores, to ranked merges in tokenizer.json, to scores
        quernel("convert", path, folder / "hf", "--quiet")
        (folder / "hf" / "chat_template.jinja").write_text("{{ messages }}")
        quernel("convert", folder / "hf", folder / "again.gguf", "--quiet")
        same_ids("tokenizer of Llama 2", path, folder / "again.gguf")
        fields = gguf.GGUFReader(folder / "again.gguf").fields
        assert fields["tokenizer.chat_template"].contents() == "{{ messages }}"
        quernel("convert", folder / "again.gguf", folder / "hf2", "--quiet")
        assert (folder / "hf2" / "chat_template.jinja").read_text() == "{{ messages }}"


# ---- random models ----


def random_models(folder):
    for number, (label, (config, save)) in enumerate(RANDOM.items()):
        hf, path = folder / f"hf{number}", folder / f"{number}.gguf"
        random_model(hf, config, **dict(save))
        words = ("convert", hf, path, "--tokenizer", "none", "--dtype", "f32", "--quiet")
        reason = next((r for part, r in REFUSED.items() if part in label), None)
        if reason:
            refused(reason, *words)
            assert not path.exists()
            continue
        quernel(*words)
        theirs = theirs_of(hf, TOKENS)
        agree(f"random {label}", ours_of(path, TOKENS, 90), theirs)
        elsewhere = any(part in label.replace("no window", "") for part in ELSEWHERE)
        if Llama and (not elsewhere or "gemma2" in label):
            # llama.cpp reads GELU from a table in f16.
            bound = 5e-3 if "gpt2" in label or "gemma2" in label else 1e-3
            agree(f"random {label}, llama.cpp", llama_cpp_of(path, TOKENS, 32), theirs, bound)
        back = folder / f"back{number}"
        quernel("convert", path, back, "--quiet")
        quernel("convert", hf, folder / f"plain{number}", "--dtype", "f32", "--quiet")
        same_weights(back, folder / f"plain{number}")
        agree(f"random {label}, back in a folder", theirs_of(back, TOKENS), theirs, 1e-4)


# ---- quantized ----

# Both round activations to 8 bits where a matrix is quantized, in blocks of their own choice. In a
# block of normal numbers the largest is about 3.2 times the root mean square, so a rounding error
# has 3.2 / 127 / sqrt(12) of it, and so has a product's output. A row passes seven products a
# layer and the head; errors of different products, and of the two programs, add as squares.
LAYERS = 2
NMSE = 2 * (7 * LAYERS + 1) * (3.2 / 127) ** 2 / 12


def quantized(folder):
    if not Llama:
        return
    sizes = dict(LLAMA | dict(hidden_size=256, intermediate_size=512, num_hidden_layers=LAYERS))
    sizes |= dict(num_attention_heads=4, num_key_value_heads=2)
    gpt2_sizes = GPT2 | dict(n_embd=256, n_inner=512, n_layer=LAYERS)
    gemma = GEMMA2 | dict(head_dim=64, query_pre_attn_scalar=64)
    models = {
        "gpt2": GPT2Config(**gpt2_sizes),
        "llama": LlamaConfig(**sizes),
        "qwen2": Qwen2Config(**sizes),
        "qwen3": Qwen3Config(**sizes, head_dim=64),
        "phi3": Phi3Config(**sizes, pad_token_id=0, sliding_window=None),
        "gemma2": Gemma2Config(**sizes, **gemma, sliding_window=40),
    }
    for label, config in models.items():
        hf = random_model(folder / label, config, std=0.05)
        for kind in ("Q8_0", "Q4_0", "Q4_K_M"):
            path = folder / f"{label}-{kind}.gguf"
            quernel("quantize", hf, path, "--type", kind, "--tokenizer", "none", "--quiet")
            ours, theirs = ours_of(path, TOKENS, 90), llama_cpp_of(path, TOKENS, 32)
            nmse = float(((ours - theirs) ** 2).sum() / (theirs**2).sum())
            print(f"{label} {kind}, llama.cpp: NMSE {nmse:.1e}; bound {NMSE:.1e}", flush=True)
            assert np.abs(theirs).max() > 0.1 and nmse <= NMSE, (label, kind)


for part in (stories, shards, tiny, tokenizers, random_models, quantized):
    if part in (tokenizers, random_models, quantized) or (DATA / "stories260K.bin").exists():
        with tempfile.TemporaryDirectory() as made:
            folder = pathlib.Path(made)
            if part is shards:
                quernel(
                    *("convert", DATA / "stories260K.bin", folder / "stories-f32.gguf"),
                    *("--tokenizer", DATA / "tok512.bin", "--quiet"),
                )
            part(folder)
print("all agree")
