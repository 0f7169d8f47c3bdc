"""CUDA sources: compiled when one of their kernels is first launched, launched by the signature they are written with.

A source is a few files joined, `common.cuh` first, compiled for float32 or float64 arrays as they come. A kernel is
written

    KERNEL name(i64 threads, const real *x, int n, real *out) { THREAD(t, threads); … }

and launched by `source("name", threads, x, n, out)`. What is not what the signature says, an array of another dtype,
one that is not contiguous, a number for an array, one argument too many, is a TypeError before anything runs.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cupy
import numpy as np

_FOLDER = Path(__file__).parent
_BLOCK = 128  # threads
_SCALARS: dict[str, Any] = {
    "i64": np.int64, "u64": np.uint64, "int": np.int32, "bool": np.bool_, "float": np.float32, "double": np.float64,
}  # fmt: skip
_TYPES = {name: np.dtype(scalar) for name, scalar in _SCALARS.items()}
_WHOLE = (int, np.integer, np.bool_)
_NUMBERS = (*_WHOLE, float, np.floating)
_OPTIONS = ("-std=c++17",)
# every operation rounded by itself: for dynamics that repeat another program's numbers
_EXACT = ("-std=c++17", "--fmad=false")


class Parameter(NamedTuple):
    """One parameter of a kernel: a pointer or a number, to what (`real`, or a key of the types known), by what name."""

    pointer: bool
    type: str
    name: str


def signatures(text: str, defines: dict[str, str]) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of every kernel in a source."""
    found = {}
    for name, inside in re.findall(r"^KERNEL (\w+)\(([^)]*)\)", text, re.MULTILINE):
        parameters = []
        for each in inside.split(","):
            match = re.fullmatch(r"\s*(?:const )?(\w+) (\*?)(?:__restrict__ )?(\w+)\s*", each)
            if match is None:
                raise TypeError(f"{name}: cannot read the parameter {each.strip()}")
            kind, star, own = match.groups()
            parameters.append(Parameter(bool(star), defines.get(kind, kind), own))
        found[name] = tuple(parameters)
    return found


class Source:
    """Files as one source of kernels, with `defines` for the compiler; `exact` rounds every operation by itself."""

    def __init__(self, *files: str, text: str = "", exact: bool = False, **defines: str) -> None:
        self.files, self.defines, self.options = files, defines, _EXACT if exact else _OPTIONS
        self._given = text
        self._kernels: dict[tuple[str, Any], Any] = {}

    @cached_property
    def text(self) -> str:
        """All of it."""
        parts = [(_FOLDER / file).read_text("utf-8") for file in ("common.cuh", *self.files)]
        return "\n".join([parts[0], self._given, *parts[1:]])

    @cached_property
    def signatures(self) -> dict[str, tuple[Parameter, ...]]:
        """The parameters of its kernels."""
        return signatures(self.text, self.defines)

    def compiler_options(self, real: Any) -> tuple[str, ...]:
        """What the compiler is given for arrays of that dtype."""
        names = {**self.defines, "REAL": "float" if real == np.float32 else "double"}
        return (*self.options, *(f"-D{name}={value}" for name, value in names.items()))

    def __call__(self, name: str, threads: int, *arguments: Any, block: int = _BLOCK) -> None:
        """`threads` threads of that kernel, which are its first parameter; none where there is no work."""
        parameters = self.signatures[name]
        if len(arguments) + 1 != len(parameters):
            raise TypeError(f"{name}: expected {len(parameters) - 1} arguments, got {len(arguments)}")
        pairs = list(zip(parameters[1:], arguments, strict=True))
        real = _dtype_of(name, [pair for pair in pairs if pair[0].pointer])
        taken = [value if wanted.pointer else _number(name, wanted, value, real.type) for wanted, value in pairs]
        if threads > 0:
            self._kernel(name, real)((-(-threads // block),), (block,), (np.int64(threads), *taken))

    def _kernel(self, name: str, real: Any) -> Any:
        if (name, real) not in self._kernels:
            module = cupy.RawModule(code=self.text, options=self.compiler_options(real))
            self._kernels |= {(each, real): module.get_function(each) for each in self.signatures}
        return self._kernels[name, real]


def _dtype_of(kernel: str, arrays: list[tuple[Parameter, Any]]) -> Any:
    """What `real` stands for: the dtype of the first array of it. The others, and those of named types, have to fit."""
    real = None
    for (_, kind, name), array in arrays:
        if not isinstance(array, cupy.ndarray):
            raise TypeError(f"{kernel}, {name}: expected an array on the device, got {type(array).__name__}")
        dtype = array.dtype
        if kind == "real" and real is None and dtype.kind == "f":
            real = dtype
        expected = real if kind == "real" else _TYPES[kind]
        if dtype is not expected and dtype != expected:
            raise TypeError(f"{kernel}, {name}: expected {expected or 'float32 or float64'}, got {dtype}")
        if not array.flags.c_contiguous:
            raise TypeError(
                f"{kernel}, {name}: expected a contiguous array, got one of shape {array.shape} that is not"
            )
    return real or _TYPES["float"]


def _number(kernel: str, wanted: Parameter, value: Any, real: Any) -> Any:
    """`value` as the number that a parameter takes; a real number is not cut to a whole one."""
    _, kind, name = wanted
    allowed, what = (_NUMBERS, "a number") if kind in ("real", "float", "double") else (_WHOLE, "a whole number")
    if not isinstance(value, allowed):
        raise TypeError(f"{kernel}, {name}: expected {what}, got {type(value).__name__}")
    return (real if kind == "real" else _SCALARS[kind])(value)
