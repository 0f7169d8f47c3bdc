"""How every CPU kernel is compiled."""

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

# `fastmath=True` would also assume that no NaN and no infinity occurs, and hide them; these flags do not.
_VISIBLE_NAN = {"contract", "nsz", "arcp"}
# Inlined, a kernel inside another one is the same code in the process that compiles it and in those that load it from
# the cache; called, it is whichever copy the process has met first, and copies round differently.
_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "forceinline": True, "no_cfunc_wrapper": True}
_PATIENCE = 60.0  # seconds that another process may take to compile a kernel


class _Cache(FunctionCache):
    """Numba's own, but for files that are damaged or cannot be written: then the kernel is compiled again.

    Kernels are inlined into those of other files, so a change of any file makes the code of all of them stale.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = _sources()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # what was cut off anywhere in a pickle may raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def _kept(compiling: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The decorator `compiling`, whose code is kept for the next process where there is a place for it."""

    def decorate(function: Any) -> Any:
        compiled = compiling(function)
        try:
            compiled._cache = _Cache(function)
            compiled.compile = _by_one_process(compiled.compile, Path(function.__code__.co_filename))
        except RuntimeError:  # neither beside the kernels nor in a home may be written
            _say_once()
        return compiled

    return decorate


class _Compiling(threading.local):
    """Whether this thread is compiling a kernel, and so may be asked for those inside it."""

    now = False


_compiling = _Compiling()


def _by_one_process(compile: Callable[[Any], Any], source: Path) -> Callable[[Any], Any]:
    """A dispatcher's `compile`, which waits while another process compiles from the same file, for what it keeps."""

    @functools.wraps(compile)
    def compiling(signature: Any) -> Any:
        if _compiling.now:  # the compiler is at work, and nobody may wait inside it
            return compile(signature)
        with _held(source):
            _compiling.now = True
            try:
                return compile(signature)
            finally:
                _compiling.now = False

    return compiling


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """A lock on a file that ends with the process, if nothing else.

    None where the system has none, or where somebody has held it for longer than anything compiles: he may be stopped.
    """
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            file, until = stack.enter_context(path.open("rb")), time.monotonic() + _PATIENCE
            while time.monotonic() < until:
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.02)
        yield


@functools.cache
def _say_once() -> None:
    logging.getLogger("minipg").warning(
        "compiled kernels cannot be kept, so they are compiled in every run: set NUMBA_CACHE_DIR to a folder"
    )


@functools.cache
def _sources() -> tuple[Any, ...]:
    """What tells one state of the kernels' files from another."""
    here = Path(__file__).parent
    files = [*sorted(here.rglob("*.py")), *sorted(here.parent.glob("*.py"))]  # tables of numbers are there
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


jit = _kept(numba.njit(fastmath=_VISIBLE_NAN, **_OPTIONS))
# For the parts of a kernel: written apart, compiled with it alone, where each by itself would cost seconds more.
part = numba.njit(fastmath=_VISIBLE_NAN, inline="always", **_OPTIONS)
# For sums over a long axis: the order of additions is the compiler's (fixed once compiled), so they vectorise.
jit_sum = _kept(numba.njit(fastmath=_VISIBLE_NAN | {"reassoc"}, **_OPTIONS))
# For dynamics that repeat another program's numbers: every operation as it is written, rounded by itself.
jit_exact = _kept(numba.njit(**_OPTIONS))
