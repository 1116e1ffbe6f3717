"""quantize.py COMMAND: `quernel quantize` and `quernel eval --perplexity` as a person meets them.

A failure is one line that says what to do, with the exit code of its kind; whatever stops a run, a
half-written file is not among what is left."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
import unittest

import cli
from cli import CANNOT_WRITE, DATA, OS_ERROR, RETRY, USAGE, Case, data_path

ROWS, COLUMNS = 4096, 512


def gguf(odd=None):
    """A GGUF file of one matrix in f32 and the entry that says what it is."""
    put = lambda text: struct.pack("<Q", len(text)) + text
    made = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    made += put(b"general.architecture") + struct.pack("<I", 8) + put(b"none")
    made += put(b"blk.0.ffn_up.weight") + struct.pack("<IQQIQ", 2, COLUMNS, ROWS, 0, 0)
    row = [((i * i + 7 * i) % 1009 - 504) / 800 for i in range(COLUMNS)]
    data = bytearray(struct.pack(f"<{COLUMNS}f", *row) * ROWS)
    if odd is not None:
        struct.pack_into("<f", data, 4 * (COLUMNS * 3 + 5), odd)
    return made + bytes(-len(made) % 32) + bytes(data)


class Quantize(Case):
    def good(self, *words):
        return super().good(*words).stdout.decode()

    def test_only_numbers_are_quantized(self):
        with open(data_path("stories260K.bin"), "rb") as file:
            content = bytearray(file.read())
        content[28 + 4 * 777 : 32 + 4 * 777] = struct.pack("<f", float("nan"))
        words = ("--model", self.write("nan.bin", bytes(content)), "--tokens", "1")
        words += ("--tokenizer", data_path("tok512.bin"), "--type", "q8_0")
        self.bad(77, "generate", *words, says="element 777 is nan")

    def test_report(self):
        source, out = self.write("in.gguf", gguf()), self.path("out.gguf")
        said = json.loads(self.good("quantize", source, out, "--type", "q4_k_m", "--json"))
        self.assertEqual(said["type"], "q4_k_m")
        self.assertEqual([t["type"] for t in said["types"]], ["q4_K"])
        self.assertEqual(said["bits_per_weight"], 4.5)
        self.assertEqual(said["bytes"], ROWS * COLUMNS // 256 * 144)
        self.assertTrue(1e-4 < said["nmse"] < 1e-2)
        shown = json.loads(self.good("inspect", out, "--json"))
        self.assertEqual(shown["tensors"][0]["type"], "Q4_K")
        self.assertIn("4.50 bits a weight", self.good("quantize", source, out))
        # As many threads as you like: the same bytes.
        with open(out, "rb") as file:
            first = file.read()
        self.good("quantize", source, out, "--threads", "7", "--quiet")
        with open(out, "rb") as file:
            self.assertEqual(file.read(), first)

    def test_list(self):
        types = json.loads(self.good("quantize", "--list", "--json"))["types"]
        names = [t["type"] for t in types]
        self.assertTrue({"F16", "Q8_0", "Q4_K_M", "IQ4_XS", "Q2_K"} <= set(names))
        text = self.good("quantize", "--list")
        for t in types:
            self.assertIn(t["type"], text)

    def test_wrong_words(self):
        source, out = self.write("in.gguf", gguf()), self.path("out.gguf")
        self.bad(USAGE, "quantize", source, says="give IN and OUT")
        self.bad(USAGE, "quantize", source, out, "--type", "Q4", says="Q4_K_M")
        self.bad(USAGE, "quantize", source, source, says="same place")
        self.bad(USAGE, "quantize", source, out, "--threads", "0", says="threads")
        self.bad(USAGE, "quantize", source, out, "--shard-size", "-1", says="shard-size")
        self.bad(OS_ERROR, "quantize", self.path("absent"), out, says="absent")
        self.bad(OS_ERROR, "quantize", source, out, "--imatrix", self.path("no"), says="no")
        self.bad(DATA, "quantize", source, out, "--imatrix", source, says="importance")
        self.bad(USAGE, "eval", "--model", source, "--perplexity", says="--text")
        short = self.write("short.gguf", gguf()[:-7])
        self.bad(DATA, "quantize", short, out, says="blk.0.ffn_up.weight")
        nan = self.write("nan.gguf", gguf(float("nan")))
        self.bad(77, "quantize", nan, out, says="row 3: element 5")
        big = self.write("big.gguf", gguf(1e30))
        self.bad(USAGE, "quantize", big, out, "--type", "F16", says="f16")
        self.bad(CANNOT_WRITE, "quantize", source, self.path("no/out.gguf"), says="no/out.gguf")
        left = {"in.gguf", "short.gguf", "nan.gguf", "big.gguf"}
        self.assertEqual(set(os.listdir(self.folder)), left)

    def test_stopped(self):
        source, out = self.write("in.gguf", gguf()), self.path("out.gguf")
        self.good("quantize", source, out, "--type", "Q8_0")
        with open(out, "rb") as file:
            before = file.read()
        words = [cli.COMMAND, "quantize", source, out, "--type", "Q2_K", "--threads", "1"]
        codes = set()
        for delay in (0.03, 0.08, 0.02, 0.05):
            running = subprocess.Popen(words, stderr=subprocess.PIPE)
            time.sleep(delay)
            running.send_signal(signal.SIGINT)
            error = running.communicate(timeout=300)[1].decode()
            codes.add(running.returncode)
            self.assertEqual(set(os.listdir(self.folder)), {"in.gguf", "out.gguf"}, error)
            if running.returncode != 0:
                with open(out, "rb") as file:
                    self.assertEqual(file.read(), before)
        # Before the signal is caught it kills, and a slow machine may be done.
        self.assertTrue(codes <= {0, RETRY, -signal.SIGINT}, codes)

    def test_perplexity(self):
        source, text = self.path("s.gguf"), self.path("text")
        self.good(
            "quantize",
            data_path("stories260K.bin"),
            source,
            "--type",
            "Q8_0",
            "--tokenizer",
            data_path("tok512.bin"),
        )
        with open(data_path("tinyshakespeare.txt"), "rb") as file:
            self.write("text", file.read(2000))
        words = ("eval", "--model", source, "--text", text, "--context", "64", "--json")
        said = json.loads(self.good(*words, "--perplexity"))
        self.assertEqual((said["context"], said["bos"]), (64, True))
        self.assertEqual(said["predicted"], said["chunks"] * 31)
        self.assertTrue(said["perplexity_error"] > 0)
        same = json.loads(self.good(*words, "--kl-against", source))
        self.assertEqual((same["kl_mean"], same["kl_max"], same["same_top"]), (0, 0, 1))
        self.assertEqual(same["perplexity"], said["perplexity"])
        self.bad(
            USAGE,
            "eval",
            "--model",
            source,
            "--text",
            text,
            "--perplexity",
            "--context",
            "99999",
            says="context",
        )


if __name__ == "__main__":
    cli.COMMAND = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
