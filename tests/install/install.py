"""`cmake --install` into an empty folder, then an outside program against it, twice: by pkg-config
and by find_package; the installed command runs, and the library shows no symbol that is not
ours.

    python3 tests/install/install.py BUILD_FOLDER
"""

import os
import pathlib
import subprocess
import sys
import tempfile

build = pathlib.Path(sys.argv[1]).resolve()
source = pathlib.Path(__file__).resolve().parent / "outside.c"


def run(*command, **options):
    print("+", " ".join(str(part) for part in command), flush=True)
    return subprocess.run(command, check=True, text=True, **options)


with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    prefix = root / "prefix"
    run("cmake", "--install", build, "--prefix", prefix, stdout=subprocess.DEVNULL)
    library = next(prefix.rglob("libquernel.so"))
    pc = library.parent / "pkgconfig"
    environment = dict(os.environ, PKG_CONFIG_PATH=str(pc))

    flags = run(
        "pkg-config",
        f"--define-variable=prefix={prefix}",
        "--cflags",
        "--libs",
        "quernel",
        env=environment,
        stdout=subprocess.PIPE,
    ).stdout.split()
    run("cc", "-std=c11", "-Wall", "-Werror", source, "-o", root / "by_pkg", *flags)
    run(root / "by_pkg", env=dict(os.environ, LD_LIBRARY_PATH=str(library.parent)))

    project = root / "project"
    project.mkdir()
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(outside C)\n"
        "find_package(quernel 0.1 REQUIRED)\n"
        f"add_executable(outside {source})\n"
        "target_link_libraries(outside quernel::quernel)\n"
    )
    cmake = ["cmake", "-S", project, "-B", root / "out", f"-DCMAKE_PREFIX_PATH={prefix}"]
    run(*cmake, stdout=subprocess.DEVNULL)
    run("cmake", "--build", root / "out", stdout=subprocess.DEVNULL)
    run(root / "out" / "outside")

    helped = run(prefix / "bin" / "quernel", "--help", stdout=subprocess.PIPE).stdout
    assert "train" in helped
    assert next(prefix.rglob("quernel-probe")).parent.name == "quernel"

    symbols = run("nm", "-D", "--defined-only", library, stdout=subprocess.PIPE).stdout.split("\n")
    foreign = [line for line in symbols if line and not line.split()[-1].startswith("qn_")]
    assert not foreign, f"foreign symbols are visible: {foreign[:5]}"
    inner = [line for line in symbols if "qn__" in line]
    assert not inner, f"inner symbols are visible: {inner[:5]}"
print("installed tree works")
