"""The programs of GPUs, through the tool chains of NVIDIA, AMD and Intel.

    python3 tests/ops/vendors.py BUILD_FOLDER

A capability record of a GPU that is not there is enough for `quernel plan --json` to say which
programs (file and options) it would build; to these come every tile shape and matrix unit that a
tuner may choose. They are compiled by clang-15 to PTX (and by ptxas, where that is) and to gfx90a,
by clang-15 to LLVM IR for gfx1100, and by ocloc for DG2 and PVC. What is for processors with AMX is
compiled by clang-15 for x86 and assembled. Fails where a tool is missing, a
program does not compile, a tile or matrix program spills registers, or the instructions are not
there that the program exists for.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

build = pathlib.Path(sys.argv[1]).resolve()
root = pathlib.Path(__file__).resolve().parent.parent.parent
kernels = root / "cl_kernels"
nvidia_library = pathlib.Path("/usr/lib/clc/nvptx64--nvidiacl.bc")
amd_library = pathlib.Path("/usr/lib/clc/amdgcn--amdhsa.bc")
clang, ptxas, ocloc = (shutil.which(tool) for tool in ("clang-15", "ptxas", "ocloc"))
if not clang or not ocloc or not nvidia_library.exists() or not amd_library.exists():
    print("a tool chain is missing: apt install clang-15 libclc-15 intel-opencl-icd")
    sys.exit(1)

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
}
PROVEN = ("basic", "local", "half")
CLANG = [clang, "-x", "cl", f"-I{kernels}", "-Xclang", "-finclude-default-header", "-O3", "-S"]
CLANG += ["-nogpulib", "-DQN_HAS_FMA=1"]
LINK = ["-Xclang", "-mlink-builtin-bitcode", "-Xclang"]
PTX = ["-cl-std=CL1.2", "-target", "nvptx64-nvidia-nvcl", *LINK, str(nvidia_library)]
for flag in ("-target-cpu", "sm_80", "-target-feature", "+ptx75"):
    PTX += ["-Xclang", flag]
AMDGCN = ["-cl-std=CL2.0", "-target", "amdgcn-amd-amdhsa", *LINK, str(amd_library)]


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    return done.returncode, done.stdout + done.stderr


def numbers(pattern, text):
    return [int(n) for n in re.findall(pattern, text)]


# Each compiler: (program, folder to write in) -> (error or "", assembly, spills, registers).


def nvidia(program, folder):
    out = folder / "out.ptx"
    code, said = run([*CLANG, *PTX, *program[1:], kernels / program[0], "-o", out])
    if code != 0 or not ptxas:
        return (said if code else ""), out.read_text() if code == 0 else "", 0, 0
    code, said = run([ptxas, "-arch=sm_80", "-v", out, "-o", os.devnull])
    spills = sum(numbers(r"(\d+) bytes spill stores", said))
    return (
        (said if code else ""),
        out.read_text(),
        spills,
        max(numbers(r"Used (\d+) reg", said), default=0),
    )


def amd(program, folder, chip="gfx90a"):
    out = folder / "out.s"
    more = ["-emit-llvm"] if chip == "gfx1100" else []  # LLVM 15 cannot assemble its WMMA
    command = [*CLANG, *AMDGCN, f"-mcpu={chip}", *more, *program[1:], kernels / program[0]]
    code, said = run([*command, "-o", out])
    if code != 0:
        return said, "", 0, 0
    text = out.read_text()
    spills = sum(numbers(r"\.vgpr_spill_count: (\d+)", text))
    return "", text, spills, max(numbers(r"\.vgpr_count: +(\d+)", text), default=0)


def amd_wmma(program, folder):
    return amd(program, folder, "gfx1100")


def intel(program, folder, chip="dg2"):
    language = [] if any("-cl-std=" in word for word in program) else ["-cl-std=CL1.2"]
    options = " ".join([*language, "-DQN_HAS_FMA=1", f"-I{kernels}", *program[1:]])
    command = [ocloc, "compile", "-file", kernels / program[0], "-device", chip]
    command += ["-options", options, "-output", "out", "-output_no_suffix", "-out_dir", folder]
    code, said = run(command, cwd=folder)
    if code != 0 or "Build succeeded" not in said:
        return said or "no output", "", 0, 0
    text = ""
    if "matrix" in program[0]:  # ocloc finds its disassembler by a name that Debian leaves out
        for library in pathlib.Path("/usr/lib/x86_64-linux-gnu").glob("libiga64.so.1"):
            (folder / "libiga64.so").symlink_to(library)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
        command = [ocloc, "disasm", "-file", folder / "out", "-device", chip]
        run([*command, "-dump", folder / "dump"], cwd=folder, env=environment)
        text = "".join(path.read_text() for path in folder.glob("dump/*.asm"))
    return "", text, sum(numbers(r"spilled around (\d+)", said)), 0


def x86(program, folder):
    """For processors with AMX, whose instructions stand in the source: no vector is put away
    between the first product and the last."""
    out = folder / "out.s"
    options = ["-cl-std=CL1.2", "-target", "x86_64-unknown-linux-gnu", "-march=skylake-avx512"]
    options += ["-Dinline=inline __attribute__((always_inline))"]
    code, said = run([*CLANG, *options, *program[1:], kernels / program[0], "-o", out])
    if code != 0:
        return said, "", 0, 0
    text = out.read_text()
    code, said = run([clang, "-target", "x86_64-unknown-linux-gnu", "-c", out, "-o", folder / "o"])
    products = re.findall(r"(?s)\ttdp.*\ttdp[^\n]*", text)
    return (
        (said if code else ""),
        text,
        sum(len(re.findall(r"(?:16|32|64)-byte Spill", part)) for part in products),
        0,
    )


def intel_16(program, folder):
    return intel(program, folder, "pvc")


# The probes that hold, the units of matrix_unit.clh with their compiler, and what must be seen.
VENDORS = {
    "NVIDIA": (["shuffle_ptx", "matrix_ptx"], nvidia, {"PTX": (1, nvidia)}),
    "AMD": (["shuffle_amd", "matrix_mfma"], amd, {"MFMA": (4, amd), "WMMA": (5, amd_wmma)}),
    "Intel": (
        ["shuffle_intel", "matrix_dpas8"],
        intel,
        {"DPAS8": (2, intel), "DPAS16": (3, intel_16)},
    ),
}
SEEN = {
    "PTX": ["mma.sync.aligned.m16n8k16", "ldmatrix.sync", "cp.async.cg.shared.global"],
    "MFMA": ["v_mfma_f32_16x16x16"],
    "WMMA": ["llvm.amdgcn.wmma.f32.16x16x16"],
    "DPAS8": ["dpas.8x8"],
    "DPAS16": ["dpas.8x8"],
    "AMX bf16": ["ldtilecfg", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease"],
    "AMX int8": ["ldtilecfg", "tileloadd", "tdpbusd", "tilestored", "tilerelease"],
    "NVIDIA rows": ["shfl.sync.bfly", "ld.global.v4"],
    "AMD rows": ["ds_swizzle_b32", "global_load_dwordx4"],
}
# How each adds products of bytes (dot.clh), and what is then seen.
DOTS = {
    "NVIDIA": (" -DQN_DOT=1", ["dp4a.u32.s32"]),
    "AMD": (" -DQN_DOT=3", ["v_dot4"]),
    "Intel": (" -DQN_DOT=2 -cl-std=CL3.0", []),
}
EPILOGUE = "-DQN_FROM_C=0 -DQN_BIAS=1 -DQN_PRE=0 -DQN_ACT=1"
LAYOUTS = ["-DQN_A_TURNED=0 -DQN_B_TURNED=0", "-DQN_A_TURNED=0 -DQN_B_TURNED=1"]
LAYOUTS += ["-DQN_A_TURNED=1 -DQN_B_TURNED=0"]


def planned(folder, probes, *flags):
    record, text = folder / "record.json", folder / "text.txt"
    probes = {name: "proven" for name in (*PROVEN, *probes)}
    record.write_text(json.dumps({**RECORD, "probes": probes}))
    text.write_text("the stone turns, the grain is flour; " * 200)
    command = [build / "quernel", "plan", "--text", text, "--device-record", record, "--json"]
    out = subprocess.run([*command, *flags], check=True, capture_output=True, text=True).stdout
    return set(json.loads(out)["programs"])


def tiles():
    """Every setting of matmul's tile variant, and attention at the usual sizes of heads."""
    source = (root / "engine/ops/matmul.c").read_text()
    shapes = re.findall(r'"(-DQN_TM=[^"]*)"', source)
    assert len(shapes) >= 4
    for shape in shapes:
        for layout in LAYOUTS:
            yield f"matmul.tile.cl {layout} {EPILOGUE} {shape}"
        yield f"matmul.tile.cl {LAYOUTS[0]} {EPILOGUE} {shape} -DQN_T=1"
    for head in (64, 128, 256):
        for kind in (0, 2):
            heads = f"-DQN_D={head} -DQN_E={head} -DQN_T={kind}"
            yield f"attention.tile.cl {heads} -DQN_CAP=0 -DQN_SLOTS=0"
        for cache in (1, 5, 6):
            heads = f"-DQN_D={head} -DQN_E={head} -DQN_KV={cache}"
            yield f"attention.tile.cl {heads} -DQN_CAP=0 -DQN_SLOTS=1"


def matrices(name, unit):
    """Every setting of a matrix unit, its probe and its peak."""
    source = (root / "engine/ops/matmul_units.c").read_text()
    rows = re.findall(r'\{"\w+",\s*\{[^}]*?(1 << [^}]*)\},\s*"(-DQN_TM=[^"]*)"', source)
    assert len(rows) == 5
    shapes = [shape for units, shape in rows if f"1 << {name}" in units.split(" | ")]
    assert shapes
    for kind in (1, 2):
        for layout in LAYOUTS:
            for shape in shapes:
                yield f"matmul.matrix.cl -DQN_UNIT={unit} -DQN_T={kind} {layout} {EPILOGUE} {shape}"
            yield f"probe_matrix_{name.lower()}.cl -DQN_T={kind} {layout}"
        yield f"peak_matrix.cl -DQN_UNIT={unit} -DQN_T={kind}"


def amx():
    """The bf16 product in every layout and with every end, the probes and peaks."""
    product = "matmul_dot.matrix.cl -DQN_T=2 -DQN_TILE_UNIT=1 -DQN_NV=2 -DQN_KC=2048 -DQN_KEPT=256"
    ends = [EPILOGUE, "-DQN_FROM_C=1 -DQN_BIAS=0 -DQN_PRE=0 -DQN_ACT=0 -DQN_Y=0"]
    ends += [
        f"-DQN_FROM_C=0 -DQN_BIAS=0 -DQN_PRE=0 -DQN_ACT=0 -DQN_Y=0 -DQN_ONTO={n}" for n in (1, 3)
    ]
    for end in ends:
        for by_k in (0, 1):
            for turn in (0, 1):
                yield "bf16", f"{product} -DQN_S_BY_K={by_k} -DQN_TURN={turn} {end}"
    for kind in ("bf16", "int8"):
        for what in ("probe", "peak"):
            yield kind, f"{what}_x86_amx_{kind}.cl"


def quantized():
    """Products with matrices in every format, of few rows and of many, alone, with bias and sum,
    and three joined; the embedding; activations to 8 bits: what a GPU would run."""
    lines = []
    for kind in ("q8_0 q4_0 q4_1 q5_0 q5_1 q2_K q3_K q4_K q5_K q6_K iq4_nl iq4_xs mxfp4").split():
        w = f"{kind}.panels"
        for rows in (1, 128):
            x = f"x=q8x[{rows},512]"
            lines.append(f"qmatmul : {x} w={w}[256,512]")
            if kind in ("q8_0", "q4_K"):
                lines.append(f"qmatmul : {x} w={w}[256,512] bias=f32[256] c=f32[{rows},256]")
            lines.append(f"qmatmul : {x} w={w}[256,512] w2={w}[64,512] w3={w}[64,512]")
            lines.append(f"qmatmul glu=silu out=q8x : {x} w={w}[64,512] w2={w}[64,512]")
        lines.append(f"qembedding : table={w}[256,512] ids=i32[7]")
    lines += [f"quantize : x={kind}[4,512]" for kind in ("f32", "f16", "bf16")]
    lines.append("rms_norm out=q8x : x=f32[4,512] gamma=f32[512]")
    lines.append("swiglu out=q8x : gate=f32[4,512] up=f32[4,512]")
    found = set()
    for line in lines:
        command = [build / "tests/op_runner", "--no-device", "--verbose", "--case", line]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found |= set(re.findall(r"^program for a GPU: (\S+(?: -D\S+)*)", said, re.M))
    unlike = r"[.](wide|matrix)[.]cl|^qmatmul[.]cl"  # what a GPU does not choose
    return {program for program in found if not re.search(unlike, program)}


def jobs(folder):
    quants = quantized()
    assert any(program.startswith("qmatmul.tile.cl") for program in quants)
    for kind, program in amx():
        yield "x86 AMX", x86, program, SEEN[f"AMX {kind}"]
    for vendor, (probes, compiler, units) in VENDORS.items():
        found = planned(folder, probes, "--arch", "gpt2", "--dropout", "0.1")
        found |= planned(folder, probes, "--arch", "llama", "--kv-heads", "2", "--untied")
        assert any(program.startswith("matmul.tile.cl") for program in found)
        mixed = planned(folder, probes, "--arch", "gpt2", "--precision", "bf16", "--master", "none")
        assert any(program.startswith("matmul.matrix.cl") for program in mixed)
        assert not any(program.startswith("attention.cl") for program in mixed)
        found |= mixed
        assert not any(".wide.cl" in program for program in found)
        for program in sorted(found | quants | set(tiles())):
            rows = program.startswith(("layer_norm.tile.cl", "rms_norm.tile.cl"))
            rows = rows and "-DQN_SHUFFLE=0" not in program
            seen = SEEN.get(f"{vendor} rows", []) if rows else []
            if program.startswith("qmatmul.tile.cl"):
                program, seen = program + DOTS[vendor][0], DOTS[vendor][1]
            yield vendor, compiler, program, seen
        for way in ("ptx", "amd", "khr"):
            if f"-DQN_DOT={1 + ('ptx', 'khr', 'amd').index(way)}" in DOTS[vendor][0]:
                language = " -cl-std=CL3.0" if way == "khr" else ""
                yield vendor, compiler, f"probe_dot_{way}.cl{language}", DOTS[vendor][1]
        if vendor == "AMD":
            yield "AMD RDNA 3", amd_wmma, "probe_dot_amd11.cl", ["llvm.amdgcn.sudot4"]
        for name, (unit, unit_compiler) in units.items():
            for program in matrices(name, unit):
                seen = [SEEN[name][0]] if program.startswith("peak") else SEEN[name]
                yield f"{vendor} {name}", unit_compiler, program, seen


def judge(job):
    vendor, compiler, program, seen = job
    with tempfile.TemporaryDirectory() as name:
        error, text, spills, registers = compiler(program.split(), pathlib.Path(name))
    hot = ".tile.cl" in program or ".matrix.cl" in program
    missing = [word for word in seen if word not in text]
    if not error and spills and hot:
        error = f"{spills} spilled"
    if not error and missing:
        error = f"without {', '.join(missing)}"
    return vendor, program, error, registers


def main():
    failed, most, count = 0, {}, {}
    with tempfile.TemporaryDirectory() as name:
        todo = list(jobs(pathlib.Path(name)))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for vendor, program, error, registers in pool.map(judge, todo):
            count[vendor] = count.get(vendor, 0) + 1
            if registers >= most.get(vendor, (0, ""))[0]:
                most[vendor] = (registers, program)
            if error:
                failed += 1
                print(f"FAILED {vendor}: {program}\n{error[:1500]}")
    for vendor, programs in count.items():
        registers, program = most[vendor]
        most_text = f", at most {registers} registers ({program})" if registers else ""
        print(f"{vendor}: {programs} programs{most_text}")
    print(f"{failed} failed; ptxas {'ran' if ptxas else 'is not here'}")
    return 1 if failed else 0


sys.exit(main())
