#!/usr/bin/env python3
"""Do the `tokenizers` and `transformers` packages give the ids that we give?

usage: tokenizers_hf.py FOLDER...

Each FOLDER holds what tests/unit/text_export wrote: tokenizer.json, tokenizer_config.json and
cases.json, a list of {"text", "ids", "decoded"}. Without the packages the script says so and exits
with 77 (skipped)."""

import json
import pathlib
import sys

try:
    import tokenizers
except ImportError:
    print("the Python package `tokenizers` is absent; skipped")
    sys.exit(77)
try:
    import transformers
except ImportError:
    transformers = None
    print("the Python package `transformers` is absent; only `tokenizers` is compared")


def compare(folder):
    cases = json.loads((folder / "cases.json").read_text())
    fast = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    auto = transformers.AutoTokenizer.from_pretrained(str(folder)) if transformers else None
    wrong = 0
    for case in cases:
        ids = fast.encode(case["text"], add_special_tokens=False).ids
        decoded = fast.decode(case["ids"], skip_special_tokens=True)
        same = ids == case["ids"] and decoded == case["decoded"]
        if auto:
            same = same and auto.encode(case["text"], add_special_tokens=False) == case["ids"]
        if not same:
            wrong += 1
            if wrong <= 3:
                print(f"{folder}: {case['text']!r}\n  ours   {case['ids']}\n  theirs {ids}")
                print(f"  decoded ours {case['decoded']!r}\n          theirs {decoded!r}")
    print(f"{folder}: {len(cases) - wrong} of {len(cases)} texts agree")
    return wrong == 0


sys.exit(0 if all([compare(pathlib.Path(folder)) for folder in sys.argv[1:]]) else 1)
