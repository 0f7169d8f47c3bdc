"""CUDA sources on the processor: plain C++ after a few lines that define a grid, one thread after another.

`RawModule` replaces CuPy's: it compiles the same source with the same options, and its kernels take the same arguments,
with arrays of NumPy. No kernel waits for another thread, so a loop over the grid is a grid. Only what hardware decides
(rounding of special functions, fused multiply-adds, speed) is left to a device.

`host_cupy()` is a context in which `import cupy` finds a module with such a RawModule.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import fake_cupy
import numpy as np

from minipg.runtime import backend

_FOLDER = Path(tempfile.gettempdir()) / f"minipg-host-cuda-{os.getuid() if hasattr(os, 'getuid') else 0}"
_GRID = """
#include <math.h>
#include <stdlib.h>
#define __global__
#define __device__
#define __forceinline__ inline
struct HostIndex { unsigned x, y, z; };
static thread_local HostIndex blockIdx, threadIdx, blockDim, gridDim;
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
"""
# for every kernel a function that calls it for every thread in turn
_LAUNCH = """
extern "C" void host_{name}(unsigned grid, unsigned block, {parameters}) {{
    gridDim.x = grid, blockDim.x = block;
    for (blockIdx.x = 0; blockIdx.x < grid; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < block; threadIdx.x++) {name}({arguments});
}}
"""
_KERNEL = re.compile(r"^KERNEL (\w+)\(([^)]*)\)", re.MULTILINE)
# GCC 12 with vectorisation drops a rounding to single precision of a number that is stored in double precision
_OPTIONS = ["-O2", "-fno-tree-vectorize", "-ffp-contract=off", "-Wall", "-Werror", "-Wno-unused-function",
            "-Wno-unused-variable"]  # fmt: skip


def has_compiler():
    """Whether there is g++, on Linux."""
    return sys.platform.startswith("linux") and shutil.which("g++") is not None


def host_options(options):
    """The options of g++ for options of NVRTC; an unknown one is an error here rather than on a device."""
    known = []
    for option in options:
        if option == "-std=c++17" or re.fullmatch(r"-D\w+=\w+", option):
            known.append(option)
        elif option != "--fmad=false":  # contraction is off here anyway
            raise AssertionError(f"unknown option: {option}")
    return known


class RawModule:
    """A source compiled by g++, with kernels that are called as those of cupy.RawModule."""

    def __init__(self, *, code, options=()):
        self.code, self.options = code, tuple(options)
        self._library = None

    def get_function(self, name):
        """A kernel as a function of (grid, block, arguments)."""
        if self._library is None:
            self._library = ctypes.CDLL(str(compiled(self.code, self.options)))
        function = getattr(self._library, f"host_{name}")

        def launch(grid, block, arguments):
            assert len(grid) == len(block) == 1 <= grid[0], f"{name}: a grid of {grid}"
            assert 1 <= block[0] <= 1024, f"{name}: a block of {block}"
            function(ctypes.c_uint(grid[0]), ctypes.c_uint(block[0]), *map(_passed, arguments))

        return launch


def _passed(argument):
    """An array as its address, a NumPy scalar as its C type; anything else is refused."""
    value = getattr(argument, "_held", argument)  # of an array of fake_cupy.py
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    assert isinstance(value, np.generic), f"expected an array or a NumPy scalar, got {value!r}"
    return np.ctypeslib.as_ctypes_type(value.dtype)(value.item())


def compiled(code, options):
    """The shared library of a source, cached between runs."""
    launches = []
    for name, parameters in _KERNEL.findall(code):
        arguments = ", ".join(re.search(r"(\w+)\s*$", each)[1] for each in parameters.split(","))
        launches.append(_LAUNCH.format(name=name, parameters=parameters, arguments=arguments))
    text = _GRID + code + "".join(launches)
    command = ["g++", *_OPTIONS, *host_options(options), "-shared", "-fPIC", "-Wl,-Bsymbolic"]
    stamp = hashlib.sha256("\0".join([text, *command]).encode()).hexdigest()[:24]
    path = _FOLDER / f"{stamp}.so"
    if not path.exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        source, made = path.with_suffix(".cpp"), path.with_suffix(f".{os.getpid()}")
        source.write_text(text, "utf-8")
        done = subprocess.run([*command, str(source), "-o", str(made)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made.replace(path)
    return path


def lenient_cupy():
    """NumPy under the name of CuPy, with CuPy's additions: for tests that compare arrays with NumPy's."""
    module = types.ModuleType("cupy")
    module.__getattr__ = lambda name: getattr(np, name)
    runtime = types.SimpleNamespace(driverGetVersion=lambda: 12090, getDeviceCount=lambda: 1)
    module.RawModule, module.ndarray, module.asnumpy = RawModule, np.ndarray, np.asarray
    module.cuda = types.SimpleNamespace(runtime=runtime)
    return {"cupy": module}


def strict_cupy():
    """fake_cupy.py with the functions that the CUDA twin needs: its arrays refuse implicit copies to the host."""
    found = fake_cupy.modules()
    module, array = found["cupy"], fake_cupy.ndarray
    array.flags = property(lambda self: self._held.flags)
    module.RawModule = RawModule

    def matmul(a, b, out):
        assert out._held.flags.c_contiguous
        np.matmul(a._held, b._held, out=out._held)

    module.matmul, module.__version__ = matmul, "0"
    module.argsort = lambda a, axis: fake_cupy.ndarray(np.argsort(a._held, axis=axis, kind="stable"))
    module.cuda.Device = lambda: types.SimpleNamespace(synchronize=lambda: None)
    module.cuda.runtime.getDeviceProperties = lambda device: {"name": b"a processor"}
    return found


@contextmanager
def host_cupy(modules=None):
    """A context in which `import cupy` finds these modules, and `Backend("cupy")` is the CUDA twin over them."""
    replaced = lambda name: name.partition(".")[0] in ("cupy", "cupyx") or name.startswith("minipg.kernels.gpu")
    before = {name: module for name, module in sys.modules.items() if replaced(name)}
    for name in before:
        del sys.modules[name]
    backend._import.cache_clear()
    sys.modules.update(modules or lenient_cupy())
    fake_cupy.log.update(up=0, down=0)
    try:
        yield sys.modules["cupy"]
    finally:
        for name in [name for name in sys.modules if replaced(name)]:
            del sys.modules[name]
        sys.modules.update(before)
        backend._import.cache_clear()


FAMILIES = ("categorical", "gaussian", "bernoulli", "multicategorical", "squashed")
PROBLEMS = ("cartpole", "acrobot", "mountain_car", "mountain_car_continuous", "pendulum")
FILES = ("_arrays", "mlp", "distribution_params", "returns", "optimizer", "moments", "regression",
         "classic_control.stream")  # fmt: skip
# every problem with the families of its actions: a Gaussian's are clipped, a squashed Gaussian's are scaled
ROLLOUTS = tuple((name, family) for name in PROBLEMS for family in (
    ("gaussian", "squashed") if name in ("mountain_car_continuous", "pendulum") else ("categorical",)))  # fmt: skip
SOURCES = (*FILES, *FAMILIES, *PROBLEMS, *map("-".join, ROLLOUTS))


def source(name):
    """One of SOURCES, inside `host_cupy`."""
    of = lambda file: import_module(f"minipg.kernels.gpu.{file}")
    if name in FILES:
        return of(name)._run
    if name in FAMILIES:
        return of("_families").row_kernels(name).source
    if name in PROBLEMS:
        return of("classic_control.batch").source_of(name)
    return of("classic_control.rollout").source_of(*name.split("-"), 64)
