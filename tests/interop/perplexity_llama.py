"""`quernel eval --perplexity` and `--kl-against` beside figures worked out in numpy from the logits
that llama.cpp has for the same chunks, keys and values in f32. Without llama-cpp-python it says so
and passes.

    python3 tests/interop/perplexity_llama.py BUILD_FOLDER DATA_FOLDER
"""

import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from llama_cpp import Llama
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

QUERNEL = pathlib.Path(sys.argv[1]).resolve() / "quernel"
DATA = pathlib.Path(sys.argv[2])
CONTEXT = 64
TEXT = 3000  # bytes


def quernel(*words):
    done = subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def log_softmax(logits):
    logits = logits.astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def by_llama_cpp(path, text, context=CONTEXT):
    """log p of the scored places [chunks * places, vocabulary], and the tokens there."""
    sizes = dict(n_ctx=context, n_batch=context, n_ubatch=context, type_k=0, type_v=0)
    model = Llama(str(path), **sizes, flash_attn=False, logits_all=True, verbose=False)
    tokens = model.tokenize(text, add_bos=True, special=False)
    first, rows, targets = context // 2, [], []
    for at in range(0, len(tokens) - context + 1, context):
        chunk = tokens[at : at + context]
        if model.token_bos() >= 0:
            chunk[0] = model.token_bos()
        model.reset()
        model.eval(chunk)
        rows.append(log_softmax(np.array(model.scores[first : context - 1])))
        targets += chunk[first + 1 :]
    model.close()
    return np.concatenate(rows), np.array(targets)


def perplexity(rows, targets):
    nll = -rows[np.arange(len(targets)), targets]
    return float(np.exp(nll.mean())), float(nll.std() / np.sqrt(len(nll) - 1) * np.exp(nll.mean()))


def near(what, ours, theirs, bound):
    print(f"{what}: ours {ours:.6g}, from llama.cpp's logits {theirs:.6g}")
    assert abs(ours - theirs) <= bound * abs(theirs), what


def main():
    text = DATA / "tinyshakespeare.txt"
    if not (DATA / "stories260K.bin").exists() or not text.exists():
        print(f"skipped: {DATA} has no stories260K.bin and tinyshakespeare.txt")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        plain, short, some = folder / "plain.gguf", folder / "short.gguf", folder / "some.txt"
        some.write_bytes(text.read_bytes()[:TEXT])
        quernel("convert", DATA / "stories260K.bin", plain, "--tokenizer", DATA / "tok512.bin")
        # Four bits and back: llama.cpp then quantizes no activations on the way.
        quernel("quantize", plain, folder / "q.gguf", "--type", "Q4_0")
        quernel("quantize", folder / "q.gguf", short, "--type", "F32")
        words = ("--text", some, "--context", CONTEXT, "--json")
        ours = json.loads(quernel("eval", "--model", short, "--kl-against", plain, *words))
        alone = json.loads(quernel("eval", "--model", plain, "--perplexity", *words))
        (q, targets), (p, same) = by_llama_cpp(short, some.read_bytes()), by_llama_cpp(
            plain, some.read_bytes()
        )
    assert np.array_equal(targets, same)
    assert ours["predicted"] == alone["predicted"] == len(targets), (
        ours["predicted"],
        len(targets),
    )
    kl = (np.exp(p) * (p - q)).sum(axis=-1)
    for name, report, rows in (("q4_0", ours, q), ("f32", alone, p)):
        near(f"perplexity of {name}", report["perplexity"], perplexity(rows, targets)[0], 1e-4)
        near("its error", report["perplexity_error"], perplexity(rows, targets)[1], 1e-3)
    assert ours["reference_perplexity"] == alone["perplexity"]
    near("mean KL", ours["kl_mean"], float(kl.mean()), 1e-3)
    near("median KL", ours["kl_median"], float(np.median(kl)), 2e-3)
    near("99.9 % of KL", ours["kl_99.9"], float(np.percentile(kl, 99.9)), 2e-3)
    near("same top", ours["same_top"], float((p.argmax(-1) == q.argmax(-1)).mean()), 2e-3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
