"""Kernels of one thread a row, compiled for one family of distributions (rows.cu)."""

from functools import cache

import cupy
from minipg.kernels import _quadrature
from minipg.kernels.gpu._cuda import Source

# of each: the type of an action's numbers, and what its own file builds upon
_FAMILIES = {
    "categorical": ("i64", ()),
    "gaussian": ("real", ()),
    "bernoulli": ("i64", ()),
    "multicategorical": ("i64", ("categorical.cuh",)),
    "squashed": ("real", ("gaussian.cuh",)),
}


class Rows:
    """The row kernels of one family; `own_files`, `own_text`, `defines` are for other sources with its functions."""

    def __init__(self, family):
        self.family = family
        action, parents = _FAMILIES[family]
        self.own_files = ("shape.cuh", *parents, f"{family}.cuh", "distribution_params.cuh")
        self.own_text = _tables() if family == "squashed" else ""
        self.defines = {"FAMILY": family.capitalize(), "ACTION": action}
        self.source = Source(*self.own_files, "rows.cu", text=self.own_text, **self.defines)

    def __call__(self, name, rows, width, options, *arguments):
        """That kernel, of `rows` rows of `width` parameters each."""
        self.source(name, rows, width, self.acts(width, options), self.sizes(options), *arguments)

    def acts(self, width, options):
        """How many numbers an action has."""
        if self.family == "multicategorical":
            return len(options[0])
        return {"categorical": 1, "bernoulli": width}.get(self.family, width // 2)

    def sizes(self, options):
        """The options of each of several choices, on the device; nothing of other families."""
        return _kept(tuple(options[0].tolist()) if options else ())


@cache
def rows_of(family):
    """The row kernels of the family of that name."""
    return Rows(family)


@cache
def _kept(numbers):
    return cupy.asarray(numbers, "int64")


def kept_sizes(sizes):
    """Layer sizes (L+1,) of the host, on the device."""
    return _kept(tuple(sizes.tolist()))


def _tables():
    """The quadrature's numbers as CUDA."""
    lines = [f"#define NODES_NARROW {len(_quadrature.X)}", f"#define NODES_WIDE {len(_quadrature.T)}"]
    lines.append(f"#define TAU {_quadrature.TAU!r}")
    for name in "XWTR":
        numbers = ", ".join(map(repr, getattr(_quadrature, name).tolist()))
        lines.append(f"static __device__ const double {name}[] = {{{numbers}}};")
    return "\n".join(lines)
