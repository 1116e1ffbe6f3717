"""Three machines of two ranks, each a network namespace of this one: they train, one dies, a link
is cut, and the run ends with the bits of one rank. Needs root and iproute2.

    python3 tests/cluster/hosts.py BUILD_FOLDER

Exit code 77: cannot be tried here."""

import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest

import ranks

HOSTS, WATCHDOG = 3, 20
NAME = f"qn{os.getpid() % 10000}"
NET = f"10.77.{os.getpid() % 250}"
# mpirun calls it like ssh: options, a host, the command. Its own host name makes it a machine.
AGENT = f"""#!/bin/bash
while [[ $1 == -* ]]; do shift; done
host=$1; shift; i=$(( ${{host##*.}} - 10 ))
exec ip netns exec {NAME}h$i unshare -u bash -c "hostname {NAME}h$i; $*"
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def make_hosts():
    ip("link", "add", NAME, "type", "bridge")
    ip("addr", "add", f"{NET}.1/24", "dev", NAME)
    ip("link", "set", NAME, "up")
    for i in range(1, HOSTS + 1):
        host, end = f"{NAME}h{i}", f"{NAME}v{i}"
        ip("netns", "add", host)
        ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("link", "set", end, "master", NAME, "up")
        ip("-n", host, "addr", "add", f"{NET}.{10 + i}/24", "dev", "eth0")
        ip("-n", host, "link", "set", "eth0", "up")
        ip("-n", host, "link", "set", "lo", "up")


def drop_hosts():
    for i in range(1, HOSTS + 1):
        subprocess.run(["ip", "netns", "del", f"{NAME}h{i}"], check=False)
    subprocess.run(["ip", "link", "del", NAME], check=False)


def pids(host):
    listed = subprocess.run(
        ["ip", "netns", "pids", f"{NAME}h{host}"], check=True, capture_output=True
    )
    return [int(pid) for pid in listed.stdout.split()]


class Hosts(ranks.Ranks):
    test_two = test_refusals = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.agent = os.path.join(cls.folder, "agent.sh")
        pathlib.Path(cls.agent).write_text(AGENT)
        os.chmod(cls.agent, stat.S_IRWXU)
        cls.addClassCleanup(drop_hosts)
        make_hosts()

    def command(self, count, out, *more):
        words = super().command(count, out, *more)
        if count == 1:
            return words
        hosts = ",".join(f"{NET}.{10 + i}:2" for i in range(1, HOSTS + 1))
        over = f"--mca plm rsh --mca plm_rsh_agent {self.agent} --host {hosts}".split()
        over += f"--mca oob_tcp_if_include {NET}.0/24 --mca btl_tcp_if_include {NET}.0/24".split()
        over += "--mca pml ob1 --mca btl tcp,self,vader".split()
        for name in ("QN_CACHE_DIR", "POCL_CACHE_DIR", "QN_TUNE", "QN_PROBE"):
            if name in os.environ:
                over += ["-x", name]
        return [words[0], *over, *words[1:]]

    def begin(self, out, *more):
        """Start, and wait until it has made some steps."""
        path = pathlib.Path(out, "metrics.jsonl")
        lines = lambda: len(path.read_text().splitlines()) if path.exists() else 0
        before = lines()
        run = self.start(2 * HOSTS, out, *more)
        while lines() < before + 6:
            self.assertIsNone(run.poll(), f"it ended: {run.returncode}")
            time.sleep(0.02)
        return run

    def test_hosts(self):
        steps = 300
        more = ("--steps", str(steps), "--watchdog", str(WATCHDOG), "--resume")
        wanted = self.state(self.train(1, "alone", *more), steps)
        out = self.out("out")
        run = self.begin(out, *more)
        for pid in pids(2):
            os.kill(pid, signal.SIGKILL)
        run.communicate(timeout=60)
        self.assertNotEqual(run.returncode, 0)
        run = self.begin(out, *more)
        begin = time.time()
        ip("link", "set", f"{NAME}v2", "down")
        while any("quernel" in names(pid) for host in (1, 2, 3) for pid in pids(host)):
            self.assertLess(time.time() - begin, WATCHDOG + 20, "ranks are still there")
            time.sleep(0.2)
        print(f"the last rank left {time.time() - begin:.1f} s after the cut", file=sys.stderr)
        ip("link", "set", f"{NAME}v2", "up")
        run.kill()  # mpirun may wait for ever
        run.communicate()
        for pid in (pid for host in (1, 2, 3) for pid in pids(host)):
            os.kill(pid, signal.SIGKILL)
        self.end(self.start(2 * HOSTS, out, *more), 0)
        self.assertEqual(self.state(out, steps), wanted)


def names(pid):
    """What runs there; mpirun's helpers have Quernel's name among their arguments, too."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    if os.geteuid() != 0 or not shutil.which("ip") or not ranks.can_run():
        print("skipped: needs root, ip, and a build with MPI")
        sys.exit(77)
    unittest.main(verbosity=2)
