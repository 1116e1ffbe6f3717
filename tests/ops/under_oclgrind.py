"""under_oclgrind.py OCLGRIND PROGRAM ARGUMENTS...: fails when the program fails or when
Oclgrind's log names an error.

Oclgrind's own exit status is always 0. Exits with 77, which ctest counts as skipped, where Oclgrind
is absent.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

OPTIONS = [
    "--data-races",
    "--check-api",
    "--max-errors",
    "20",
    "--max-wgsize",
    "1024",
    "--local-mem-size",
    "65536",
    "--global-mem-size",
    str(512 << 20),
]
ERROR = re.compile(r"Invalid|data race|divergence|Uninitialized|OCLGRIND|ERROR", re.IGNORECASE)


def main():
    oclgrind, command = sys.argv[1], sys.argv[2:]
    if not shutil.which(oclgrind):
        print("skipped: oclgrind is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        status = subprocess.run(
            [oclgrind, *OPTIONS, "--log", log, *command], check=False
        ).returncode
        text = ""
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as lines:
                text = lines.read()
    if ERROR.search(text):
        print(text[:8000])
        print("FAILED under Oclgrind:", " ".join(command))
        return 1
    return status


sys.exit(main())
