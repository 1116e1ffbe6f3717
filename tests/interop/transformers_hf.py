"""Model folders both ways: what `quernel train` writes, transformers loads, with logits within 1e-4
of ours; random models that transformers saves, whole or in shards, we load; what we save of them,
transformers loads again with the same logits; and a prompt fed in pieces through the cache gives
the bits of the whole sequence. Needs torch, transformers and numpy; without them it says so and
passes.

    python3 tests/interop/transformers_hf.py BUILD_FOLDER
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from transformers import AutoTokenizer
    from random_models import RANDOM, TOKENS, random_model, theirs_of
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from ours import QUERNEL, Ours

PIECES = [5, 1, 1, 9, 1, 7]


def agree(label, ours, theirs):
    worst = float(np.abs(ours - theirs).max())
    print(f"{label}: largest difference of a logit {worst:.2e}")
    assert np.abs(theirs).max() > 0.1, f"{label}: logits too small to tell anything"
    assert worst <= 1e-4, label


def compare(label, folder, tokens):
    theirs = theirs_of(folder, tokens)
    vocab = theirs.shape[1]
    with Ours(folder) as model, tempfile.TemporaryDirectory() as saved:
        ours = model.logits(tokens, vocab)
        agree(label, ours, theirs)
        if sum(PIECES) <= len(tokens):
            rows = model.fed(tokens, vocab, PIECES)
            ends = np.cumsum(PIECES) - 1
            assert (rows == ours[ends]).all(), f"{label}: the cache changes bits"
        model.save(saved)
        agree(f"{label}, saved by us", ours, theirs_of(saved, tokens))


def trained(folder, *flags):
    text = (
        "".join(
            f"the {a} sat on the {b}; "
            for a in ("cat", "dog", "hen")
            for b in ("mat", "log", "hat")
        )
        * 40
    )
    source = pathlib.Path(folder, "text.txt")
    source.write_text(text)
    out = pathlib.Path(folder, "model")
    subprocess.run(
        [
            QUERNEL,
            "train",
            "--text",
            source,
            "--steps",
            "12",
            "--batch",
            "4",
            "--context",
            "32",
            "--layers",
            "2",
            "--heads",
            "4",
            "--embed",
            "32",
            "--quiet",
            "--out",
            out,
            *flags,
        ],
        check=True,
    )
    return out, text


TRAINED = {
    "gpt2, characters": ("--tokenizer", "char", "--arch", "gpt2"),
    "gpt2 without biases, bytes": ("--tokenizer", "bytes", "--arch", "gpt2", "--no-bias"),
    "llama, BPE, grouped heads": ("--tokenizer", "bpe:300", "--arch", "llama", "--kv-heads", "2"),
    "mistral, window": ("--tokenizer", "char", "--arch", "mistral", "--window", "7"),
    "qwen2, grouped heads": ("--tokenizer", "bytes", "--arch", "qwen2", "--kv-heads", "1"),
    "qwen3, heads of 12": ("--tokenizer", "char", "--arch", "qwen3", "--head-size", "12"),
    "llama, untied": ("--tokenizer", "char", "--arch", "llama", "--untied"),
}

for label, flags in TRAINED.items():
    with tempfile.TemporaryDirectory() as folder:
        out, text = trained(folder, *flags)
        tokenizer = AutoTokenizer.from_pretrained(out)
        tokens = tokenizer(text[:80])["input_ids"][:32]
        assert tokenizer.decode(tokens) == text[: len(tokenizer.decode(tokens))], label
        compare(label, out, tokens)


def tells(label, folder):
    """Without its scaling or window a model must give other logits, or the test sees nothing."""
    path = pathlib.Path(folder, "config.json")
    config = json.loads(path.read_text())
    rope, window = config.get("rope_parameters") or {}, config.get("sliding_window")
    if rope.get("rope_type", "default") == "default" and not (window and window < 32):
        return
    with tempfile.TemporaryDirectory() as twin:
        shutil.copytree(folder, twin, dirs_exist_ok=True)
        config["rope_parameters"] = dict(rope_type="default", rope_theta=rope["rope_theta"])
        config |= dict(sliding_window=None, use_sliding_window=False)
        pathlib.Path(twin, "config.json").write_text(json.dumps(config))
        with Ours(folder) as model, Ours(twin) as plain:
            change = np.abs(model.logits(TOKENS, 90) - plain.logits(TOKENS, 90)).max()
    print(f"{label}: makes a difference of {change:.1e}")
    assert change > 2e-3, label


for label, (config, save) in RANDOM.items():
    with tempfile.TemporaryDirectory() as folder:
        random_model(folder, config, **save)
        files = sorted(p.name for p in pathlib.Path(folder).glob("*.safetensors"))
        assert (len(files) > 1) == ("shard" in label), files
        tells(label, folder)
        compare("random " + label, folder, TOKENS)
print("all agree")
