"""Compiled code is kept in the user's cache folder, and compiled by one process where several need it at once.

The folder is NUMBA_CACHE_DIR if that is set, else `minipg` in the system's folder for caches (~/.cache on Linux), with
one subfolder for each state of the kernels' sources. Nothing is written into the installed package or a checkout: pip
removes only the files that it has installed itself.
"""

import functools
import hashlib
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator
from numba.core.compiler_lock import global_compiler_lock
from numba.misc.appdirs import AppDirs

KEPT_DAYS = 30  # compiled code of other sources is removed when it has not been used for so long
PATIENCE = 60.0  # seconds that another process may take to compile a kernel


class _Locator(_CacheLocator):
    """Tells Numba where the compiled code of a function in `file` is kept."""

    def __init__(self, function: Any, file: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._path = folder() / Path(file).parent.name

    def get_cache_path(self) -> str:
        return str(self._path)

    def get_source_stamp(self) -> str:
        return sources()

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Locator | None":
        locator = cls(py_func, py_file)
        with suppress(OSError):
            locator.ensure_cache_path()
            return locator
        return None


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  as Numba has it


class _Files(IndexDataCacheFile):
    """Numba's own, but code is there before the index names it, by a name of its signature's and its sources' own.

    So neither a process that is killed between the two nor one that keeps other code at the same time leaves an index
    that names what it does not mean. The code of older sources is removed.
    """

    def save(self, key: Any, data: Any) -> None:
        known = self._load_index()
        others = {name for other, name in known.items() if other != key}
        number = zlib.crc32(repr((self._source_stamp, key)).encode())
        while (name := self._data_name(number)) in others:
            number += 1
        self._save_data(name, data)
        named = {**self._load_index(), key: name}
        self._save_index(named)
        if not known:
            self._remove_all_but(set(named.values()))

    def _remove_all_but(self, names: set[str]) -> None:
        base = self._index_name.removesuffix("nbi")
        for path in Path(self._cache_path).iterdir():
            if path.name.startswith(base) and path.name.endswith(".nbc") and path.name not in names:
                with suppress(OSError):
                    path.unlink()


class KernelCache(FunctionCache):
    """Numba's own, but for files that are damaged or cannot be written: then the kernel is compiled again.

    Kernels are inlined into those of other files, so a change of any file makes the code of all of them stale. Raises
    RuntimeError where code cannot be kept.
    """

    _impl_class = _Impl

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, sources())

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

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Whether there is code for this signature, for all that the index knows."""
        with suppress(Exception):
            return self._index_key(sig, target_context.codegen()) in self._cache_file._load_index()
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While inside, no other process compiles this kernel for this cache.

        But for those that are compiled inside others, and where the system has no locks; nor is a process waited for
        longer than PATIENCE: it may be stopped.
        """
        with ExitStack() as stack:
            with suppress(ImportError, OSError):
                import fcntl

                self._impl.locator.ensure_cache_path()
                path = Path(self._cache_path) / f"{self._impl.filename_base}.lock"
                file, until = stack.enter_context(path.open("ab")), time.monotonic() + PATIENCE
                while time.monotonic() < until:
                    with suppress(BlockingIOError):
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        stack.callback(fcntl.flock, file, fcntl.LOCK_UN)  # a fork may have left the file to a child
                        break
                    time.sleep(0.02)
            yield


def by_one_process(dispatcher: Any, cache: KernelCache) -> Callable[[Any], Any]:
    """The dispatcher's `compile`, which waits for a process that is at it, and then finds what that one has kept."""
    compile = dispatcher.compile

    @functools.wraps(compile)
    def compiled_once(signature: Any) -> Any:
        # who has the compiler's lock is compiling what this kernel is part of, and must not wait for who may want it
        if global_compiler_lock.is_locked() or cache.holds(signature, dispatcher.targetctx):
            return compile(signature)
        with cache.alone():
            return compile(signature)

    return compiled_once


@functools.cache
def sources() -> str:
    """A hash of all files that kernels are made of."""
    here = Path(__file__).parent
    files = [*sorted(here.rglob("*.py")), *sorted(here.parent.glob("*.py"))]  # tables of numbers are there
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@functools.cache
def folder() -> Path:
    """Where code compiled from these sources is kept. Code of sources that are no longer used is removed."""
    root = Path(config.CACHE_DIR or AppDirs("minipg", appauthor=False).user_cache_dir)
    own = root / f"kernels-{sources()[:16]}"
    with suppress(OSError):
        if not own.exists():
            for other in root.glob("kernels-*"):
                used = max((path.stat().st_atime for path in other.rglob("*") if path.is_file()), default=time.time())
                if time.time() - used > KEPT_DAYS * 86400:
                    shutil.rmtree(other, ignore_errors=True)
    return own
