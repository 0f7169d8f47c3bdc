"""A received folder made hostile in more than 200 ways, and what every command does with it.

    python tests/audit/hostile_folders.py [--only NAME] [--part K/N] [--list]

Each way changes a copy of a sound run, or of a folder of seeds. Each command is run in a process of its own, in an
empty working folder and in the received one; where modules are laid, as a program that has imported nothing. It has to
end within 20 s and 1 GB, with status 0, or with status 2 and one line. Whatever it prints is printable. No file outside
is changed, no module of the folder is executed, no process is left. A promise that is broken is printed; the exit
status is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import hostile_ways
import matplotlib
from minipg.kernels.cpu import _cache

import minipg
from minipg.cli import main as minipg_main
from minipg.errors import MinipgError
from minipg.runtime.progress import printable

SECONDS, BYTES = 20, 1e9  # of the processor, as others may use it, too
WALL = 120  # seconds until a command counts as hanging
_ONE = ["--num-envs", "1", "--n-steps", "16", "--hidden", "4", "--vf-epochs", "1", "--threads", "1"]
_RUN = ["train", "trpo", "CartPole-v1", *_ONE, "--steps", "16", "--json"]
# a program that has imported what it needs, and has the working folder on its path, as a session of Python has
_LOAD = """
import sys, minipg
minipg.PPO("CartPole-v1", hidden=(4,), threads=1)
sys.path.insert(0, "")
minipg.load(sys.argv[1])
"""
# what every Python process imports first: it notes the code of the received folder that is executed
_HOOK = """
import os, sys
folder, log = os.environ["HOSTILE_FOLDER"], os.environ["HOSTILE_LOG"]
def note(event, arguments):
    if event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(folder):
        with open(log, "a") as file:
            print(arguments[0].co_filename, file=file)
sys.addaudithook(note)
"""


class Ended(NamedTuple):
    """How a command ended: its status, seconds, peak memory in bytes, and what it printed."""

    status: int
    seconds: float
    peak: float
    out: str
    err: str


def commands(run: Path, seeds: bool) -> dict[str, list[str]]:
    """The arguments of every command by its name; of `load`, those of Python."""
    resume = ["train", "--resume", str(run), "--threads", "1", "--steps", "32"]
    if seeds:
        return {"resume": [*resume, "--jobs", "1"], "list": ["list", "runs", str(run)], "plot": ["plot", str(run)]}
    return {
        "list": ["list", "runs", str(run.parent)],
        "watch": ["watch", str(run)],
        "plot": ["plot", str(run)],
        "evaluate": ["evaluate", str(run), "--episodes", "1", "--max-steps", "500"],
        "load": ["load", str(run)],
        "resume": resume,
    }


def call(args: list[str], place: Path, received: Path, scratch: Path, fresh: bool = True) -> Ended:
    """Run a command of minipg, or `load`, in the folder `place`: as a program, or in a fork of this process."""
    environment = {
        **os.environ, "HOSTILE_FOLDER": str(received), "HOSTILE_LOG": str(scratch / "executed"), "COLUMNS": "200",
        "PYTHONPATH": str(scratch / "hook"), "HOME": str(scratch / "outside"), "OPENBLAS_NUM_THREADS": "1",
        "NUMBA_CACHE_DIR": str(_cache.folder().parent), "MPLCONFIGDIR": matplotlib.get_cachedir(),
        "TMPDIR": str(scratch / "tmp"),
    }  # fmt: skip
    start = time.monotonic()
    with (scratch / "out").open("wb+") as out, (scratch / "err").open("wb+") as err:
        if fresh:
            python = [sys.executable, "-P", "-c", _LOAD]
            program = python if args[0] == "load" else [str(Path(sys.executable).with_name("minipg")), args[0]]
            options: dict[str, Any] = {"cwd": place, "env": environment, "stdout": out, "stderr": err}
            number = subprocess.Popen([*program, *args[1:]], **options).pid
        elif not (number := os.fork()):
            _forked(args, place, environment, out.fileno(), err.fileno())
        signal.signal(signal.SIGALRM, lambda *_: os.kill(number, signal.SIGKILL))
        signal.alarm(WALL)
        _, status, usage = os.wait4(number, 0)
        signal.alarm(0)
    seconds = usage.ru_utime + usage.ru_stime if time.monotonic() - start < WALL - 1 else WALL
    texts = [(scratch / name).read_bytes()[: 1 << 20].decode(errors="replace") for name in ("out", "err")]
    return Ended(os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss * 1024, *texts)


def _forked(args: list[str], place: Path, environment: dict[str, str], out: int, err: int) -> NoReturn:
    status = 1
    try:
        sys.setrecursionlimit(1000)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(place)
        os.environ.update(environment)
        exec(_HOOK, {})
        if args[0] == "load":
            sys.path.insert(0, "")
            minipg.load(args[1])
            status = 0
        else:
            status = minipg_main(args)
    except MinipgError as error:
        print(f"minipg.errors.{type(error).__name__}: {printable(error)}", file=sys.stderr)
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def broken(ended: Ended, scratch: Path) -> Iterator[str]:
    """The promises that were broken, beside those of files."""
    if ended.seconds >= SECONDS:
        yield f"took {ended.seconds:.0f} s"
    if ended.peak > BYTES:
        yield f"took {ended.peak / 1e6:.0f} MB"
    errors = ended.err.split("\n")[:-1]
    if ended.status not in (0, 2) and "minipg.errors" not in ended.err:
        yield f"status {ended.status}"
    if ended.status == 2 and len(errors) != 1:
        yield f"status 2 and {len(errors)} lines"
    if "Traceback" in ended.err and "minipg.errors" not in ended.err:
        yield "a traceback"
    if bad := [line for line in [*ended.out.split("\n"), *errors] if not line.isprintable() or len(line) > 2100]:
        yield f"printed {bad[0][:80]!r}"
    if (scratch / "executed").exists():
        yield f"executed {(scratch / 'executed').read_text().split()}"
        (scratch / "executed").unlink()
    if left := children():
        time.sleep(3)
        if left := [number for number in left if number in children()]:
            yield f"left {len(left)} processes"
            for number in left:
                os.kill(number, signal.SIGKILL)


def children() -> list[int]:
    """The processes whose parent is this one, or has ended (this one adopts them)."""
    for path in Path("/proc/self/task").glob("*/children"):
        for number in map(int, path.read_text().split()):
            os.waitpid(number, os.WNOHANG)
    return [int(word) for path in Path("/proc/self/task").glob("*/children") for word in path.read_text().split()]


def snapshot(folder: Path) -> dict[str, Any]:
    """Every file below a folder, with what shows that it was changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = state.st_mode, state.st_mtime_ns if content else 0, content
    return found


def sound(scratch: Path) -> None:
    """Train what is made hostile: a run, and a folder of two seeds; and what is outside."""
    for name in ("hook", "tmp", "outside"):
        (scratch / name).mkdir()
    (scratch / "hook" / "sitecustomize.py").write_text(_HOOK)
    for name in ("file", ".killed.npz.1"):
        (scratch / "outside" / name).write_text("precious\n")
    place = scratch / "whole"
    place.mkdir()
    ended = [
        call([*_RUN, "--out", "run"], place, place, scratch),
        call([*_RUN, "--seeds", "0-1", "--jobs", "1", "--out", "seeds"], place, place, scratch),
    ]
    assert all(end.status == 0 for end in ended), ended
    os.chdir(scratch / "tmp")  # what is imported and compiled once
    with contextlib.redirect_stdout(io.StringIO()):
        for name, args in commands(place / "run", False).items():
            assert name == "load" or minipg_main(args) == 0
    shutil.rmtree(place / "run")
    assert call([*_RUN, "--out", "run"], place, place, scratch).status == 0
    shutil.copytree(place / "run", scratch / "outside" / "run")


def examine(way: hostile_ways.Way, scratch: Path, counts: dict[str, int]) -> Iterator[str]:
    """Run every command on the folder that was made hostile in this way. Yields what was broken."""
    received, empty = scratch / "received", scratch / "empty"
    before = snapshot(scratch / "outside")
    for name in commands(received, way.seeds):
        for inside in (False, True):
            for folder in (received, empty):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            run = received / "run"
            shutil.copytree(scratch / "whole" / ("seeds" if way.seeds else "run"), run)
            way.make(run, scratch / "outside")
            place, shown = (run, Path(".")) if inside else (empty, run)
            ended = call(commands(shown, way.seeds)[name], place, received, scratch, way.fresh)
            counts[str(ended.status)] = counts.get(str(ended.status), 0) + 1
            problems = list(broken(ended, scratch))
            if snapshot(scratch / "outside") != before:
                problems.append("changed a file outside")
                before = snapshot(scratch / "outside")
            if list(empty.iterdir()):
                problems.append("wrote into the working folder")
            for problem in problems:
                last = (ended.err.strip().split("\n") or [""])[-1][:300]
                yield f"{way.name}: {name}{' inside' if inside else ''}: {problem}   {last!r}"


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", metavar="NAME", help="ways whose name contains NAME")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="the K-th of N parts of the ways")
    parser.add_argument("--list", action="store_true", help="print the ways, and end")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    ways = [way for way in hostile_ways.WAYS if options.only in way.name][part - 1 :: parts]
    if options.list:
        print("\n".join(way.name for way in ways))
        return 0
    import ctypes

    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: processes that are left become children of this one
    sys.setrecursionlimit(10_000)  # to remove folders in folders
    counts: dict[str, int] = {}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="minipg-hostile-") as folder:
        scratch = Path(folder)
        sound(scratch)
        for way in ways:
            for line in examine(way, scratch, counts):
                failures += 1
                print(line, flush=True)
    print(f"{len(ways)} ways, {sum(counts.values())} commands: status {json.dumps(counts)}; {failures} promises broken")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
