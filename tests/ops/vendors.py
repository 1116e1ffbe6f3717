"""The programs that a training plan for a GPU builds, through the tool chains of NVIDIA and AMD.

    python3 tests/ops/vendors.py BUILD_FOLDER

A capability record of a GPU that is not there is enough for `quernel plan --json` to say which
programs (file and options) it would build. Each is compiled by clang-15 to PTX (checked by
ptxas where it is) and to gfx90a; exits with 77, which ctest counts as skipped, where clang-15
or libclc is absent.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

build = pathlib.Path(sys.argv[1]).resolve()
kernels = pathlib.Path(__file__).resolve().parent.parent.parent / "cl_kernels"
library = pathlib.Path("/usr/lib/clc/nvptx64--nvidiacl.bc")
clang, ptxas = shutil.which("clang-15"), shutil.which("ptxas")
if not clang or not library.exists():
    print("skipped: clang-15 and libclc-15 are not installed")
    sys.exit(77)

RECORD = {
    "name": "a GPU that is not here",
    "vendor": "none",
    "driver": "1",
    "version": "OpenCL 1.2",
    "c_version": "OpenCL C 1.2",
    "platform": "none",
    "platform_version": "OpenCL 1.2",
    "type": "gpu",
    "compute_units": 40,
    "clock_mhz": 1500,
    "global_bytes": 8 << 30,
    "max_alloc_bytes": 2 << 30,
    "local_bytes": 48 << 10,
    "max_group": 1024,
    "base_align_bytes": 512,
    "software_rasteriser": False,
    "local_is_dedicated": True,
    "fma": True,
    "fp16": False,
    "fp64": True,
    "unified_memory": False,
    "quirks": [],
    "probes": {"basic": "proven", "local": "proven", "half": "proven", "vector16": "proven"},
}
COMMON = [clang, "-x", "cl", f"-I{kernels}", "-Xclang", "-finclude-default-header", "-O3", "-S"]
NVIDIA = ["-cl-std=CL1.2", "-target", "nvptx64-nvidia-nvcl", "-nogpulib"]
CPU = ("-target-cpu", "sm_80", "-target-feature", "+ptx75", "-mlink-builtin-bitcode", library)
for flag in CPU:
    NVIDIA += ["-Xclang", str(flag)]
AMD = ["-cl-std=CL2.0", "-target", "amdgcn-amd-amdhsa", "-mcpu=gfx90a", "-nogpulib"]


def programs(folder, *flags):
    record, text = folder / "record.json", folder / "text.txt"
    record.write_text(json.dumps(RECORD))
    text.write_text("the stone turns, the grain is flour; " * 200)
    command = [build / "quernel", "plan", "--text", text, "--device-record", record, "--json"]
    out = subprocess.run([*command, *flags], check=True, capture_output=True, text=True).stdout
    return set(json.loads(out)["programs"])


def compiles(folder, program, vendor, flags):
    name, *options = program.split()
    out = folder / "out.s"
    command = [*COMMON, *flags, "-DQN_HAS_FMA=1", *options, kernels / name, "-o", out]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0 and vendor == "NVIDIA" and ptxas:
        check = [ptxas, "-arch=sm_80", "-v", out, "-o", "/dev/null"]
        done = subprocess.run(check, capture_output=True, text=True)
        spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill stores", done.stderr))
        if spilled and "tile" in name:
            print(f"FAILED {vendor}: {program}: {spilled} bytes spilled")
            return False
    if done.returncode != 0:
        print(f"FAILED {vendor}: {program}\n{done.stderr[:2000]}")
    return done.returncode == 0


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    found = programs(folder, "--arch", "gpt2", "--dropout", "0.1")
    found |= programs(folder, "--arch", "llama", "--kv-heads", "2", "--untied")
    assert any(program.startswith("matmul.tile.cl") for program in found)
    assert not any(".wide.cl" in program for program in found)
    good = [
        compiles(folder, program, vendor, flags)
        for program in sorted(found)
        for vendor, flags in (("NVIDIA", NVIDIA), ("AMD", AMD))
    ]
with_ptxas = " with ptxas" if ptxas else ""
print(f"{len(found)} programs, NVIDIA{with_ptxas} and AMD: {good.count(False)} failed")
sys.exit(0 if all(good) else 1)
