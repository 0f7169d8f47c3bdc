"""The decorators that compile the CPU kernels."""

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numba
from minipg.kernels.cpu._cache import KernelCache, by_one_process
from numba.core import cgutils, errors, types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import populate_array

# `fastmath=True` would also assume that no NaN and no infinity occurs, and hide them; these flags do not.
_VISIBLE_NAN = {"contract", "nsz", "arcp"}
# Inlining keeps results equal to the bit: a kernel that is called, not inlined, may be one of several compilations
# of it, which may round differently.
_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "forceinline": True, "no_cfunc_wrapper": True}


def _kept(compiling: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The decorator `compiling`, and the compiled code is cached on disk if the cache folder can be written."""

    def decorate(function: Any) -> Any:
        compiled = compiling(function)
        if not hasattr(compiled, "compile"):  # NUMBA_DISABLE_JIT
            return compiled
        try:
            compiled._cache = cache = KernelCache(function)
            compiled.compile = by_one_process(compiled, cache)
        except RuntimeError:  # the cache folder cannot be written
            _warn_once()
        return compiled

    return decorate


@functools.cache
def _warn_once() -> None:
    logging.getLogger("minipg").warning(
        "compiled kernels cannot be kept, so they are compiled in every run: set NUMBA_CACHE_DIR to a folder"
    )


jit = _kept(numba.njit(fastmath=_VISIBLE_NAN, **_OPTIONS))
# For parts of a kernel, which are compiled only with the kernel: compiling each by itself would take seconds more.
part = numba.njit(fastmath=_VISIBLE_NAN, inline="always", **_OPTIONS)
# For long parts that many kernels share: compiled once with each, and called. Their arithmetic must not depend on how
# they are compiled: sums in a fixed order.
called = numba.njit(fastmath=_VISIBLE_NAN, **(_OPTIONS | {"forceinline": False}))
# For sums over a long axis: the compiler chooses the order of additions (fixed once compiled), so they vectorise.
jit_sum = _kept(numba.njit(fastmath=_VISIBLE_NAN | {"reassoc"}, **_OPTIONS))
# For dynamics that equal another program's to the bit: every operation is rounded separately. Without `fastmath=False`
# the flags of the first caller would apply.
jit_exact = _kept(numba.njit(fastmath=False, **_OPTIONS))


def by_type(modules: Mapping[Any, Any], exact: bool = False) -> Callable[[Any], Any]:
    """Make a function for compiled code: the type of its first argument chooses the kernel.

    `modules` maps each type to a module of kernels. When Numba compiles a caller, it runs the decorated function once,
    with that module as an argument before the others, and compiles the lambda that is returned.
    """

    def decorate(choose: Any) -> Any:
        def dispatched(*arguments: Any) -> Any:
            raise NotImplementedError(f"{choose.__name__} is for compiled code")

        def chosen(first: Any, *others: Any) -> Any:
            return choose(modules[first.instance_class], first, *others)

        signature = inspect.signature(choose)
        own = signature.replace(parameters=list(signature.parameters.values())[1:])
        for function in (dispatched, chosen):
            vars(functools.update_wrapper(function, choose))["__signature__"] = own
        overload(dispatched, jit_options={"fastmath": False if exact else _VISIBLE_NAN, **_OPTIONS})(chosen)
        return dispatched

    return decorate


@intrinsic
def unowned(typing: Any, array: Any) -> Any:
    """The same array without a reference to its owner: views of it are not reference-counted.

    Counting is atomic, so two threads with views of one array would wait for each other. Use it only on arguments of a
    kernel: they outlive the call.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        view = context.make_array(array)(context, builder, values[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), code


@intrinsic
def matrix(typing: Any, array: Any, start: Any, rows: Any, columns: Any) -> Any:
    """The numbers of an array (…,) from `start` on as a matrix (rows, columns), without a reference to their owner.

    `reshape` calls a function of Numba's runtime and counts references. Nothing is checked here.
    """
    return _matrix_of(array, array), _code_of_a_matrix


@intrinsic
def matrix_like(typing: Any, array: Any, start: Any, rows: Any, columns: Any, like: Any) -> Any:
    """The same memory as numbers of the dtype of `like`, which are no larger."""
    signature = _matrix_of(array, like)
    return signature.return_type(*signature.args, like), _code_of_a_matrix


def _matrix_of(array: Any, like: Any) -> Any:
    """The type of `matrix` for an array, with numbers as `like` has."""
    if array.layout != "C":
        raise errors.NumbaTypeError("matrix: expected an array in C order")
    return types.Array(like.dtype, 2, "C")(array, types.intp, types.intp, types.intp)


def _code_of_a_matrix(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    kind, (array, first, n, m, *_) = signature.return_type, values
    source = context.make_array(signature.args[0])(context, builder, array)
    view = context.make_array(kind)(context, builder)
    data = builder.bitcast(builder.gep(source.data, [first]), view.data.type)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    populate_array(view, data, [n, m], [builder.mul(m, size), size], size, meminfo=None)
    return view._getvalue()


@intrinsic
def row(typing: Any, array: Any, start: Any, length: Any) -> Any:
    """`length` numbers of an array (…,) from `start` on, as an array of one dimension, as `matrix` does."""
    if array.layout != "C":
        raise errors.NumbaTypeError("row: expected an array in C order")
    kind = array.copy(ndim=1, layout="C")

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source = context.make_array(array)(context, builder, values[0])
        view, (first, n) = context.make_array(kind)(context, builder), values[1:]
        data = builder.gep(source.data, [first])
        populate_array(view, data, [n], [source.itemsize], source.itemsize, meminfo=None)
        return view._getvalue()

    return kind(array, types.intp, types.intp), code


@intrinsic
def words(typing: Any, array: Any, start: Any, count: Any) -> Any:
    """The whole words of eight bytes among `count` numbers of an array (…,) from `start` on, as `row` does."""
    if array.layout != "C":
        raise errors.NumbaTypeError("words: expected an array in C order")
    kind = types.Array(types.uint64, 1, "C", aligned=False)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source = context.make_array(array)(context, builder, values[0])
        view, (first, n) = context.make_array(kind)(context, builder), values[1:]
        size = context.get_constant(types.intp, 8)
        data = builder.bitcast(builder.gep(source.data, [first]), view.data.type)
        length = builder.udiv(builder.mul(n, source.itemsize), size)
        populate_array(view, data, [length], [size], size, meminfo=None)
        return view._getvalue()

    return kind(array, types.intp, types.intp), code
