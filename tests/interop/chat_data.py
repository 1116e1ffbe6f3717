#!/usr/bin/env python3
"""Are conversations the tokens, and the learned tokens, that `transformers` makes of ChatML's
template?

usage: chat_data.py BUILD_FOLDER

A byte-level tokenizer with turn marks is trained with the `tokenizers` package, conversations are
cut from tinyshakespeare.txt, and the file of tokens that a run leaves in its cache is compared,
token by token, with apply_chat_template and its mask of the assistant's tokens. Without the
packages or the text the script says so and exits with 77 (skipped)."""

import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

try:
    import tokenizers
    import transformers
except ImportError as error:
    print(f"the Python package {error.name} is absent; skipped")
    sys.exit(77)
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

build = pathlib.Path(sys.argv[1])
data = os.environ.get("QN_TEST_DATA") or pathlib.Path(__file__).parents[2] / "../shared/data"
text = pathlib.Path(data) / "tinyshakespeare.txt"
if not text.exists():
    print(f"{text} is not there; set QN_TEST_DATA")
    sys.exit(77)

TEMPLATE = (
    "{% for m in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{% endfor %}"
)


def conversations(documents):
    """Some users begin with white space, some say nothing; some talks have several turns."""
    choose, talks = random.Random(5), []
    while len(talks) < 300:
        talk = []
        if choose.random() < 0.3:
            talk.append(("system", choose.choice(documents)[:60]))
        for _ in range(choose.randrange(1, 4)):
            before = choose.choice(["", "", " ", "\n", "\n\n  ", "\t"])
            talk.append(("user", before + choose.choice(documents + [""])))
            talk.append(("assistant", choose.choice(documents).strip()))
        talks.append([{"role": r, "content": c} for r, c in talk])
    return talks


def make_tokenizer(folder, documents):
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=marks,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(documents, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=marks[0])
    fast.save_pretrained(folder)
    return fast


def cached_tokens(cache):
    """(id, learned) of every token, and where documents end."""
    (path,) = (cache / "tokens").glob("*.bin")
    raw = path.read_bytes()
    head = struct.unpack("<16Q", raw[:128])
    word, masked, count, documents = head[4], head[5], head[6], head[7]
    assert word == 2 and masked == 1
    words = struct.unpack(f"<{count}H", raw[128 : 128 + 2 * count])
    at = 128 + (2 * count + 7) // 8 * 8
    return words, struct.unpack(f"<{documents}Q", raw[at:])


with tempfile.TemporaryDirectory() as name:
    root = pathlib.Path(name)
    documents = [d for d in text.read_text().split("\n\n") if d.strip()]
    fast = make_tokenizer(root / "tokenizer", documents)
    talks = conversations(documents)
    lines = root / "talks.jsonl"
    lines.write_text("".join(json.dumps({"messages": t}) + "\n" for t in talks))
    words = ["train", "--data", lines, "--tokenizer", root / "tokenizer", "--out", root / "out"]
    words += "--layers 1 --heads 2 --embed 16 --context 64 --batch 2 --steps 1 --quiet".split()
    environment = dict(os.environ, QN_CACHE_DIR=str(root / "cache"))
    subprocess.run([build / "quernel", *words], check=True, env=environment)
    tokens, ends = cached_tokens(root / "cache")
    assert len(ends) == len(talks), f"{len(ends)} documents of {len(talks)}"
    begin = learned = 0
    for number, (talk, end) in enumerate(zip(talks, ends)):
        want = fast.apply_chat_template(
            talk, chat_template=TEMPLATE, return_dict=True, return_assistant_tokens_mask=True
        )
        ids = want["input_ids"] + [fast.eos_token_id]
        mask = want["assistant_masks"] + [0]
        got = tokens[begin:end]
        if [t & 0x7FFF for t in got] != ids or [1 - (t >> 15) for t in got] != mask:
            sys.exit(f"conversation {number} differs: {talk}\n ours   {got}\n theirs {ids} {mask}")
        begin, learned = end, learned + sum(mask)
    print(f"{len(talks)} conversations, {len(tokens)} tokens, {learned} learned: the same")
