"""The families of distributions: a table, from which their CUDA kernels (rows.cu) and their functions are made.

A kernel of rows.cu is compiled once for each family and computes one row of a batch per thread.
"""

from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from inspect import signature
from typing import NamedTuple

import cupy
from minipg.kernels import _quadrature
from minipg.kernels.gpu._cuda import Source


class Family(NamedTuple):
    """The C++ type of an action's entries, their number in rows of D parameters, and the files that its own needs."""

    action: str
    entries: Callable
    files: tuple[str, ...] = ()


FAMILIES = {
    "categorical": Family("i64", lambda width, sizes: 1),
    "gaussian": Family("real", lambda width, sizes: width // 2),
    "bernoulli": Family("i64", lambda width, sizes: width),
    "multicategorical": Family("i64", lambda width, sizes: len(sizes), ("categorical.cuh",)),
    "squashed": Family("real", lambda width, sizes: width // 2, ("gaussian.cuh",)),
}
_FUNCTIONS = (
    "sample", "mode", "log_prob", "score", "kl", "kl_gradient", "entropy", "entropy_gradient", "fisher_product",
)  # fmt: skip


@cache
def functions(family):
    """The functions of `reference/<family>.py` by name, each one launch; the last argument is the output."""
    reference = import_module(f"minipg.kernels.reference.{family}")
    return {name: _function(row_kernels(family), name, getattr(reference, name)) for name in _FUNCTIONS}


def _function(launch, name, reference):
    names = list(signature(reference).parameters)
    inputs = len(names) - (2 if "sizes" in names else 1)

    @wraps(reference)
    def function(*arguments):
        launch(name, arguments[inputs:-1], *arguments[:inputs], arguments[-1])

    return function


class RowKernels:
    """The kernels of rows.cu for one family; `files`, `text` and `defines` are for other sources that need it."""

    def __init__(self, family):
        self._entries = FAMILIES[family].entries
        self.files = ("shape.cuh", *FAMILIES[family].files, f"{family}.cuh", "distribution_params.cuh")
        self.text = _quadrature_text() if family == "squashed" else ""
        self.defines = {"FAMILY": family.capitalize(), "ACTION": FAMILIES[family].action}
        self.source = Source(*self.files, "rows.cu", text=self.text, **self.defines)

    def __call__(self, name, options, params, *arguments):
        """Launch a kernel for the rows of params (B, D), its first array; `options` as in `Distribution.options`."""
        rows, width = params.shape
        sizes = tuple(options[0].tolist()) if options else ()
        self.source(name, rows, width, self._entries(width, sizes), on_device(sizes), params, *arguments)


row_kernels = cache(RowKernels)  # of the family of a name, compiled once


def name_of(family):
    """The name of a family of `arguments.py`."""
    return type(family).__name__.lower()


def launch_rows(name, policy, params, obs, out, *arguments):
    """Launch a kernel for a policy's family, from the parameters (B, D), observations and outputs (B, n)."""
    run, form = row_kernels(name_of(policy.family)), (policy.form, out.shape[1], *policy.log_std_range, obs.shape[1])
    run(name, policy.family.options, params, *form, obs, out, *arguments)


@cache
def on_device(numbers):
    """A tuple of whole numbers as an array of the device, copied once."""
    return cupy.asarray(numbers, "int64")


def _quadrature_text():
    """The nodes and weights of `_quadrature` as CUDA."""
    lines = [f"#define NODES_NARROW {len(_quadrature.X)}", f"#define NODES_WIDE {len(_quadrature.T)}"]
    lines.append(f"#define TAU {_quadrature.TAU!r}")
    for name in "XWTR":
        numbers = ", ".join(map(repr, getattr(_quadrature, name).tolist()))
        lines.append(f"static __device__ const double {name}[] = {{{numbers}}};")
    return "\n".join(lines)
