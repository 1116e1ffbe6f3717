"""data.py COMMAND: training on documents cut from a real text: a folder, JSON Lines, conversations,
prompts; the cache of tokens; wrong lines."""

import hashlib
import json
import os
import sys
import unittest

import cli

DOCUMENTS = 400
MODEL = "--arch llama --layers 2 --heads 2 --embed 32 --lr 3e-3 --seed 3 --eval-every 30".split()
SIZES = "--context 96 --batch 8 --steps 60".split()


class Data(cli.Case):
    @classmethod
    def setUpClass(cls):
        with open(cli.data_path("tinyshakespeare.txt"), encoding="utf-8") as file:
            cls.documents = [d for d in file.read().split("\n\n") if d.strip()][:DOCUMENTS]

    def lines(self, name, objects):
        return self.write(name, "".join(json.dumps(o) + "\n" for o in objects))

    def train(self, data, out, *more):
        words = ["train", "--data", data, "--out", self.path(out), *MODEL, *SIZES, *more]
        return self.good(*words, "--json").stderr.decode(), self.path(out)

    def model(self, folder):
        with open(os.path.join(folder, "model.safetensors"), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def losses(self, folder):
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_folder_and_lines_are_the_same(self):
        os.makedirs(self.path("folder/more"))
        for i, document in enumerate(self.documents):
            self.write(f"folder/{'a' if i < 9 else 'more/'}{i:05}.txt", document)
        lines = self.lines("x.jsonl", [{"text": d} for d in self.documents])
        flags = ("--tokenizer", "bpe:320")
        first, folder = self.train(self.path("folder"), "folder-out", *flags)
        again, repeated = self.train(self.path("folder"), "again", *flags)
        _, other = self.train(lines, "lines", *flags)
        self.assertNotIn("from the cache", first)
        self.assertIn("from the cache", again)
        self.assertEqual(self.model(folder), self.model(repeated))
        self.assertEqual(self.model(folder), self.model(other))
        steps = self.losses(folder)
        self.assertLess(steps[-1]["loss"], 0.8 * steps[0]["loss"])
        report = [line for line in first.split("\n") if line.startswith("data: ")]
        self.assertEqual(len(report), 1, first)
        self.assertRegex(report[0], r"tokens in 3\d\d documents, [\d,]+ sequences (9.|100) % full")
        self.assertRegex(report[0], r"; [\d,]+ to validate on")
        # What the sequences are: as given, and as the other way round.
        _, stream = self.train(lines, "stream", *flags, "--packing", "stream")
        _, drawn = self.train(lines, "drawn", *flags, "--shuffle", "random")
        self.assertEqual(len({self.model(f) for f in (folder, stream, drawn)}), 3)

    def test_conversations_and_prompts(self):
        talks, pairs = [], []
        for asked, said in zip(self.documents[::2], self.documents[1::2]):
            parts = (("system", "Answer in verse."), ("user", asked), ("assistant", said))
            talks.append({"messages": [{"role": r, "content": c} for r, c in parts]})
            speaker, colon, words = said.partition(":\n")
            if colon and words:
                pairs.append({"prompt": speaker + colon, "completion": words})
        for name, objects in (("talks", talks), ("pairs", pairs)):
            data = self.lines(name + ".jsonl", objects)
            report, out = self.train(data, name, "--tokenizer", "char", "--micro-batch", "2")
            self.assertRegex(report, r"tokens \([1-9]\d? % learned\) in ")
            steps = self.losses(out)
            self.assertLess(steps[-1]["loss"], 0.9 * steps[0]["loss"])
            self.assertGreater(steps[-1]["val_loss"], 0)

    def test_a_stream_in_order_of_a_permutation(self):
        text = self.write("text.txt", "\n\n".join(self.documents))
        flags = ("--tokenizer", "char", "--shuffle", "permutation")
        report, out = self.train(text, "text", *flags)
        self.assertRegex(report, r"data: [\d,]+ tokens; [\d,]+ to validate on")
        words = ["train", "--data", text, "--out", out, *MODEL, *SIZES, *flags[:2], "--resume"]
        self.bad(cli.USAGE, *words, says=("--shuffle permutation", "another --out"))
        self.good(*words, "--shuffle", "permutation")

    def test_wrong_lines(self):
        good = [{"text": d} for d in self.documents[:5]]
        for wrong, says in (
            ('{"text": 3}', "not a string"),
            ('{"txt": "a"}', "exactly one"),
            ('{"text": "a"', "not valid JSON"),
            ('{"messages": [{"role": "bot", "content": "a"}]}', "bot"),
        ):
            lines = self.lines("wrong.jsonl", good)
            with open(lines, "a", encoding="utf-8") as file:
                file.write("\n" + wrong + "\n" + json.dumps(good[0]) + "\n")
            words = ["train", "--data", lines, "--out", self.path("out"), *MODEL, *SIZES]
            self.bad(cli.DATA, *words, says=("wrong.jsonl:7", says))
            self.assertFalse(os.path.exists(self.path("out")))


if __name__ == "__main__":
    cli.COMMAND = sys.argv.pop(1)
    unittest.main(verbosity=2)
