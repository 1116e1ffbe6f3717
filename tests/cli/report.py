"""report.py COMMAND: the pages of a run, from a folder that a run left and from such as none would.

Texts cannot become markup, figures cannot leave the charts, and no page asks for anything outside.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from html.parser import HTMLParser
from subprocess import PIPE

COMMAND = ""
SEED = int(os.environ.get("QN_TEST_SEED", "1"))


class Page(HTMLParser):
    """Every element and all text of a page; the charts in it must be XML with finite numbers."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, path):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        with open(path, encoding="utf-8", newline="") as file:
            self.source = file.read()
        self.feed(self.source)
        self.close()
        self.text = " ".join(self.words)
        self.charts = re.findall(r"<svg .*?</svg>", self.source, re.DOTALL)
        self.titles = [check_chart(chart) for chart in self.charts]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> in {self.open}"

    def handle_data(self, data):
        self.words.append(data)


def check_chart(source):
    root = xml.etree.ElementTree.fromstring(source)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name in ("d", "points", "x", "y", "cx", "cy"):
                assert "nan" not in value and "inf" not in value, value
                for number in re.findall(r"[-0-9.]+", value):
                    assert -50 <= float(number) <= 1100, f"{number} is off the chart"
    return next(root.iter("{http://www.w3.org/2000/svg}text")).text


class Report(unittest.TestCase):
    EVIL = "<script>alert(1)</script>'\"&amp;</pre><img src=x onerror=y>\u202e\u0007]]>-->"

    def report(self, lines, **files):
        os.makedirs(self.path("run/step-00000007"), exist_ok=True)
        self.write("run/step-00000007/MANIFEST.json", "{}")
        self.write("run/metrics.jsonl", lines)
        for name in ("train", "run"):
            self.write(f"run/{name}.json", json.dumps(files.get(name, {})))
        subprocess.run([COMMAND, "report", "--run", self.path("run")], check=True, stdout=PIPE)
        with open(self.path("run/loss.svg"), encoding="utf-8") as file:
            check_chart(file.read())
        page = Page(self.path("run/report.html"))
        self.assertEqual(page.open, [])
        for tag, attributes in page.elements:
            self.assertNotIn(tag, ("script", "img", "link", "iframe", "object"))
            self.assertFalse({"src", "href", "onerror"} & set(attributes), (tag, attributes))
        self.assertIn(
            ("meta", "default-src 'none'"),
            [(tag, (more.get("content") or "").split(";")[0]) for tag, more in page.elements],
        )
        return page

    def test_report(self):
        steps = [
            {"step": i, "steps": 90, "loss": 4 / i, "lr": 1e-3, "mfu": 0.25} for i in range(1, 8)
        ]
        steps[3] |= {"sample": self.EVIL + "\nwords", "val_loss": 1.5}
        steps[4] |= {"loss": None, "skipped": self.EVIL}
        lines = "".join(json.dumps(step) + "\n" for step in steps) + '{"step":8,"lo'
        keys = {"text": self.EVIL, "lr": 0.002, "layers": 6, "tensorboard": False, "steps": 90}
        parts = [{"name": self.EVIL, "bytes": 1 << 20}]
        run = {"parameters": 123, "device": {"name": self.EVIL}, "tokens_per_step": 10}
        run["memory"] = {"planned_bytes": 1 << 21, "used_bytes": 1 << 21, "parts": parts}
        page = self.report(lines, train=keys, run=run)
        shown = self.EVIL.replace("\u202e", "\ufffd").replace("\u0007", "\ufffd")
        self.assertEqual(page.text.count(shown), 5)  # sample, skip, text, device, memory
        for word in ("step 7 of 90", "25 %", "words", "step-00000007", "2.0 MiB", "1.5"):
            self.assertIn(word, page.text)
        command = next(word for word in page.words if word.startswith("quernel train"))
        self.assertIn(" --layers 6 --steps 90 --lr 0.002 --no-tensorboard", command)
        self.assertEqual(page.titles[:2], ["loss", "learning rate"])
        self.assertIn("MFU: model flops, of the measured peak", page.titles)

    def test_report_of_anything(self):
        """Figures and types that no run writes: a page all the same, and its charts are sound."""
        wild = [
            0,
            -1,
            1,
            1e-300,
            1e300,
            1e17,
            1e17 + 16,
            -1e18,
            2**53,
            5e-324,
            "x",
            None,
            [],
            {},
            True,
        ]
        keys = ("steps", "loss", "val_loss", "lr", "grad_norm", "tokens_per_s", "mfu", "seconds")
        keys += ("device_bytes", "loss_scale", "sample", "skipped")
        rng = random.Random(SEED)
        for count in (1, 2, 3, 50, 3000):
            lines = []
            for i in range(count):
                line = {key: rng.choice(wild) for key in keys if rng.random() < 0.8}
                step = rng.choice(wild) if i % 3 else i
                lines.append(json.dumps({"step": step, **line}))
            lines.insert(0, '{"step":1,"loss":2}\n[]\nnull\n"x"\nno JSON\n{}\n' + "[" * 5000)
            odd = {"lr": "x", "layers": [1], "text": 5, "tensorboard": 1, "\u0001<b>": self.EVIL}
            run = {
                "device": 5,
                "memory": {"parts": [1, {"bytes": 1e300}, {}], "planned_bytes": "x"},
            }
            self.report("\n".join(lines), train=odd, run=run)
        for level in (0.0, 1.0, -3.5, 1e17, 1e-12):
            self.report("".join('{"step":%d,"loss":%r}\n' % (i, level) for i in range(2)))

    def test_report_of_nothing(self):
        os.mkdir(self.path("run"))
        self.bad(71, "--run", self.path("run"), says="metrics.jsonl")
        self.write("run/metrics.jsonl", '{"step":1')
        self.bad(65, "--run", self.path("run"), says="no step")
        self.bad(64, says="--run")
        self.assertEqual(os.listdir(self.path("run")), ["metrics.jsonl"])

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="quernel-report-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(content)

    def bad(self, code, *words, says):
        result = subprocess.run([COMMAND, "report", *words], check=False, stderr=PIPE)
        self.assertEqual(result.returncode, code)
        self.assertIn(says, result.stderr.decode())


if __name__ == "__main__":
    COMMAND = sys.argv.pop(1)
    print(f"seed {SEED}")
    unittest.main(verbosity=2)
