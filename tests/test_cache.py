"""Compiled code that was kept is no condition: damaged, or with no place to be kept, it is made again."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from minipg.kernels.cpu import _cache, fisher, mlp

SCRIPT = """
from minipg.kernels.cpu import _jit
if {nowhere}:
    from minipg.kernels.cpu import _cache
    _cache._Locator.ensure_cache_path = lambda self: open("/dev/null/nowhere")

@_jit.jit
def double(x):
    return 2 * x

print(double(21))
"""


def doubled(tmp_path, nowhere=False):
    """What a small kernel in a process of its own gives, and what is said."""
    script = tmp_path / "script.py"
    if not script.exists():
        script.write_text(SCRIPT.format(nowhere=nowhere))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    ended = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "other", "unwritable"])
def test_a_kernel_whose_kept_code_is_damaged_is_compiled_again_and_kept(tmp_path, suffix, damage):
    assert doubled(tmp_path) == ("42\n", "")
    (file,) = (tmp_path / "cache").rglob(f"*{suffix}")
    content = file.read_bytes()
    if damage == "unwritable":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "other": b"theta = 0\n"}[damage])
    assert doubled(tmp_path) == ("42\n", "")
    if damage != "unwritable":
        assert len(file.read_bytes()) > 0.9 * len(content)


def test_without_a_place_for_compiled_code_kernels_are_compiled_in_every_run_and_that_is_said(tmp_path):
    out, err = doubled(tmp_path, nowhere=True)
    assert out == "42\n"
    assert err.splitlines() == [
        "compiled kernels cannot be kept, so they are compiled in every run: set NUMBA_CACHE_DIR to a folder"
    ]


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
    for kernel in (fisher.gaussian_product, mlp.forward):
        assert kernel._cache._cache_file._source_stamp == _cache.sources()


def test_compiled_code_is_kept_in_the_users_cache_folder_and_never_beside_the_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(_cache.config, "CACHE_DIR", "")
    assert tmp_path in _cache.folder.__wrapped__().parents
    for kernel in (fisher.gaussian_product, mlp.forward):
        assert Path(mlp.__file__).parent not in Path(kernel._cache.cache_path).parents


def test_code_of_sources_that_are_no_longer_used_is_removed_after_some_time(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache.config, "CACHE_DIR", str(tmp_path))
    for name, days in (("kernels-old", 40), ("kernels-new", 10), ("something else", 40)):
        (tmp_path / name / "cpu").mkdir(parents=True)
        (tmp_path / name / "cpu" / "code.nbc").touch()
        then = time.time() - days * 86400
        for path in (tmp_path / name / "cpu" / "code.nbc", tmp_path / name / "cpu", tmp_path / name):
            os.utime(path, (then, then))
    _cache.folder.__wrapped__()
    assert {path.name for path in tmp_path.iterdir()} == {"kernels-new", "something else"}
