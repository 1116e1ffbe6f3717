"""quernel convert: every round trip between Hugging Face folders, llm.c files and our checkpoints
gives back the bytes; what a format cannot hold is refused with the reason, and nothing is left.
GGUF has its own: tests/interop/gguf_files.py.

    python3 tests/model/convert.py BUILD_FOLDER [DATA_FOLDER]
"""

import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

QUERNEL = pathlib.Path(sys.argv[1]).resolve() / "quernel"
DATA = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
TEXT = "a fox and a hen met at the well; the hen fell in, the fox went home. " * 60


def run(*words):
    return subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)


def quernel(*words):
    done = run(*words)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def refused(part, *words, code=None):
    done = run(*words)
    assert done.returncode in ((code,) if code else (64, 65)), (words, done.returncode, done.stderr)
    assert part in done.stderr, (words, done.stderr)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def config(folder, *without):
    keys = json.loads((folder / "config.json").read_text())
    return {key: value for key, value in keys.items() if key not in without}


def same_model(a, b, *without):
    assert weights(a) == weights(b), (a, b)
    assert config(a, *without) == config(b, *without), (a, b)


def train(folder, name, *flags):
    text = folder / "text.txt"
    text.write_text(TEXT)
    sizes = ("--layers", 2, "--heads", 4, "--embed", 32, "--context", 32, "--batch", 4)
    run = ("train", "--text", text, *sizes, "--steps", 6, "--quiet", "--out", folder / name)
    quernel(*run, *flags)
    return folder / name


def header(path):
    return struct.unpack("<8i", path.read_bytes()[:32])


def gpt2(folder):
    a = train(folder, "a", "--tokenizer", "char")
    convert = lambda *words: quernel("convert", *words, "--quiet")
    tokens = ("bos_token_id", "eos_token_id")  # llm.c does not keep them
    convert(a, folder / "a.bin")
    vocab = config(a)["vocab_size"]
    assert header(folder / "a.bin") == (20240326, 3, 32, vocab, 2, 4, 32, 128)
    convert(folder / "a.bin", folder / "b")
    same_model(a, folder / "b", *tokens)
    convert(folder / "b", folder / "b.bin", "--to", "llmc")
    assert (folder / "a.bin").read_bytes() == (folder / "b.bin").read_bytes()

    convert(a, folder / "c.bin", "--dtype", "bf16")
    assert header(folder / "c.bin")[1] == 5
    convert(folder / "c.bin", folder / "c")
    convert(a, folder / "d", "--dtype", "bf16")
    same_model(folder / "c", folder / "d", *tokens)
    assert config(folder / "c")["torch_dtype"] == "bfloat16"
    assert 0.49 < len(weights(folder / "c")) / len(weights(a)) < 0.6
    convert(folder / "d", folder / "d.bin")  # keeps bf16
    assert (folder / "c.bin").read_bytes() == (folder / "d.bin").read_bytes()
    convert(folder / "d", folder / "d32", "--dtype", "f32")
    convert(folder / "d32", folder / "d16", "--dtype", "bf16")
    same_model(folder / "d", folder / "d16")
    convert(a, folder / "h", "--dtype", "f16")
    convert(folder / "h", folder / "h32", "--dtype", "f32")
    convert(folder / "h32", folder / "h16", "--dtype", "f16")
    same_model(folder / "h", folder / "h16")

    for name in ("tokenizer.json", "tokenizer_config.json"):
        for made in ("d", "h16"):
            assert (a / name).read_bytes() == (folder / made / name).read_bytes(), name
    refused("same place", "convert", a, a)
    refused("is not hf, gguf, llmc or checkpoint", "convert", a, folder / "no", "--to", "onnx")
    refused("is not f32, f16 or bf16", "convert", a, folder / "no", "--dtype", "int4")
    refused("written in f32 or bf16", "convert", a, folder / "no.bin", "--dtype", "f16")
    refused("hold f32", "convert", a, folder / "no", "--to", "checkpoint", "--dtype", "bf16")
    assert not (folder / "no.bin").exists()
    return a


def checkpoints(folder, a):
    quernel("convert", a, folder / "k", "--to", "checkpoint")
    assert [p.name for p in (folder / "k").glob("step-*")] == ["step-00000000"]
    quernel("convert", folder / "k", folder / "k1")
    same_model(a, folder / "k1")
    quernel("convert", folder / "k" / "step-00000000", folder / "k2")
    same_model(a, folder / "k2")
    assert (a / "tokenizer.json").read_bytes() == (folder / "k2/tokenizer.json").read_bytes()
    # a checkpoint of a run, while its folder has no model yet
    step = sorted(a.glob("step-*"))[-1]
    quernel("convert", step, folder / "k3")
    same_model(a, folder / "k3")
    # a run may begin with it: the first loss is that of the trained weights
    sizes = ("--layers", 2, "--heads", 4, "--embed", 32, "--context", 32, "--batch", 4)
    begin = ("train", "--text", folder / "text.txt", *sizes, "--steps", 1, "--json")
    first = lambda *words: json.loads(quernel(*begin, *words).splitlines()[0])["loss"]
    fresh = first("--out", folder / "fresh")
    resumed = first("--out", folder / "k", "--resume")
    assert resumed < fresh - 0.1, (resumed, fresh)
    other = ("train", "--text", folder / "text.txt", "--steps", 2, "--resume")
    quernel("convert", a, folder / "k4", "--to", "checkpoint")
    refused("another n_", *other, "--out", folder / "k4", "--embed", 64, "--quiet")


def llama(folder):
    a = train(folder, "llama", "--arch", "llama", "--kv-heads", 2, "--tokenizer", "bytes")
    quernel("convert", a, folder / "lk", "--to", "checkpoint")
    quernel("convert", folder / "lk", folder / "l1")
    same_model(a, folder / "l1")
    refused("(llama) is no GPT-2", "convert", a, folder / "no.bin")
    untied = train(folder, "untied", "--untied")
    refused("output matrix of its own", "convert", untied, folder / "no.bin")
    assert not (folder / "no.bin").exists()
    bad = folder / "bad"
    bad.mkdir()
    (bad / "config.json").write_text((a / "config.json").read_text())
    (bad / "model.safetensors").write_bytes(weights(a)[:-4])
    refused("model.safetensors", "convert", bad, folder / "no")
    assert not (folder / "no" / "model.safetensors").exists()


def stories(folder):
    """llama2.c rotates pairs; in the folder rows of Q and K lie in halves: the same text."""
    source, tokenizer = DATA / "stories260K.bin", DATA / "tok512.bin"
    quernel("convert", source, folder / "stories", "--tokenizer", tokenizer)
    say = ("--prompt", "Once upon a time", "--tokens", 60, "--temperature", 0, "--json")
    ours = json.loads(quernel("generate", "--model", folder / "stories", *say))
    theirs = json.loads(quernel("generate", "--model", source, "--tokenizer", tokenizer, *say))
    assert ours["text"] == theirs["text"], (ours["text"], theirs["text"])
    # a run that begins with pairs keeps them in its checkpoints, which say so
    run = ("finetune", "--model", source, "--tokenizer", tokenizer, "--text", folder / "text.txt")
    quernel(*run, "--context", 64, "--steps", 2, "--quiet", "--out", folder / "pairs")
    quernel("convert", folder / "pairs" / "step-00000002", folder / "pairs2")
    same_model(folder / "pairs", folder / "pairs2")
    assert re.match(r", there was a little girl", ours["text"]), ours["text"]


with tempfile.TemporaryDirectory() as name:
    here = pathlib.Path(name)
    checkpoints(here, gpt2(here))
    llama(here)
    if DATA and (DATA / "stories260K.bin").is_file():
        stories(here)
    else:
        print("no real model here: skipped that part")
print("all agree")
