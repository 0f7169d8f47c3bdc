"""CUDA sources: compiled at the first launch of one of their kernels, and launched as the kernels' signatures say.

A source is a few files joined, `common.cuh` first, compiled for float32 or float64 by the dtype of its arrays. A kernel
is written

    KERNEL name(i64 threads, const real *x, int n, real *out) { THREAD(t, threads); … }

and launched by `source("name", threads, x, n, out)`. An argument that does not fit the signature (an array of another
dtype, one that is not contiguous, a number for an array, one argument too many) is a TypeError before anything runs.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cupy
import numpy as np

_FOLDER = Path(__file__).parent
_BLOCK = 128  # threads
_FLOAT, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# the types that a signature may name; `real` is either precision
_TYPES: dict[Any, dict[str, Any]] = {
    real: {
        "real": real, "float": _FLOAT, "double": _DOUBLE, "bool": np.dtype(np.bool_),
        "i64": np.dtype(np.int64), "u64": np.dtype(np.uint64), "int": np.dtype(np.int32),
    } for real in (_FLOAT, _DOUBLE)
}  # fmt: skip
_INTEGERS = (int, np.integer, np.bool_)
_NUMBERS = (float, np.floating, *_INTEGERS)


class Parameter(NamedTuple):
    """One parameter of a kernel: a pointer or a number, of which type (a key of _TYPES), and its name."""

    pointer: bool
    type: str
    name: str


def signatures(text: str, defines: dict[str, str]) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of every kernel in a source, by the kernel's name."""
    found = {}
    for kernel, inside in re.findall(r"^KERNEL (\w+)\(([^)]*)\)", text, re.MULTILINE):
        parameters = []
        for each in inside.split(","):
            match = re.fullmatch(r"\s*(?:const )?(\w+) (\*?)(?:__restrict__ )?(\w+)\s*", each)
            if match is None:
                raise TypeError(f"{kernel}: cannot read the parameter {each.strip()}")
            type_, star, name = match.groups()
            parameters.append(Parameter(bool(star), defines.get(type_, type_), name))
        found[kernel] = tuple(parameters)
    return found


class Source:
    """Files joined to one source of kernels, after `text`, with `defines` for the compiler.

    `exact` rounds every operation by itself, for dynamics that reproduce the numbers of another program.
    """

    def __init__(self, *files: str, text: str = "", exact: bool = False, **defines: str) -> None:
        self.files, self.defines = files, defines
        self.options = ("-std=c++17", "--fmad=false") if exact else ("-std=c++17",)
        self._preamble = text
        self._kernels: dict[tuple[str, Any], Any] = {}

    @cached_property
    def text(self) -> str:
        """The whole source."""
        common, *files = ((_FOLDER / file).read_text("utf-8") for file in ("common.cuh", *self.files))
        return "\n".join([common, self._preamble, *files])

    @cached_property
    def signatures(self) -> dict[str, tuple[Parameter, ...]]:
        """The parameters of its kernels."""
        return signatures(self.text, self.defines)

    def compiler_options(self, real: Any) -> tuple[str, ...]:
        """The compiler's options for arrays of that dtype."""
        names = {**self.defines, "REAL": "float" if real == np.float32 else "double"}
        return (*self.options, *(f"-D{name}={value}" for name, value in names.items()))

    def __call__(self, kernel: str, threads: int, *arguments: Any, block: int = _BLOCK) -> None:
        """Launch a kernel with that many threads, its first parameter; without threads, check the arguments alone."""
        parameters = self.signatures[kernel][1:]
        if len(arguments) != len(parameters):
            raise TypeError(f"{kernel}: expected {len(parameters)} arguments, got {len(arguments)}")
        real = self._real(kernel, arguments)
        types, passed = _TYPES[real], [np.int64(threads)]
        for wanted, value in zip(parameters, arguments, strict=True):  # in line: an update is a thousand launches
            dtype = types[wanted.type]
            if wanted.pointer:
                fits = isinstance(value, cupy.ndarray) and value.dtype == dtype and value.flags.c_contiguous
            else:
                fits = isinstance(value, _NUMBERS if dtype.kind == "f" else _INTEGERS)
            if not fits:
                raise TypeError(f"{kernel}, {wanted.name}: {_mismatch(wanted, value, dtype)}")
            passed.append(value if wanted.pointer else dtype.type(value))
        if threads > 0:
            self._compiled(kernel, real)((-(-threads // block),), (block,), tuple(passed))

    @cached_property
    def _first_real(self) -> dict[str, int | None]:
        """The index of each kernel's first argument that is an array of reals."""
        reals = lambda parameters: (i for i, p in enumerate(parameters[1:]) if p.pointer and p.type == "real")
        return {kernel: next(reals(parameters), None) for kernel, parameters in self.signatures.items()}

    def _real(self, kernel: str, arguments: tuple[Any, ...]) -> Any:
        """The dtype of `real`: that of the first array of reals."""
        first = self._first_real[kernel]
        if first is None:
            return _FLOAT
        dtype = getattr(arguments[first], "dtype", None)
        if dtype not in _TYPES:
            wanted = self.signatures[kernel][first + 1]
            raise TypeError(f"{kernel}, {wanted.name}: {_mismatch(wanted, arguments[first], None)}")
        return dtype

    def _compiled(self, kernel: str, real: Any) -> Any:
        if (kernel, real) not in self._kernels:
            module = cupy.RawModule(code=self.text, options=self.compiler_options(real))
            self._kernels |= {(each, real): module.get_function(each) for each in self.signatures}
        return self._kernels[kernel, real]


def _mismatch(wanted: Parameter, value: Any, dtype: Any) -> str:
    """How a value does not fit a parameter of that dtype; None is either precision."""
    got = type(value).__name__
    if not wanted.pointer:
        return f"expected {'a number' if dtype.kind == 'f' else 'a whole number'}, got {got}"
    if not isinstance(value, cupy.ndarray):
        return f"expected an array on the device, got {got}"
    if value.dtype != dtype or dtype is None:
        return f"expected {dtype or 'float32 or float64'}, got {value.dtype}"
    return f"expected a contiguous array, got one of shape {value.shape} that is not"
