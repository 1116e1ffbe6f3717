#!/usr/bin/env python3
"""Tokenizers of GGUF files against the `tokenizers` package.

usage: tokenizers_gguf.py BUILD_FOLDER

For each pre-tokenizer a small vocabulary is trained with the pre-tokenizer that the models' authors
publish, user-defined and control tokens are added, it is written as a GGUF file, and random and
nasty texts are encoded by both. The same with WordPiece, cased and not. Without the package or the
text the script says so and exits with 77 (skipped)."""

import ctypes
import json
import os
import pathlib
import random
import re
import struct
import sys
import tempfile

try:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
    from tokenizers import pre_tokenizers as pre
    from tokenizers import processors, trainers
except ImportError:
    print("the Python package `tokenizers` is absent; skipped")
    sys.exit(77)

from ours import LIB, must

NORMAL, UNKNOWN, CONTROL, USER = 1, 2, 3, 4
SPECIAL = 2  # QN_ENCODE_SPECIAL
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LATIN = (
    "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
    "Ḁ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ"
    "\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+"
)


def split(pattern):
    return pre.Split(Regex(pattern), "isolated")


def bytes_step(regex):
    return pre.ByteLevel(add_prefix_space=False, use_regex=regex)


def steps(*parts, regex=False):
    return pre.Sequence([*parts, bytes_step(regex)])


def llama3(digits):
    letters = r"|[^\r\n\p{L}\p{N}]?\p{L}+|"
    return steps(split(CONTRACTIONS + letters + digits + TAIL))


PRE = {
    "gpt-2": bytes_step(True),
    "mpt": bytes_step(True),
    "llama-bpe": llama3(r"\p{N}{1,3}"),
    "qwen2": llama3(r"\p{N}"),
    "starcoder": steps(pre.Digits(True), regex=True),
    "refact": steps(pre.Digits(True), regex=True),
    "falcon": pre.Sequence(
        [pre.Punctuation("contiguous"), bytes_step(True), split("[0-9][0-9][0-9]")]
    ),
    "deepseek-llm": steps(
        split("[\r\n]"),
        split(r"\s?" + LATIN),
        split(r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"),
        split(r"\s+$"),
        split("[一-龥\u0800-一\uac00-\ud7ff]+"),
        pre.Digits(False),
    ),
    "deepseek-coder": steps(
        split("[\r\n]"),
        split(r"\s?\p{L}+"),
        split(r"\s?\p{P}+"),
        split("[一-龥\u0800-一\uac00-\ud7ff]+"),
        pre.Digits(True),
    ),
    "deepseek-v3": steps(
        split(r"\p{N}{1,3}"),
        split("[一-龥\u3040-ゟ゠-ヿ]+"),
        split(
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
            r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
    ),
}
NASTY = [
    "",
    " ",
    "  ",
    "   x    y     ",
    "\t\n \n\n\n \n\n\n",
    "I'm you're THEY'LL 'S ''s",
    "1 12 123 1234 12345678 1,000.50 ½²³ ٣٤٥ 三百",
    "ünïcödé ü üü \u0301e\u0301 naïve Ｆｕｌｌ ﬁ",
    "我想在apple工作1314151天～ 한국어 조선말 日本語テキスト",
    "🚀 (normal) 😶‍🌫️ (multiple emojis) ✅ 🦙🦙",
    "ក្នុងពិត ភាសាខ្មែរ नमस्ते العربية עברית",
    "x\u00a0y\u2003z\u3000w\u200bv\ufeff",
    "!?!?--==<>~^|`$+ a.b,c;d:e #tag @you C++ a_b __init__",
    "<|im_start|>user\nhi<|im_end|><s>  <mark> \u2581\u2581a",
    "Straße ΟΔΥΣΣΕΥΣ İstanbul ŁÓDŹ Ǆ \u1e9e \u0344 \u1ffd \u2126",
    "a" * 99 + " " + "b" * 100 + " " + "c" * 101,
]


def texts(corpus, rng):
    alphabet = [
        " ",
        " ",
        "\n",
        "'s",
        "é",
        "7",
        "42",
        "ü",
        "  ",
        "\u2581",
        "Ω",
        "🙂",
        "中",
        "?",
        "--",
    ]
    alphabet += ["<|im_end|>", "<mark>", "the", "ing", "T", "\t", "\r\n", "ß", "ḍ̇", "각", "Ǆ"]
    out = list(NASTY)
    for _ in range(400):
        out.append("".join(rng.choice(alphabet) for _ in range(rng.randrange(30))))
        at = rng.randrange(len(corpus) - 200)
        out.append(corpus[at : at + rng.randrange(200)])
        points = [rng.choice((rng.randrange(32, 0x250), rng.randrange(32, 0xD7FF)))]
        points += [rng.randrange(32, 0x3000) for _ in range(rng.randrange(20))]
        out.append("".join(map(chr, points)))
    return out


def gguf_string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_string(value)
    if isinstance(value[0], int):
        return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_string, value))


def write_gguf(path, **keys):
    body = b"".join(gguf_string("tokenizer.ggml." + k) + gguf_value(v) for k, v in keys.items())
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + body)


class Ours:
    def __init__(self, path):
        self.handle = ctypes.c_void_p()
        must(LIB.qn_tokenizer_load(str(path).encode(), ctypes.byref(self.handle)))

    def close(self):
        LIB.qn_tokenizer_destroy(ctypes.byref(self.handle))

    def encode(self, text, flags=SPECIAL):
        raw, ids, count = text.encode(), ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        must(
            LIB.qn_tokenizer_encode(
                self.handle,
                raw,
                ctypes.c_size_t(len(raw)),
                flags,
                ctypes.byref(ids),
                ctypes.byref(count),
            )
        )
        return ids[: count.value]


def compare(name, path, theirs, cases):
    ours, wrong = Ours(path), 0
    for text in cases:
        want = theirs.encode(text, add_special_tokens=False).ids
        got = ours.encode(text)
        if got != want:
            wrong += 1
            if wrong <= 3:
                print(f"{name}: {text!r}\n  ours   {got}\n  theirs {want}")
                print("        ", [theirs.id_to_token(i) for i in got])
                print("        ", [theirs.id_to_token(i) for i in want])
    ours.close()
    print(f"{name}: {len(cases) - wrong} of {len(cases)} texts agree")
    return wrong == 0


def token_types(made, count):
    types = [NORMAL] * count
    for number, token in made.get_added_tokens_decoder().items():
        types[number] = CONTROL if token.special else USER
    return types


def byte_level(folder, name, corpus, cases):
    made = Tokenizer(models.BPE(ignore_merges=name == "llama-bpe"))
    made.pre_tokenizer = PRE[name]
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        show_progress=False,
        initial_alphabet=pre.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    )
    made.train_from_iterator([corpus, *NASTY * 3], trainer)
    user = ["  ", "   ", "ü", "<mark>"]
    made.add_tokens([AddedToken(t, normalized=False) for t in user])
    model = json.loads(made.to_str())["model"]
    tokens = [made.id_to_token(i) for i in range(made.get_vocab_size())]
    merges = [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]
    path = folder / f"{name}.gguf"
    types = token_types(made, len(tokens))
    write_gguf(path, model="gpt2", pre=name, tokens=tokens, token_type=types, merges=merges)
    return compare(name, path, made, cases)


def word_piece(folder, cased, corpus, cases):
    """U+2581 marks beginnings in the file; the package has an older Unicode's punctuation."""
    cases = [t for t in cases if not re.search("[\u2581\u2e43-\u2e7f\u166d]", t)]
    name = "bert-cased" if cased else "bert-uncased"
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    made.pre_tokenizer = pre.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=1500, show_progress=False, special_tokens=special
    )
    made.train_from_iterator([corpus, *NASTY * 3], trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokens = [made.id_to_token(i) for i in range(made.get_vocab_size())]
    phantom = [
        t if t in special else t[2:] if t.startswith("##") and len(t) > 2 else "\u2581" + t
        for t in tokens
    ]
    path = folder / f"{name}.gguf"
    keys = {"normalizer.lowercase": not cased, "unknown_token_id": 1, "cls_token_id": 2}
    keys["seperator_token_id"] = 3
    types = token_types(made, len(tokens))
    write_gguf(path, model="bert", tokens=phantom, token_type=types, **keys)
    right = compare(name, path, made, cases)
    made.save(str(folder / "tokenizer.json"))
    right &= compare(name + " json", folder / "tokenizer.json", made, cases)
    ours = Ours(path)
    saved = folder / "saved.json"
    must(LIB.qn_tokenizer_save(ours.handle, str(saved).encode()))
    ours.close()
    again = Tokenizer.from_file(str(saved))
    return right & compare(name + " saved", path, again, cases)


def main():
    data = os.environ.get("QN_TEST_DATA") or pathlib.Path(__file__).parents[2] / "../shared/data"
    text = pathlib.Path(data) / "tinyshakespeare.txt"
    if not text.exists():
        print(f"{text} is not there; set QN_TEST_DATA")
        return 77
    corpus = text.read_text()[:300000]
    cases = texts(corpus, random.Random(11))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        right = [byte_level(folder, pre_name, corpus, cases) for pre_name in PRE]
        right += [word_piece(folder, cased, corpus, cases) for cased in (False, True)]
    return 0 if all(right) else 1


sys.exit(main())
