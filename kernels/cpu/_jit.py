"""How every CPU kernel is compiled."""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numba
from minipg.kernels.cpu._cache import KernelCache, by_one_process
from numba.core import cgutils
from numba.extending import intrinsic, overload

# `fastmath=True` would also assume that no NaN and no infinity occurs, and hide them; these flags do not.
_VISIBLE_NAN = {"contract", "nsz", "arcp"}
# Inlined, a kernel inside another one is the same code in the process that compiles it and in those that load it from
# the cache; called, it is whichever copy the process has met first, and copies round differently.
_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "forceinline": True, "no_cfunc_wrapper": True}


def _kept(compiling: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The decorator `compiling`, whose code is kept for the next process where there is a place for it."""

    def decorate(function: Any) -> Any:
        compiled = compiling(function)
        if not hasattr(compiled, "compile"):  # NUMBA_DISABLE_JIT
            return compiled
        try:
            compiled._cache = cache = KernelCache(function)
            compiled.compile = by_one_process(compiled, cache)
        except RuntimeError:  # neither beside the kernels nor in a home may be written
            _say_once()
        return compiled

    return decorate


@functools.cache
def _say_once() -> None:
    logging.getLogger("minipg").warning(
        "compiled kernels cannot be kept, so they are compiled in every run: set NUMBA_CACHE_DIR to a folder"
    )


jit = _kept(numba.njit(fastmath=_VISIBLE_NAN, **_OPTIONS))
# For the parts of a kernel, which are compiled with it alone: each by itself would cost seconds more.
part = numba.njit(fastmath=_VISIBLE_NAN, inline="always", **_OPTIONS)
# For sums over a long axis: the order of additions is the compiler's (fixed once compiled), so they vectorise.
jit_sum = _kept(numba.njit(fastmath=_VISIBLE_NAN | {"reassoc"}, **_OPTIONS))
# For dynamics that are equal to another program's to the bit: every operation is rounded by itself. Without the option,
# `fastmath` would be that of the first caller.
jit_exact = _kept(numba.njit(fastmath=False, **_OPTIONS))


def by_type(modules: Mapping[type, Any], exact: bool = False) -> Callable[[Any], Any]:
    """Decorate a function of compiled code whose first argument's type chooses the kernel.

    `modules` has a module of kernels for each type. The decorated function is called by the compiler, with the module
    in place of the first argument, and returns the code to compile.
    """

    def decorate(choose: Any) -> Any:
        @functools.wraps(choose)
        def dispatched(*arguments: Any) -> Any:
            raise NotImplementedError(f"{choose.__name__} is for compiled code")

        @functools.wraps(choose)
        def chosen(first: Any, *others: Any) -> Any:
            return choose(modules[first.instance_class], *others)

        overload(dispatched, jit_options={"fastmath": False if exact else _VISIBLE_NAN, **_OPTIONS})(chosen)
        return dispatched

    return decorate


@intrinsic
def unowned(typing: Any, array: Any) -> Any:
    """The same array without a reference to its owner: views of it are not reference-counted.

    Counting is atomic, so that two threads with views of one array would wait for each other. For arguments of a
    kernel, which outlive it.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        view = context.make_array(array)(context, builder, values[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), code
