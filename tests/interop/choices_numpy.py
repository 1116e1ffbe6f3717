"""`quernel eval --choices` against a Llama forward pass in numpy doubles, on a trained model: every
ending's loss, both accuracies; from lines of JSON and from llm.c's file,
which is written here after its description.

    python3 tests/interop/choices_numpy.py BUILD_FOLDER
"""

import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: the Python package numpy is not there")
    sys.exit(77)

build = pathlib.Path(sys.argv[1])
here = pathlib.Path(__file__).resolve().parents[2]
data = pathlib.Path(os.environ.get("QN_TEST_DATA") or here / "../shared/data")
model_path, tokenizer = data / "stories260K.bin", data / "tok512.bin"
if not model_path.exists():
    print(f"skipped: {model_path} is not there; set QN_TEST_DATA")
    sys.exit(77)
folder = tempfile.TemporaryDirectory()
root = pathlib.Path(folder.name)


class Llama:
    """llama2.c's file: seven int32, then float32 tensors, each for all layers."""

    def __init__(self, path):
        raw = path.read_bytes()
        dim, ffn, self.layers, self.heads, self.groups, vocab, length = struct.unpack(
            "7i", raw[:28]
        )
        values, self.at = np.frombuffer(raw, np.float32, offset=28).astype(np.float64), 0
        layers, size = self.layers, dim // self.heads
        self.size, kv = size, size * self.groups

        def take(*shape):
            count = int(np.prod(shape))
            self.at += count
            return values[self.at - count : self.at].reshape(shape)

        self.embedding, self.norm1 = take(vocab, dim), take(layers, dim)
        self.q, self.k = take(layers, dim, dim), take(layers, kv, dim)
        self.v, self.o = take(layers, kv, dim), take(layers, dim, dim)
        self.norm2, self.gate = take(layers, dim), take(layers, ffn, dim)
        self.down, self.up = take(layers, dim, ffn), take(layers, ffn, dim)
        self.norm = take(dim)
        take(length, size // 2), take(length, size // 2)
        self.head = self.embedding if vocab > 0 else take(-vocab, dim)

    def logits(self, ids):
        x, rows = self.embedding[ids], len(ids)
        angles = np.outer(np.arange(rows), 10000.0 ** (-np.arange(0, self.size, 2) / self.size))
        turn = np.exp(1j * angles)[:, None]  # pairs (2i, 2i + 1) are complex numbers
        hidden = np.triu(np.full((rows, rows), -np.inf), 1)

        def rms(y, gain):
            return y / np.sqrt((y * y).mean(-1, keepdims=True) + 1e-5) * gain

        def rotate(y):
            pairs = y.reshape(rows, -1, self.size // 2, 2)
            turned = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
            return np.stack([turned.real, turned.imag], -1).reshape(rows, -1, self.size)

        for i in range(self.layers):
            y = rms(x, self.norm1[i])
            q, k = rotate(y @ self.q[i].T), rotate(y @ self.k[i].T)
            v = (y @ self.v[i].T).reshape(rows, -1, self.size)
            k, v = (np.repeat(t, self.heads // self.groups, 1) for t in (k, v))
            score = np.einsum("rhd,shd->hrs", q, k) / np.sqrt(self.size) + hidden
            score = np.exp(score - score.max(-1, keepdims=True))
            score /= score.sum(-1, keepdims=True)
            x = x + np.einsum("hrs,shd->rhd", score, v).reshape(rows, -1) @ self.o[i].T
            y = rms(x, self.norm2[i])
            gate = y @ self.gate[i].T
            x = x + (gate / (1 + np.exp(-gate)) * (y @ self.up[i].T)) @ self.down[i].T
        return rms(x, self.norm) @ self.head.T

    def nll(self, context, ending):
        logits = self.logits((context + ending)[:-1])[-len(ending) :]
        top = logits.max(-1, keepdims=True)
        logp = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
        return -sum(logp[i, token] for i, token in enumerate(ending))


def quernel(*words):
    result = subprocess.run(
        [build / "quernel", *words], stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL
    )
    return result.stdout.decode()


def tokens(text):
    words = [build / "quernel", "tokenize", "--tokenizer", tokenizer, "--bos"]
    out = subprocess.run(words, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    return [int(word) for word in out.split()]


# Where the model's own story goes on, against places where it does not.
rng = random.Random(3)
story = (data / "stories260K_greedy200.txt").read_text().split()
questions = []
for number in range(24):
    cut, length = rng.randrange(3, 60), rng.randrange(1, 7)
    endings = [" ".join(story[at : at + length]) for at in (cut, *rng.sample(range(60), 3))]
    endings[3] = " ".join(rng.sample(story, rng.randrange(1, 9)))
    label = rng.randrange(4)
    endings[0], endings[label] = endings[label], endings[0]
    questions.append({"ctx": " ".join(story[:cut]), "endings": endings, "label": label})
(root / "q.jsonl").write_text("\n".join(json.dumps(q) for q in questions))

stream, longest, parts = b"", 0, []
for number, question in enumerate(questions):
    context = tokens(question["ctx"])
    both = [tokens(question["ctx"] + " " + ending) for ending in question["endings"]]
    assert all(ids[: len(context)] == context for ids in both)
    endings = [ids[len(context) :] for ids in both]
    parts.append((context, endings))
    words = [65535, 0, number, question["label"], 4, len(context), *context]
    for ids in endings:
        words += [len(ids), *ids]
    words[1] = 2 * len(words)
    longest = max(longest, words[1])
    stream += struct.pack(f"<{len(words)}H", *words)
header = struct.pack("<4i", 20240522, 1, len(questions), longest).ljust(1024, b"\0")
(root / "q.bin").write_bytes(header + stream)

where = ("--model", model_path, "--choices")
words = ("--each", "--json", "--batch", "5")
lines = quernel("eval", *where, root / "q.bin", *words).splitlines()
again = quernel("eval", *where, root / "q.jsonl", "--tokenizer", tokenizer, "--each", "--json")
assert lines[:-1] == again.splitlines()[:-1], "lines of JSON and the tokens they make differ"
quernel(
    "eval", "--choices", root / "q.jsonl", "--tokenizer", tokenizer, "--write", root / "ours.bin"
)
assert (root / "ours.bin").read_bytes() == (root / "q.bin").read_bytes(), "--write"

model, right, right_norm, worst, near = Llama(model_path), 0, 0, 0.0, 0
for line, question, (context, endings) in zip(lines, questions, parts):
    answer = json.loads(line)
    want = np.array([model.nll(context, ids) for ids in endings])
    assert answer["tokens"] == [len(ids) for ids in endings]
    worst = max(worst, np.max(np.abs(np.array(answer["nll"]) - want) / want))
    mean = want / np.array(answer["tokens"])
    assert answer["by_sum"] == int(np.argmin(want)), (answer, want)
    assert answer["by_mean"] == int(np.argmin(mean)), (answer, mean)
    right += int(np.argmin(want)) == question["label"]
    right_norm += int(np.argmin(mean)) == question["label"]
total = json.loads(lines[-1])
assert worst < 1e-4, worst
assert total["questions"] == len(questions) and total["shortened"] == 0
assert (
    total["acc"] == right / 24 and total["acc_norm"] == right_norm / 24 and total["chance"] == 0.25
)
assert right_norm > 12, "the model should know its own story"
print(
    f"{len(lines) - 1} questions, losses within {worst:.1e}, acc {right}/24, norm {right_norm}/24"
)
