"""Small matrix products whose operands are read with any stride, in vector registers.

    C[r, n] += Σ_u Σ_t A[r, u, t] B[u, t, n]

Each of A, B, C is a flat array and strides, so its rows may overlap: the windows of a convolution need not be copied.
A tile of C, TALL rows by WIDE columns, stays in registers for the whole sum, and every number of A is multiplied by a
vector of B. Numba does not turn loops into that by itself, so the tile is written in LLVM's instructions.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from minipg.kernels.cpu._jit import called
from numba.core import cgutils, types
from numba.extending import intrinsic

TALL, WIDE, NARROW = 6, 16, 4  # 6 rows of 16 float32 are 12 of AVX2's 16 registers; AVX-512 needs half as many


class Strided(NamedTuple):
    """Numbers of a flat array: entry (r, u, t) is array[start + row·r + outer·u + inner·t]."""

    array: Any
    start: int
    row: int
    outer: int
    inner: int


def _tile(rows, width):
    """An intrinsic: add the sums to one tile of C, `rows` rows by `width` columns, that begins at c_start."""

    @intrinsic
    def tile(typing, c, c_start, a, a_start, b, b_start, outer, inner):
        signature = types.void(c, types.intp, a, types.intp, b, types.intp, types.intp, types.intp)

        def code(context, builder, signature, values):
            (c, c_start, a, a_start, b, b_start, outer, inner), kinds = values, signature.args
            c, a, b = (_Pointer(context, builder, *pair) for pair in zip((c, a, b), kinds[:6:2], strict=True))
            vector, once = ir.VectorType(c.kind, width), ("contract",)  # multiply and add in one rounding
            undefined, zeros = (
                ir.Constant(vector, ir.Undefined),
                ir.Constant(ir.VectorType(ir.IntType(32), width), None),
            )
            targets = [c.at(c_start, vector, r) for r in range(rows)]
            sums = [cgutils.alloca_once_value(builder, _aligned(c, builder.load(target))) for target in targets]
            with cgutils.for_range(builder, outer) as u, cgutils.for_range(builder, inner) as t:
                factors = _aligned(c, builder.load(b.at(b_start, vector, 0, u.index, t.index)))
                for r, total in enumerate(sums):
                    number = a.as_number(builder.load(a.at(a_start, a.kind, r, u.index, t.index)), c.kind)
                    spread = builder.insert_element(undefined, number, ir.IntType(32)(0))
                    term = builder.fmul(builder.shuffle_vector(spread, undefined, zeros), factors, flags=once)
                    builder.store(builder.fadd(term, builder.load(total), flags=once), total)
            for target, total in zip(targets, sums, strict=True):
                _aligned(c, builder.store(builder.load(total), target))
            return context.get_dummy_value()

        return signature, code

    return tile


class _Pointer:
    """A `Strided` argument of an intrinsic."""

    def __init__(self, context, builder, value, kind):
        array, _, *self.strides = cgutils.unpack_tuple(builder, value)
        self.builder, self.data = builder, context.make_array(kind.types[0])(context, builder, array).data
        self.signed = getattr(kind.types[0].dtype, "signed", True)
        self.kind, self.size = self.data.type.pointee, context.get_abi_sizeof(self.data.type.pointee)

    def at(self, start, kind, *indices):
        """A pointer to a `kind` at entry `indices`, (r, u, t) or less, counted from `start`."""
        for index, stride in zip(indices, self.strides, strict=False):
            index = start.type(index) if isinstance(index, int) else index
            start = self.builder.add(start, self.builder.mul(index, stride))
        return self.builder.bitcast(self.builder.gep(self.data, [start]), kind.as_pointer())

    def as_number(self, value, kind):
        """A loaded value as a number of `kind`: images may be bytes."""
        if self.kind == kind:
            return value
        return (self.builder.sitofp if self.signed else self.builder.uitofp)(value, kind)


def _aligned(pointer, instruction):
    """Vectors begin at any number."""
    instruction.align = pointer.size
    return instruction


def _columns(width):
    """A function that computes `width` columns of C, from column n on."""
    tall, pair, single = _tile(TALL, width), _tile(2, width), _tile(1, width)

    @called
    def add(c, a, b, n, rows, outer, inner):
        r = 0
        while rows - r >= TALL:
            tall(c, c.start + r * c.row + n, a, a.start + r * a.row, b, b.start + n, outer, inner)
            r += TALL
        while rows - r >= 2:
            pair(c, c.start + r * c.row + n, a, a.start + r * a.row, b, b.start + n, outer, inner)
            r += 2
        while rows - r >= 1:
            single(c, c.start + r * c.row + n, a, a.start + r * a.row, b, b.start + n, outer, inner)
            r += 1

    return add


_wide, _narrow, _single = _columns(WIDE), _columns(NARROW), _columns(1)


@called
def add_products(c, a, b, rows, columns, outer, inner):
    """C[r, n] += Σ_u Σ_t A[r, u, t] B[u, t, n] for r < rows, n < columns; u < outer, t < inner.

    a, b, c: `Strided`. The columns of C and of B are neighbours in memory. Rows of C must not overlap.
    """
    n = 0
    while columns - n >= WIDE:
        _wide(c, a, b, n, rows, outer, inner)
        n += WIDE
    while columns - n >= NARROW:
        _narrow(c, a, b, n, rows, outer, inner)
        n += NARROW
    while columns - n >= 1:
        _single(c, a, b, n, rows, outer, inner)
        n += 1
