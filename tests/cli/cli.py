"""cli.py null|device COMMAND [test ...]: the command `quernel` as a person or a script meets it.

Every failure is one line on standard error that says what, where and what to do, with the exit code
of its kind, and leaves nothing half-written. Every --json is JSON and nothing else."""

import glob
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from report import Page, check_chart

COMMAND = ""
COMMANDS = (
    "devices",
    "train",
    "generate",
    "chat",
    "eval",
    "report",
    "plan",
    "tune",
    "bench",
    "tokenize",
)
BENCHES = ("peak", "op", "gemm", "train", "decode", "prefill")
USAGE, DATA, NO_DEVICE, OS_ERROR, CANNOT_WRITE, RETRY = 64, 65, 69, 71, 73, 75
SEED = int(os.environ.get("QN_TEST_SEED", "1"))


# $1: where to mount; then the command with --steps 2. Prints exit codes and the full disk's files.
FULL_DISK = r"""
out=$1
shift
mkdir -p "$out" && mount -t tmpfs -o size=1600k none "$out" || exit 99
fill() { dd if=/dev/zero of="$out/filler" bs=4k count="$1" 2>/dev/null; }
fill 375
"$@" >/dev/null; printf '%s\n---\n' $?
rm -rf "$out"/*
"$@" >/dev/null; printf '%s\n---\n' $?
fill 215
"$@" --steps 4 >/dev/null; printf '%s\n---\n' $?
ls -R "$out"; printf '\n---\n'
rm -f "$out/filler"
"$@" --steps 4 --keep 1 >/dev/null; echo $?
"""


def data_path(name):
    folder = (
        os.environ.get("QN_TEST_DATA") or os.environ.get("QN_TEST_DATA_DEFAULT") or "../shared/data"
    )
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"{path} is not there; set QN_TEST_DATA")
    return path


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="quernel-cli-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.path(name), mode) as file:
            file.write(content)
        return self.path(name)

    def run_it(self, *words, stdin=b"", stdout=subprocess.PIPE, env=None, before=None):
        environment = dict(os.environ, LC_ALL="C.UTF-8", **(env or {}))
        return subprocess.run(
            [COMMAND, *words],
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=300,
            preexec_fn=before,
            check=False,
        )

    def good(self, *words, **more):
        result = self.run_it(*words, **more)
        self.assertEqual(result.returncode, 0, f"{words}: {result.stderr.decode()}")
        return result

    def bad(self, code, *words, says=(), **more):
        """Fails with this code and one line on standard error, after progress, with these words."""
        codes = code if isinstance(code, tuple) else (code,)
        result = self.run_it(*words, **more)
        error = result.stderr.decode()
        lines = error.rstrip("\n").split("\n")
        self.assertIn(result.returncode, codes, f"{words}: {error}")
        self.assertTrue(
            lines[-1].startswith("quernel: ") and len(lines[-1]) > 20, f"{words}: {error!r}"
        )
        ours = [line for line in lines if line.startswith("quernel: ") and "warning: " not in line]
        self.assertEqual(len(ours), 1, f"{words}: {error!r}")
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word, lines[-1])
        return result


class Null(Case):
    """Nothing here opens a device."""

    def test_help(self):
        self.assertIn(b"usage: quernel", self.good("--help").stdout)
        self.assertIn(b"quernel ", self.good("--version").stdout)
        kinds = [(name,) for name in COMMANDS] + [("bench", kind) for kind in BENCHES]
        for words in kinds:
            result = self.good(*words, "--help")
            self.assertIn(b"usage: quernel " + " ".join(words).encode(), result.stdout)
            self.assertIn(b"example:\n  quernel " + words[0].encode(), result.stdout)
            self.assertEqual(result.stderr, b"")
        self.assertIn(b"usage: quernel train", self.good("help", "train").stdout)

    def test_wrong_words(self):
        self.assertEqual(self.run_it().returncode, USAGE)
        self.bad(USAGE, "trian", says="did you mean `quernel train`?")
        self.bad(USAGE, "sing", says="--help")
        self.bad(USAGE, "bench", says="measure what")
        self.bad(USAGE, "bench", "gem", says="did you mean gemm")
        for name in COMMANDS:
            if name != "bench":
                self.bad(USAGE, name, "--no-such-flag", says="--help")
                self.bad(USAGE, name, "stray", says="stray")
        self.bad(USAGE, "train", "--layer", "3", says="did you mean --layers?")
        self.bad(USAGE, "train", "--lr=1", "--stpes", "3", says="did you mean --steps?")
        self.bad(USAGE, "generate", "--temp", "1", says="did you mean --temperature?")
        self.bad(USAGE, "devices", "--json=1", says="takes no value")
        self.bad(USAGE, "generate", "--model", says="needs a value")
        self.bad(USAGE, "devices", "-x", says="-x")

    def test_missing_and_wrong_values(self):
        self.bad(USAGE, "train", says="--out")
        self.bad(USAGE, "generate", says="--model")
        self.bad(USAGE, "eval", "--model", "x", says="--text")
        self.bad(USAGE, "eval", "--model", "x", "--text", "a", "--choices", "b", says="choose one")
        self.bad(USAGE, "eval", "--model", "x", "--text", "a", "--each", says="--choices")
        self.bad(OS_ERROR, "eval", "--model", "x", "--choices", self.path("gone"), says="gone")
        self.bad(USAGE, "tokenize", says="--tokenizer")
        for flag, value in (
            ("tokens", "many"),
            ("tokens", "-1"),
            ("tokens", "1e3"),
            ("tokens", ""),
            ("top-p", "2"),
            ("temperature", "nan"),
            ("top-k", "99999999999999999999"),
            ("seed", " 1"),
            ("min-p", "1.5"),
            ("mirostat", "3"),
        ):
            self.bad(USAGE, "generate", "--model", "x", f"--{flag}={value}", says=f"--{flag}")
        for flag, value in (("layers", "0"), ("lr", "fast"), ("steps", "-3"), ("batch", "x")):
            self.bad(USAGE, "plan", "--text", "x", f"--{flag}={value}", says=flag)

    def test_missing_files(self):
        gone = self.path("gone")
        self.bad(OS_ERROR, "generate", "--model", gone, says="gone")
        self.bad(OS_ERROR, "eval", "--model", gone, "--text", gone, says="gone")
        self.bad(OS_ERROR, "tokenize", "--tokenizer", gone, says="gone")
        self.bad(OS_ERROR, "train", "--config", gone, "--out", self.path("out"), says="gone")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_wrong_configurations(self):
        for text in (
            "",
            "{",
            "[]",
            '{"layers": "many"}',
            '{"no_such_key": 1}',
            '{"layers": 4} x',
            "\0\0\0",
        ):
            path = self.write("run.json", text)
            self.bad((USAGE, DATA), "train", "--config", path, "--out", self.path("out"))
        self.assertFalse(os.path.exists(self.path("out")))

    def test_wrong_tokenizers(self):
        with open(data_path("tok512.bin"), "rb") as file:
            whole = file.read()
        noise = random.Random(SEED).randbytes(4096)
        for content in (
            b"",
            b"{",
            b"{}",
            noise,
            whole[:1000],
            whole[:7],
            b"GGUF" + noise,
            b"GGUF\x03\0\0\0" + noise,
        ):
            path = self.write("tokenizer", content)
            self.bad(DATA, "tokenize", "--tokenizer", path, says="tokenizer")

    def test_tokenize(self):
        noise = random.Random(SEED).randbytes(3000)
        texts = [
            b"",
            b"Once upon a time",
            b" two  spaces\n\n",
            "dr\u00f6lly \u96ea \U0001f98a\r\n\t".encode(),
            noise,
            b"\0\0",
        ]
        for name in ("tok512.bin", "ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf"):
            flags = ("tokenize", "--tokenizer", data_path(name))
            for text in texts:
                ids = self.good(*flags, stdin=text).stdout
                self.assertEqual(ids.count(b"\n"), 1)
                self.assertTrue(all(word.isdigit() for word in ids.split()))
                self.assertEqual(self.good(*flags, "--decode", stdin=ids).stdout, text)
                listed = json.loads(self.good(*flags, "--json", stdin=text).stdout)["ids"]
                self.assertEqual(listed, [int(word) for word in ids.split()])
        flags = ("tokenize", "--tokenizer", data_path("tok512.bin"))
        plain, begun = (
            self.good(*flags, *more, stdin=b"Hi").stdout.split() for more in ((), ("--bos",))
        )
        self.assertEqual(begun, [b"1"] + plain)
        self.bad(DATA, *flags, "--decode", stdin=b"12 x 13", says="byte 3")
        self.bad((USAGE, DATA), *flags, "--decode", stdin=b"1 999999")
        self.bad(DATA, *flags, "--decode", stdin=b"-5")

    def test_inspect(self):
        path = data_path("llama-2-tiny-random.gguf")
        shown = json.loads(self.good("inspect", path, "--json", "--elements", "5").stdout)
        self.assertEqual((shown["kind"], shown["version"]), ("GGUF", 3))
        self.assertEqual(shown["model"]["runs"], True)
        entry = {row["key"]: row for row in shown["metadata"]}["tokenizer.ggml.tokens"]
        self.assertEqual((entry["type"], entry["count"]), ("string", 32000))
        self.assertEqual(entry["value"], ["<unk>", "<s>", "</s>", "<0x00>", "<0x01>"])
        self.assertEqual(len(shown["tensors"]), 12)
        self.assertEqual(sum(row["bytes"] for row in shown["tensors"]), shown["totals"]["bytes"])
        with open(path, "rb") as file:
            whole = file.read()
        first = shown["tensors"][0]  # token_embd.weight: f16, here [vocabulary, embed]
        self.assertEqual(first["shape"], [32000, 8])
        self.assertEqual((first["bits_per_weight"], first["bytes"]), (16, 32000 * 8 * 2))
        last = max(shown["tensors"], key=lambda row: row["offset"])
        self.assertLessEqual(last["offset"] + last["bytes"], len(whole))
        text = self.good("inspect", path).stdout.decode()
        self.assertIn("runs here: llama", text)
        stories = data_path("stories260K.bin")
        shown = json.loads(self.good("inspect", stories, "--json").stdout)
        self.assertEqual(shown["model"]["parameters"], 260032)
        self.assertEqual(shown["totals"]["elements"], 260032)

    def gguf(self, values, tensors=(), data=b""):
        """A GGUF file of string entries."""
        put = lambda text: struct.pack("<Q", len(text)) + text
        made = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
        for key, value in values:
            made += put(key) + struct.pack("<I", 8) + put(value)
        for name, dims, kind in tensors:
            made += put(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, 0)
        return made + bytes(-len(made) % 32) + data

    def test_inspect_hostile(self):
        """Nothing in a file reaches a terminal that would act on it."""
        evil = "\x1b]0;owned\x07\x1b[2J \u202etxt.exe\u2028\u009b31m\ufeff".encode() + b"\xff\xc0\n"
        values = [(b"general.architecture", evil), (b"general.name", evil * 30)]
        path = self.write("evil.gguf", self.gguf(values, [(b"\xc2\x9b31m\xff", [4], 0)], bytes(16)))
        for more in ((), ("--json",)):
            said = self.good("inspect", path, *more).stdout
            text = said.decode()  # UTF-8
            if not more:
                for code in "\x1b\x07\u202e\u2028\u009b\ufeff":
                    self.assertNotIn(code, text)
            self.assertNotIn("\x1b", text)
            self.assertIn("\\xff" if not more else "\\\\xff", text)
        self.bad(DATA, "inspect", self.write("short", b"GGUF"), says="truncated")
        self.bad(OS_ERROR, "inspect", self.path("absent"))
        self.bad(USAGE, "inspect", says="give PATH")
        self.bad(USAGE, "inspect", path, "--elements", "-1", says="elements")

    def test_full_standard_output(self):
        with open("/dev/full", "wb") as full:
            for words in (
                ("tokenize", "--tokenizer", data_path("tok512.bin")),
                ("train", "--help"),
                ("--help",),
            ):
                self.bad(
                    CANNOT_WRITE, *words, stdin=b"Hi " * 100000, stdout=full, says="standard output"
                )

    def test_no_platform(self):
        nothing = {"OCL_ICD_VENDORS": self.folder + "/"}
        text = self.write("text", "abc " * 2000)
        self.bad(NO_DEVICE, "bench", "peak", env=nothing)
        self.bad(NO_DEVICE, "train", "--text", text, "--out", self.path("out"), env=nothing)
        self.assertFalse(os.path.exists(self.path("out")))
        result = self.run_it("devices", env=nothing)
        self.assertEqual(result.returncode, NO_DEVICE)
        self.assertIn(b"pocl-opencl-icd", result.stdout + result.stderr)
        result = self.run_it("devices", "--json", env=nothing)
        self.assertEqual(result.returncode, NO_DEVICE)
        self.assertEqual(json.loads(result.stdout)["devices"], [])


class Device(Case):
    """On the default device: tiny models."""

    TRAIN = (
        "--tokenizer",
        "bytes",
        "--arch",
        "llama",
        "--layers",
        "1",
        "--heads",
        "2",
        "--embed",
        "32",
        "--context",
        "16",
        "--batch",
        "2",
        "--lr",
        "1e-3",
        "--seed",
        "3",
    )

    def text(self):
        words = "the cat saw a dog and the dog saw a bird in the tree by the river".split()
        choose = random.Random(SEED)
        return self.write("text", " ".join(choose.choice(words) for _ in range(3000)) + "\n")

    def train(self, text, steps, *more):
        return (
            "train",
            "--text",
            text,
            "--out",
            self.path("out"),
            "--steps",
            str(steps),
            *self.TRAIN,
            *more,
        )

    def stories(self, *more):
        return (
            "--model",
            data_path("stories260K.bin"),
            "--tokenizer",
            data_path("tok512.bin"),
            *more,
        )

    def test_devices(self):
        record = json.loads(self.good("devices", "--json", "--no-measure").stdout)
        self.assertIsInstance(record["default"], int)
        name = record["devices"][record["default"]]["name"]
        self.assertIn(name.encode(), self.good("devices", "--no-measure").stdout)
        for chosen in ("no such device", "99", "-1"):
            self.bad(NO_DEVICE, "bench", "peak", "--device", chosen, says=name)
        self.bad(NO_DEVICE, "bench", "peak", env={"QN_DEVICE": "no such device"}, says=name)

    def test_known_text(self):
        with open(data_path("stories260K_greedy200.txt"), "rb") as file:
            known = file.read()
        greedy = ("generate", *self.stories("--temperature", "0", "--tokens", "200"))
        self.assertEqual(self.good(*greedy, "--prompt", "").stdout, known)
        self.assertEqual(self.good(*greedy).stdout, known)
        report = json.loads(self.good(*greedy, "--json").stdout)
        self.assertEqual(
            (report["text"].encode(), report["tokens"], report["stop"]), (known, 200, "tokens")
        )
        begun = self.good(*greedy[:-1], "20", "--prompt", "Lily was").stdout
        self.assertTrue(begun.startswith(b"Lily was ") and len(begun) > 20)

    def test_guesses_change_nothing(self):
        for options in (("--temperature", "0"), ("--seed", "3"), ("--mirostat", "2")):
            words = ("generate", *self.stories("--tokens", "150", *options), "--json")
            alone = json.loads(self.good(*words).stdout)
            self.assertEqual((alone["drafted"], alone["feeds"]), (0, 149))
            for more in (("--lookup", "2"), ("--draft", data_path("stories260K.bin"))):
                report = json.loads(self.good(*words, *more).stdout)
                self.assertEqual(report["ids"], alone["ids"])
                self.assertGreater(report["accepted"], 0)
                self.assertLess(report["feeds"], 149)

    def test_grammar(self):
        for seed in "123":
            words = self.stories("--prompt", "Is it? ", "--seed", seed, "--json")
            rule = 'root ::= "yes" | "no, " [a-z]{3,5} "."'
            report = json.loads(self.good("generate", *words, "--grammar", rule).stdout)
            self.assertRegex(report["text"], r"^(yes|no, [a-z]{3,5}\.)$")
            self.assertEqual(report["stop"], "grammar")
        path = self.path("list.gbnf")
        with open(path, "w") as file:
            file.write('root ::= "[" number ("," number)* "]"\nnumber ::= [1-9] [0-9]{0,2}\n')
        words = self.stories("--grammar", path, "--lookup", "2", "--tokens", "400", "--json")
        report = json.loads(self.good("generate", *words, "--logit-bias", "413=-inf").stdout)
        if report["stop"] == "grammar":
            self.assertTrue(all(0 < n < 1000 for n in json.loads(report["text"])))
        else:
            self.assertRegex(report["text"], r"^\[[0-9,]*$")
        schema = """{"type": "object", "properties": {"age": {"type": "integer", "minimum": 3,
            "maximum": 17}, "name": {"type": "string", "maxLength": 5}}, "required": ["name"]}"""
        for seed in "12":
            words = self.stories("--json-schema", schema, "--seed", seed, "--json")
            made = json.loads(json.loads(self.good("generate", *words).stdout)["text"])
            self.assertTrue(set(made) <= {"age", "name"} and len(made["name"]) <= 5)
            self.assertTrue(3 <= made.get("age", 3) <= 17)
        self.bad(USAGE, "generate", *self.stories("--json-schema", '{"not": {}}'), says="not")
        self.bad(DATA, "generate", *self.stories("--grammar", "root ::= (a"), says="line 1")
        self.bad(OS_ERROR, "generate", *self.stories("--grammar", self.path("gone")), says="gone")

    def test_seeds(self):
        texts = [
            self.good("generate", *self.stories("--tokens", "30", "--seed", seed)).stdout
            for seed in "112"
        ]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_eval(self):
        text = data_path("stories260K_greedy200.txt")
        report = json.loads(self.good("eval", *self.stories("--text", text, "--json")).stdout)
        self.assertAlmostEqual(report["loss"], 0.473418, delta=1e-5)
        self.assertEqual((report["predicted"], report["bytes"]), (200, 464))

    def test_choices(self):
        questions = self.write(
            "q.jsonl",
            '{"ctx":"Once upon a time, there was a","endings":["zq zq","little girl"],"label":1}\n'
            '{"ctx":"Lily was","endings":["happy.","xx","7"],"label":"0"}\n',
        )
        result = self.good("eval", *self.stories("--choices", questions, "--each"))
        self.assertIn(b"acc_norm   1.0000", result.stdout)
        self.assertIn(b"chance     0.4167", result.stdout)
        self.assertIn(b"  right 1  by mean 1  by sum 1 ", result.stdout)
        tokens = self.path("q.bin")
        self.good("eval", *self.stories("--choices", questions, "--write", tokens))
        report = self.good("eval", *self.stories("--choices", tokens, "--json"))
        report = json.loads(report.stdout)
        self.assertEqual((report["acc"], report["acc_norm"], report["questions"]), (1, 1, 2))
        with open(tokens, "rb") as file:
            whole = file.read()
        for content in (whole[:-1], whole[:1040], whole[:4], whole + b"xx", b"", b"{}\n"):
            wrong = self.write("wrong", content)
            self.bad(DATA, "eval", *self.stories("--choices", wrong), says="wrong")

    def test_wrong_models(self):
        with open(data_path("stories260K.bin"), "rb") as file:
            whole = file.read()
        noise = random.Random(SEED).randbytes(5000)
        words = ("generate", "--tokenizer", data_path("tok512.bin"), "--tokens", "1", "--model")
        for content in (
            b"",
            b"x",
            noise,
            whole[:20],
            whole[:-4],
            whole[: len(whole) // 2],
            b"GGUF" + noise,
        ):
            self.bad((USAGE, DATA), *words, self.write("model.bin", content), says="model.bin")
        os.mkdir(self.path("empty"))
        self.bad((DATA, OS_ERROR), *words, self.path("empty"), says="empty")
        self.bad(USAGE, "generate", "--model", data_path("stories260K.bin"), says="--tokenizer")
        self.bad(
            USAGE,
            "generate",
            "--model",
            data_path("stories260K.bin"),
            "--tokenizer",
            data_path("ggml-vocab-gpt-2.gguf"),
            says="not made for each other",
        )
        self.bad(USAGE, "generate", *self.stories("--prompt", "a b c d " * 600), says="512")

    def test_wrong_shapes(self):
        text = self.text()
        for flag, value in (
            ("--heads", "3"),
            ("--arch", "bert"),
            ("--kv-heads", "3"),
            ("--tokenizer", "bpe:5"),
            ("--tokenizer", "morse"),
            ("--schedule", "square"),
            ("--micro-batch", "3"),
        ):
            self.bad((USAGE, OS_ERROR), *self.train(text, 1, flag, value))
        short = self.write("short", "ab")
        self.bad((USAGE, DATA), *self.train(short, 1))
        self.bad(OS_ERROR, *self.train(self.path("gone"), 1), says="gone")

    def test_train(self):
        text = self.text()
        result = self.good(*self.train(text, 6, "--eval-every", "3", "--json"))
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([line["step"] for line in lines], [1, 2, 3, 4, 5, 6])
        self.assertEqual([line["step"] for line in lines if "val_loss" in line], [3, 6])
        with open(self.path("out/metrics.jsonl"), encoding="utf-8") as file:
            self.assertEqual([json.loads(line) for line in file], lines)
        with open(self.path("out/loss.svg"), encoding="utf-8") as file:
            self.assertEqual(check_chart(file.read()), "loss of " + self.path("out"))
        with open(self.path("out/run.json"), encoding="utf-8") as file:
            run = json.load(file)
        memory, used = run["memory"], lines[-1]["device_bytes"]
        self.assertEqual((memory["planned_bytes"], memory["used_bytes"]), (used, used))
        self.assertEqual(sum(part["bytes"] for part in memory["parts"]), used)
        mfu = run["flops_per_token"] * lines[-1]["tokens_per_s"] / run["peak_gflops"] / 1e9
        self.assertAlmostEqual(lines[-1]["mfu"], mfu, delta=1e-9)
        page = Page(self.path("out/report.html"))
        self.assertEqual(len(page.charts), 6)
        for line in lines:
            self.assertEqual("sample" in line, "val_loss" in line)
            if "sample" in line:
                shown = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "\ufffd", line["sample"])
                self.assertIn(shown, page.words)
        self.good("report", "--run", self.path("out"), "--json")
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            self.assertTrue(os.path.exists(self.path("out/" + name)), name)
        report = json.loads(
            self.good(
                "generate",
                "--model",
                self.path("out"),
                "--prompt",
                "the",
                "--tokens",
                "5",
                "--json",
            ).stdout
        )
        self.assertLessEqual(report["tokens"], 5)
        self.good("eval", "--model", self.path("out"), "--text", text)
        result = self.good(*self.train(text, 6, "--quiet", "--out", self.path("again")))
        self.assertEqual((result.stdout, result.stderr), (b"", b""))

    def test_stop_and_resume(self):
        text = self.text()
        process = subprocess.Popen(
            [COMMAND, *self.train(text, 400, "--json")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        first = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=120)
        self.assertEqual(process.returncode, RETRY, error)
        self.assertIn(b"--resume", error.splitlines()[-1])
        stopped = json.loads((b"".join(first) + rest).splitlines()[-1])["step"]
        self.assertLess(stopped, 400)
        with open(self.path("out/metrics.jsonl"), "a", encoding="utf-8") as file:
            file.write('{"step":%d,"loss":1}\n{"step":%d,"lo' % (stopped + 1, stopped + 2))
        self.good(*self.train(text, 400, "--resume"))
        with open(self.path("out/metrics.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        self.assertEqual([row["step"] for row in rows], list(range(1, 401)))
        self.good(*self.train(text, 400, "--out", self.path("straight")))
        for name in ("model.safetensors", "tokenizer.json"):
            with open(self.path("out/" + name), "rb") as one, open(
                self.path("straight/" + name), "rb"
            ) as other:
                self.assertEqual(one.read(), other.read(), name)

    def test_save_and_go_on(self):
        """SIGUSR1 saves a checkpoint and the model; the run goes on, and SIGTERM ends it."""
        process = subprocess.Popen(
            [COMMAND, *self.train(self.text(), 100000000, "--json", "--save-every", "0")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        killer = threading.Timer(120, process.kill)
        killer.start()
        steps = (json.loads(line) for line in process.stdout)
        try:
            next(steps)
            for count in (1, 2):
                process.send_signal(signal.SIGUSR1)
                while len(glob.glob(self.path("out/step-*/MANIFEST.json"))) < count:
                    saved = next(steps)["step"]
                self.good("eval", "--model", self.path("out"), "--text", self.text())
            self.assertGreater(next(steps)["step"], saved)
            process.send_signal(signal.SIGTERM)
            _, error = process.communicate(timeout=120)
            self.assertEqual(process.returncode, RETRY, error)
        finally:
            killer.cancel()
            process.kill()

    def test_best_is_kept(self):
        """Beside the newest: the checkpoint of the lowest validation loss."""
        text = self.text()
        words = ("--eval-every", "5", "--save-every", "7", "--keep", "1", "--lr", "0.02")
        self.good(*self.train(text, 60, *words, "--quiet"))
        with open(self.path("out/metrics.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        losses = {row["step"]: row["val_loss"] for row in rows if "val_loss" in row}
        self.assertEqual(sorted(losses), list(range(5, 61, 5)))
        best = min(losses, key=losses.get)
        kept = {n for n in os.listdir(self.path("out")) if n.startswith("step-")}
        self.assertEqual(kept, {f"step-{best:08d}", "step-00000060"})
        with open(self.path(f"out/step-{best:08d}/MANIFEST.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["state"]["val_loss"], losses[best])
        self.good(*self.train(text, 61, *words, "--quiet", "--no-keep-best", "--resume"))
        kept = {n for n in os.listdir(self.path("out")) if n.startswith("step-")}
        self.assertEqual(kept, {"step-00000061"})

    def test_killed_second_time(self):
        process = subprocess.Popen(
            [COMMAND, *self.train(self.text(), 100000000, "--json")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            self.assertIn(process.returncode, (-signal.SIGTERM, RETRY))
        finally:
            process.kill()

    def test_full_disk(self):
        """On a small file system of its own: fill it, train into it, make room, train on."""
        script = self.write("full.sh", FULL_DISK)
        words = [*self.train(self.text(), 2, "--save-every", "1"), "--resume"]
        result = subprocess.run(
            ["unshare", "-rm", "sh", script, self.path("out"), COMMAND, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )
        if result.returncode == 99:
            self.skipTest("no file system of one's own here: " + result.stderr.decode())
        fresh, first, full, left, again = result.stdout.decode().split("\n---\n")
        error = result.stderr.decode()
        self.assertEqual((fresh, first, full, again.strip()), ("73", "0", "73", "0"), error)
        self.assertFalse([name for name in left.split() if name.endswith(".tmp")], left)
        lines = [line for line in error.splitlines() if line.startswith("quernel: ")]
        self.assertTrue(lines and all(len(line) > 30 for line in lines), error)

    def test_plan(self):
        words = ("plan", "--text", self.text(), *self.TRAIN)
        plan = json.loads(self.good(*words, "--json").stdout)
        for key in ("total_bytes", "arenas", "tensors", "programs", "predicted_step_seconds"):
            self.assertIn(key, plan)
        self.assertIn(b"device memory", self.good(*words).stdout)
        record = self.write("record.json", self.good("devices", "--json").stdout)
        nothing = {"OCL_ICD_VENDORS": self.path("nowhere") + "/"}
        there = json.loads(
            self.good(*words, "--json", "--device-record", record, env=nothing).stdout
        )
        self.assertEqual(there["total_bytes"], plan["total_bytes"])
        for content in ("", "{}", "[]", '{"devices": [], "default": 0}'):
            self.bad((USAGE, DATA), *words, "--device-record", self.write("record.json", content))

    def test_tune(self):
        text, cache = self.text(), self.path("cache")
        read = {"QN_CACHE_DIR": cache, "QN_TUNE": "read"}
        off = dict(read, QN_TUNE="off")
        tune = ("tune", "--text", text, *self.TRAIN)
        result = self.good(*tune, "--budget", "100", "--json", env=read)
        report = json.loads(result.stdout)
        self.assertIn(b"candidates", result.stderr)
        self.assertGreater(report["calls"], 5)
        self.assertEqual((report["timed"], report["left"]), (report["calls"], 0))
        for row in report["entries"]:
            if row["choice"] == row["default"]:
                self.assertEqual(row["best_ms"], row["default_ms"], row)
            else:
                self.assertLessEqual(row["best_ms"], 0.97 * row["default_ms"], row)
        self.assertTrue(os.path.exists(report["file"]))
        again = self.good(*tune, env=read)
        self.assertIn(b"nothing to time", again.stderr)
        self.assertIn(b"0 calls timed", again.stdout)

        plan = ("plan", "--text", text, *self.TRAIN)
        there = json.loads(self.good(*plan, "--json", env=read).stdout)
        self.assertGreater(there["tuned_nodes"], report["calls"] - 1)
        self.assertIn(b"calls follow entries", self.good(*plan, env=read).stdout)
        self.assertEqual(json.loads(self.good(*plan, "--json", env=off).stdout)["tuned_nodes"], 0)
        self.assertIn(b"by `quernel tune`, used", self.good("devices", env=read).stdout)
        self.assertIn(b"by `quernel tune`, not used", self.good("devices", env=off).stdout)
        record = self.write("record.json", self.good("devices", "--json", env=read).stdout)
        absent = {"OCL_ICD_VENDORS": self.path("nowhere") + "/", "QN_TUNE": "read"}
        words = (*plan, "--json", "--device-record", record)
        same = json.loads(self.good(*words, env=absent).stdout)
        for key in ("tuned_nodes", "total_bytes", "programs", "nodes"):
            self.assertEqual(same[key], there[key], key)

        for name, env in (("with", read), ("without", off)):
            self.good(*self.train(text, 3, "--quiet", "--out", self.path(name)), env=env)
        with open(self.path("with/model.safetensors"), "rb") as one, open(
            self.path("without/model.safetensors"), "rb"
        ) as other:
            self.assertEqual(one.read(), other.read())
        self.bad(USAGE, *plan, env=dict(read, QN_TUNE="maybe"), says="off, read or on")
        self.bad(USAGE, *tune, "--budget", "never", says="--budget")
        with open(report["file"], "w", encoding="utf-8") as file:
            file.write('{"format": 1, "entr')
        damaged = self.good(*plan, "--json", env=read)
        self.assertEqual(json.loads(damaged.stdout)["tuned_nodes"], 0)
        self.assertIn(b"warning: tuning entries are not used", damaged.stderr)

    def test_tune_stopped(self):
        """Ctrl-C keeps what is done; the same command goes on."""
        env = {"QN_CACHE_DIR": self.path("cache"), "QN_TUNE": "read"}
        tune = ("tune", "--text", self.text(), *self.TRAIN, "--budget", "200", "--json")
        process = subprocess.Popen(
            [COMMAND, *tune],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, **env),
        )
        said = b""
        while b"candidates" not in said:
            line = process.stderr.readline()
            self.assertTrue(line, said)
            said += line
        folder = os.path.join(self.path("cache"), "tuning")
        deadline = time.time() + 60
        while time.time() < deadline and not (
            os.path.isdir(folder) and any(name.endswith(".json") for name in os.listdir(folder))
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, RETRY, error)
        first = json.loads(out)
        self.assertTrue(first["stopped"])
        self.assertGreaterEqual(first["timed"], 1)
        self.assertGreaterEqual(first["left"], 1)
        rest = json.loads(self.good(*tune, env=env).stdout)
        self.assertEqual(rest["calls"], first["left"])

    def test_bench(self):
        small = ("--m", "64", "--n", "48", "--k", "32", "--json")
        report = json.loads(self.good("bench", "gemm", *small).stdout)
        for key in ("gflops", "percent_of_peak", "variant", "device"):
            self.assertIn(key, report)
        report = json.loads(
            self.good("bench", "gemm", *small, "--variant", "plain", "--trans-b").stdout
        )
        self.assertEqual(report["variant"], "plain")
        self.good("bench", "op", "--case", report["case"])
        model = ("--layers", "1", "--heads", "2", "--embed", "32", "--vocab", "128")
        report = json.loads(
            self.good("bench", "train", *model, "--batch", "2", "--context", "16", "--json").stdout
        )
        for key in ("step_ms", "tokens_per_s", "percent_of_peak"):
            self.assertIn(key, report)
        leaves = ("--batch", "2", "--context", "16", "--micro-batches", "3", "--json")
        for order in ("tree", "chain"):
            said = self.good("bench", "train", *model, *leaves, "--sum-order", order).stdout
            report = json.loads(said)
            self.assertGreater(report["leaves_ms"], 0)
            self.assertGreater(report["step_ms"], report["accumulated_ms"])
            part = 100 * (report["accumulated_ms"] / report["leaves_ms"] - 1)
            self.assertAlmostEqual(report["accumulation_percent"], part, places=3)
        self.bad(USAGE, "bench", "train", "--sum-order", "heap")
        report = json.loads(
            self.good(
                "bench", "decode", *model, "--prompt-tokens", "4", "--tokens", "8", "--json"
            ).stdout
        )
        self.assertIn("tokens_per_s", report)
        self.bad((USAGE, DATA), "bench", "op", "--case", "no_such_op : x=f32[2]")
        self.bad((USAGE, DATA), "bench", "op", "--case", "matmul : a=f32[2,3] b=f32[4,5]")
        self.bad((USAGE, DATA), "bench", "gemm", "--dtype", "f99", *small)
        self.bad((USAGE, DATA), "bench", "gemm", "--variant", "magic", *small)
        self.bad(USAGE, "bench", "train", "--size", "900T")
        self.bad(USAGE, "bench", "train", "--arch", "bert")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("null", "device"):
        sys.exit(__doc__)
    PART, COMMAND = sys.argv[1].capitalize(), os.path.abspath(sys.argv[2])
    print(f"seed {SEED}")
    tests = [f"{PART}.{name}" for name in sys.argv[3:]] or [PART]
    unittest.main(argv=[sys.argv[0], "-v", *tests])
