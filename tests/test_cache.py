"""Compiled code is kept in the user's cache folder; without it, or where it is damaged, kernels are compiled again."""

import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from minipg.kernels.cpu import _cache, fisher, mlp

KERNEL = """
from minipg.kernels.cpu import _jit

@_jit.jit
def double(x):
    return 2 * x
"""


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "other", "unwritable", *range(0, 100, 7)])
def test_a_kernel_whose_cache_file_is_damaged_is_compiled_again_and_cached(tmp_path, suffix, damage, monkeypatch):
    monkeypatch.setattr(_cache, "folder", lambda: tmp_path / "cache")
    script = tmp_path / "script.py"
    script.write_text(KERNEL)

    def compilations():
        """How often a dispatcher that knows nothing yet has to compile the kernel for an integer."""
        double = runpy.run_path(str(script))["double"]
        assert double(21) == 42
        return sum(double.stats.cache_misses.values())

    assert (compilations(), compilations()) == (1, 0)
    (file,) = (tmp_path / "cache").rglob(f"*{suffix}")
    content = file.read_bytes()
    if damage == "unwritable":
        file.unlink()
        file.mkdir()
    else:
        bit = damage if isinstance(damage, int) else 0  # at this hundredth of the file
        place = len(content) * bit // 100
        flipped = content[:place] + bytes([content[place] ^ 1 << bit % 8]) + content[place + 1 :]
        others = {"empty": b"", "cut": content[: len(content) // 2], "other": b"theta = 0\n"}
        file.write_bytes(others.get(damage, flipped))
    assert compilations() == 1
    assert compilations() == (damage == "unwritable")
    if damage != "unwritable":
        assert len(file.read_bytes()) > 0.9 * len(content)


def test_code_whose_loading_has_ended_a_process_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "folder", lambda: tmp_path / "cache")
    script = tmp_path / "script.py"
    script.write_text(KERNEL)

    def compilations():
        double = runpy.run_path(str(script))["double"]
        assert double(21) == 42
        return sum(double.stats.cache_misses.values())

    assert (compilations(), compilations()) == (1, 0)
    (file,) = (tmp_path / "cache").rglob("*.nbi")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for left, expected in ((str(ended.pid), 1), ("?", 1), ("", 0), (str(os.getppid()), 0)):
        file.with_suffix(".loading").write_text(left)
        assert compilations() == expected
        assert compilations() == 0
    assert not list((tmp_path / "cache").rglob("*.loading"))


WITHOUT_A_PLACE = """
from minipg.kernels.cpu import _cache
_cache._Locator.ensure_cache_path = lambda self: open("/dev/null/nowhere")
"""


def test_without_a_place_for_compiled_code_kernels_are_compiled_in_every_run_and_a_line_says_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WITHOUT_A_PLACE + KERNEL + "print(double(21))")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert ended.stdout == "42\n"
    assert ended.stderr.splitlines() == [
        "compiled kernels cannot be kept, so they are compiled in every run: set NUMBA_CACHE_DIR to a folder"
    ]


def test_two_checkouts_of_the_same_kernels_share_their_compiled_code(tmp_path, monkeypatch):
    first, own = _cache.folder.__wrapped__(), Path(_cache.__file__)
    copy = tmp_path / "clone" / "kernels"
    shutil.copytree(own.parent.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(_cache, "__file__", str(copy / "cpu" / "_cache.py"))
    monkeypatch.setattr(_cache, "sources", _cache.sources.__wrapped__)
    assert _cache.folder.__wrapped__() == first


def test_a_change_of_any_kernels_file_makes_the_compiled_code_of_all_stale(tmp_path, monkeypatch):
    # they are inlined into each other: a cache that looks at its own file alone keeps what it was made of
    kernels = Path(mlp.__file__).parent
    copies = {}
    for name in (None, "mlp.py", "classic_control/cartpole.py", "../_quadrature.py"):
        copy = tmp_path / str(len(copies)) / "kernels"
        shutil.copytree(kernels.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if name is not None:
            with (copy / "cpu" / name).open("a") as file:
                file.write("# changed")
        monkeypatch.setattr(_cache, "__file__", str(copy / "cpu" / "_cache.py"))
        copies[name] = _cache.sources.__wrapped__()
    assert len(set(copies.values())) == 4
    assert copies[None] == _cache.sources()
    for kernel in (fisher.fisher_product, mlp.forward):
        assert kernel._cache._cache_file._source_stamp == _cache.sources()


def test_compiled_code_is_kept_in_the_users_cache_folder_and_never_beside_the_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert tmp_path in _cache.folder.__wrapped__().parents
    for kernel in (fisher.fisher_product, mlp.forward):
        assert Path(mlp.__file__).parent not in Path(kernel._cache.cache_path).parents


def test_code_of_sources_that_are_no_longer_used_is_removed_after_some_time(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for name, days in (("kernels-old", 40), ("kernels-new", 10), ("something else", 40)):
        (tmp_path / name / "cpu").mkdir(parents=True)
        (tmp_path / name / "cpu" / "code.nbc").touch()
        then = time.time() - days * 86400
        for path in (tmp_path / name / "cpu" / "code.nbc", tmp_path / name / "cpu", tmp_path / name):
            os.utime(path, (then, then))
    _cache.folder.__wrapped__()
    assert {path.name for path in tmp_path.iterdir()} == {"kernels-new", "something else"}
