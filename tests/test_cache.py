"""Compiled code that was kept is no condition: damaged, or with no place to be kept, it is made again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from minipg.kernels.cpu import _cache, fisher, mlp

SCRIPT = """
from minipg.kernels.cpu import _jit
if {nowhere}:
    from numba.core import caching
    for locator in caching.CacheImpl._locator_classes:
        locator.from_function = classmethod(lambda *_: None)

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


def test_a_change_of_any_kernels_file_makes_the_compiled_code_of_all_stale():
    # they are inlined into each other: a cache that looks at its own file alone keeps what it was made of
    stamp = _cache._sources()
    assert {Path(mlp.__file__).name, "cartpole.py", "_quadrature.py"} <= {name for name, *_ in stamp}
    for kernel in (fisher.gaussian_product, mlp.forward):
        assert kernel._cache._cache_file._source_stamp == stamp
