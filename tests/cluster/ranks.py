"""One run on several ranks: the same bits as on one, whatever kills it on the way.

    python3 tests/cluster/ranks.py BUILD_FOLDER [test ...]

Exit code 77: there is no mpirun here, or Quernel was built without MPI."""

import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build").resolve()
USAGE, OS_ERROR, CANNOT_WRITE, RETRY, COMM_ERROR = 64, 71, 73, 75, 76
STEPS = 12
SEED = int(os.environ.get("QN_SEED", time.time_ns() % 1000000))
WORDS = ["mill", "grain", "stone", "wheel", "flour", "water", "wind", "bread"]
# Dropout and packing depend on where a sequence stands in the batch, wherever it is computed.
SMALL = (
    "--tokenizer char --layers 2 --heads 2 --embed 32 --context 16 --batch 12 --micro-batch 1 "
    "--dropout 0.1 --lr 3e-3 --schedule constant --eval-every 6 --sample-tokens 0 --save-every 2 "
    f"--steps {STEPS} --quiet"
).split()
ENVIRONMENT = dict(
    os.environ,
    LC_ALL="C.UTF-8",
    OMPI_ALLOW_RUN_AS_ROOT="1",
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
)


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="quernel-ranks-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.text = os.path.join(cls.folder, "text.txt")
        choose = random.Random(1)
        with open(cls.text, "w") as file:
            file.write(" ".join(choose.choice(WORDS) for _ in range(4000)))
        cls.wanted = {}

    def out(self, name):
        return os.path.join(self.folder, f"{self.id().rsplit('.', 1)[-1]}-{name}")

    def command(self, ranks, out, *more):
        train = [BUILD / "quernel", "train", "--text", self.text, "--out", out, *SMALL, *more]
        if ranks == 1:
            return train
        return ["mpirun", "--oversubscribe", "-n", str(ranks), *train]

    def start(self, ranks, out, *more):
        return subprocess.Popen(
            self.command(ranks, out, *more),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def end(self, run, code, seconds=240):
        try:
            error = run.communicate(timeout=seconds)[1].decode()
        except subprocess.TimeoutExpired:
            run.kill()
            self.fail(f"still there after {seconds} s: {run.args}: {run.communicate()[1]}")
        self.assertEqual(run.returncode, code, f"QN_SEED={SEED}: {run.args}: {error}")
        return error

    def train(self, ranks, name, *more, code=0):
        out = self.out(name)
        self.end(self.start(ranks, out, *more), code)
        return out

    def state(self, out, steps=STEPS):
        """The curve, and hashes of all that was learned."""
        with open(os.path.join(out, "metrics.jsonl")) as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual([line["step"] for line in lines], list(range(1, steps + 1)))
        newest = max(pathlib.Path(out).glob(f"step-*{steps}/"))
        files = ("weights.safetensors", "optimizer.safetensors")
        hashes = [hashlib.sha256((newest / file).read_bytes()).hexdigest() for file in files]
        return [(line["loss"], line["grad_norm"], line.get("val_loss")) for line in lines], hashes

    def alone(self, *more):
        """What one rank makes of it."""
        if more not in self.wanted:
            self.wanted[more] = self.state(self.train(1, f"alone{len(self.wanted)}", *more))
        return self.wanted[more]

    def check(self, ranks, *more, only=()):
        """only: flags that one rank need not have."""
        out = self.train(ranks, f"{ranks}{''.join(more + only)}", *more, *only)
        self.check_bytes(out, ranks, *more, *only)
        got = self.state(out)
        self.assertEqual(got, self.alone(*more), f"{ranks} ranks {more} {only}")

    def planned(self, ranks, *more):
        command = [BUILD / "quernel", "plan", "--text", self.text, *SMALL[:-1], *more, "--json"]
        command += ["--mesh", f"dp={ranks}"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def check_bytes(self, out, ranks, *more):
        """What was sent and allocated is what was planned, to the byte."""
        with open(os.path.join(out, "metrics.jsonl")) as file:
            line = [json.loads(line) for line in file][-1]
        plan = self.planned(ranks, *more)
        self.assertEqual(line["sent_bytes"], plan["sent_bytes"], f"{ranks} ranks {more}")
        self.assertEqual(line["device_bytes"], plan["total_bytes"], f"{ranks} ranks {more}")

    def check_trace(self, path, ranks, steps):
        """Every rank's sums are on the timeline, and the device's gradients they waited for."""
        with open(path) as file:
            spans = [span for span in json.load(file)["traceEvents"] if span["ph"] == "X"]
        for rank in range(ranks):
            own = [span for span in spans if span["pid"] == rank]
            sums = [span for span in own if span["name"] == "sum_leaves"]
            made = [span for span in own if span["name"].startswith("until gradients 1 ")]
            self.assertEqual(len(made), steps)
            self.assertGreaterEqual(len(sums), steps)
            self.assertTrue(all(span["dur"] >= 0 for span in own))
            self.assertTrue(all(span["args"]["bytes"] > 0 for span in sums))

    # ---- short ----

    def test_two(self):
        """A run that two ranks began and three ended."""
        out = self.train(2, "out", "--steps", "6")
        self.assertEqual(self.state(out, 6)[0], self.alone()[0][:6])
        trace = self.out("trace.json")
        self.end(self.start(3, out, "--resume", "--zero", "1", "--trace", trace), 0)
        self.assertEqual(self.state(out), self.alone())
        self.check_trace(trace, 3, STEPS - 6)
        self.check_bytes(out, 3, "--zero", "1")

    def test_refusals(self):
        for ranks, flags, code, word in (
            (2, ("--mesh", "dp=3"), USAGE, "mpirun -n 3"),
            (2, ("--mesh", "tp=2"), USAGE, "not there yet"),
            (2, ("--batch", "1"), USAGE, "--batch 2"),
            (2, ("--micro-batch", "12"), USAGE, "--micro-batch 6"),
            (1, ("--mesh", "dp=2"), USAGE, "mpirun -n 2"),
            (2, ("--mesh", "dp=two"), USAGE, "dp=4"),
        ):
            error = self.end(self.start(ranks, self.out("refused"), *flags), code)
            said = [line for line in error.splitlines() if line.startswith("quernel: ")]
            self.assertEqual(len(said), 1, error)
            self.assertIn(word, said[0])


class Many(Ranks):
    """Longer: every number of ranks, what may go wrong."""

    test_two = test_refusals = None

    def test_every_number(self):
        for ranks in (2, 3, 4, 6, 8):
            self.check(ranks)
            self.check(ranks, only=("--zero", "1"))

    def test_kinds(self):
        for more in (
            ("--precision", "bf16", "--arch", "llama", "--untied"),
            ("--precision", "f16", "--moments", "bf16"),
            ("--micro-batch", "2", "--recompute", "block", "--offload", "optimizer"),
            ("--packing", "documents", "--head-chunk", "8"),
        ):
            for ranks in (2, 3, 4):
                self.check(ranks, *more)
            self.check(3, *more, only=("--zero", "1"))

    def test_meshes_resume_each_other(self):
        wanted = self.alone()
        for first in (1, 2, 3, 4, 6, 8):
            for second in (1, 2, 3, 4, 6, 8):
                out = self.out(f"{first}-{second}")
                run = self.start(first, out)
                while not list(pathlib.Path(out).glob("step-*/MANIFEST.json")):
                    self.assertIsNone(run.poll(), f"{first} ranks saved nothing")
                    time.sleep(0.02)
                self.kill_one(run, first)
                zero = str((first + second) % 2)
                self.end(self.start(second, out, "--resume", "--zero", zero), 0)
                self.assertEqual(self.state(out), wanted, f"{first} ranks, then {second}")

    def ranks_of(self, run, ranks):
        """Their processes; none when they are gone."""
        children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children")
        try:
            return [int(pid) for pid in children.read_text().split()] if ranks > 1 else [run.pid]
        except FileNotFoundError:
            return []

    def kill_one(self, run, ranks, how=signal.SIGKILL):
        """Whether there was one to kill."""
        pids = self.ranks_of(run, ranks)
        if pids:
            os.kill(random.choice(pids), how)
        if how == signal.SIGKILL:
            run.communicate(timeout=60)
        return bool(pids)

    def test_killed(self):
        """A rank dies at a random moment, again and again; the same command goes on."""
        random.seed(SEED)
        steps = 60
        more = ("--steps", str(steps), "--zero", "1")
        wanted = self.state(self.train(1, "alone", *more), steps)
        for ranks in (2, 3, 4):
            out = self.out(str(ranks))
            kills = 0
            for _ in range(6):
                run = self.start(ranks, out, *more, "--resume")
                saved = list(pathlib.Path(out).glob("step-*"))
                while run.poll() is None and saved == list(pathlib.Path(out).glob("step-*")):
                    time.sleep(0.01)
                time.sleep(random.uniform(0, 0.5))
                kills += self.kill_one(run, ranks)
            self.end(self.start(ranks, out, *more, "--resume"), 0)
            self.assertEqual(self.state(out, steps), wanted, f"{ranks} ranks, {kills} kills")
            print(f"{ranks} ranks: {kills} kills", file=sys.stderr)

    def test_hangs(self):
        """A rank that stands still ends the run in the watchdog's time."""
        out = self.out("out")
        more = ("--steps", "100000", "--watchdog", "4", "--save-every", "50")
        run = self.start(3, out, *more)
        while not list(pathlib.Path(out).glob("step-*/MANIFEST.json")):
            time.sleep(0.05)
        self.kill_one(run, 3, signal.SIGSTOP)
        begin = time.time()
        error = self.end(run, RETRY, seconds=60)
        print(f"ended {time.time() - begin:.1f} s after it stood still", file=sys.stderr)
        for word in ("waited", "collective ", "stack ", "--resume"):
            self.assertIn(word, error)

    def test_replicas(self):
        """Three ranks of which one learns faster, as a faulty one might: it is named."""
        self.check(3, only=("--check-replicas", "1"))
        out = self.out("odd")
        words = self.command(1, out, "--check-replicas", "3")
        odd = self.command(1, out, "--check-replicas", "3", "--lr", "4e-3")
        command = ["mpirun", "--oversubscribe", "-n", "1", *words, ":"]
        command += ["-n", "1", *odd, ":", "-n", "1", *words]
        run = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        error = self.end(run, COMM_ERROR)
        self.assertIn("step 3: rank 1 does not have the weights of the other ranks", error)

    def test_stop_file(self):
        out = self.out("out")
        run = self.start(2, out, "--steps", "100000")
        while not list(pathlib.Path(out).glob("step-*/MANIFEST.json")):
            time.sleep(0.05)
        pathlib.Path(out, "STOP").touch()
        self.assertIn("stopped and saved", self.end(run, RETRY))
        self.assertFalse(os.path.exists(os.path.join(out, "STOP")))

    def test_cannot_write(self):
        """One rank cannot save: all stop, one says why."""
        out = self.out("out")
        run = self.start(2, out, "--steps", "100000", "--zero", "1")
        while not list(pathlib.Path(out).glob("step-0000001*/MANIFEST.json")):  # all is compiled
            time.sleep(0.05)
        for pid in self.ranks_of(run, 2):  # only one of them writes
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (20000, 20000))
        error = self.end(run, CANNOT_WRITE)
        said = [line for line in error.splitlines() if line.startswith("quernel: ")]
        self.assertEqual(len([line for line in said if "warning: " not in line]), 1, error)
        self.assertIn("rank 0: ", said[-1])


def can_run():
    cache = (BUILD / "CMakeCache.txt").read_text()
    built = "QN_MPI:BOOL=ON" in cache and re.search("MPI_C_LIB_NAMES:STRING=.", cache)
    return built and shutil.which("mpirun") is not None


if __name__ == "__main__":
    if not can_run():
        print("skipped: there is no mpirun here, or Quernel was built without MPI")
        sys.exit(77)
    print(f"QN_SEED={SEED}")
    unittest.main(verbosity=2)
