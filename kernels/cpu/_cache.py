"""The cache of compiled kernels: a folder of the user, and a lock so that one process compiles what several need.

The folder is NUMBA_CACHE_DIR if that is set, else `minipg` in the system's cache folder (~/.cache on Linux), with one
subfolder for each version of the kernels' sources. Nothing is written into the installed package or a checkout,
because pip removes only the files it has installed.
"""

import functools
import hashlib
import io
import os
import pickle
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from numba.core import event
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator
from numba.core.compiler_lock import global_compiler_lock
from numba.misc.appdirs import AppDirs

KEPT_DAYS = 30  # compiled code of other sources is removed after so many days without use
PATIENCE = 60.0  # seconds to wait for another process that compiles the same kernel


class _Locator(_CacheLocator):
    """Where Numba stores the compiled code of a function in `file`."""

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
    _locator_classes = [_Locator]  # noqa: RUF012  Numba's class does so


class _Files(IndexDataCacheFile):
    """Numba's index and code files, but the code is written before the index names it, and each ends in a checksum.

    A code file is named after its signature and sources. So neither a process that is killed between the two writes,
    nor one that saves at the same time, leaves an index that names the wrong code. Code of older sources is removed.
    The checksum is compared before code is loaded: a bit that was flipped in it could end the process.
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

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        content = io.BytesIO()
        yield content
        with super()._open_for_write(filepath) as file:
            file.write(content.getvalue() + _checksum(content.getvalue()))

    def _load_index(self) -> dict[Any, str]:
        path = Path(self._index_path)
        return super()._load_index() if path.exists() and _sound(path.read_bytes()) else {}

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if not _sound(content):
            raise ValueError(f"{name} is damaged")
        return pickle.loads(content)  # which ends before the checksum

    def _remove_all_but(self, names: set[str]) -> None:
        base = self._index_name.removesuffix("nbi")
        for path in Path(self._cache_path).iterdir():
            if path.name.startswith(base) and path.name.endswith(".nbc") and path.name not in names:
                with suppress(OSError):
                    path.unlink()


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")


def _sound(content: bytes) -> bool:
    return content[-4:] == _checksum(content[:-4])


def _left_behind(loading: Path) -> bool:
    """True if the process that has left this file ended while it loaded code: that code may have ended it."""
    try:
        os.kill(int(loading.read_text() or os.getpid()), 0)
    except (FileNotFoundError, PermissionError):  # there is no such file, or it is another user's process
        return False
    except (ProcessLookupError, ValueError, OverflowError):
        return True
    return False


class KernelCache(FunctionCache):
    """Numba's cache, but a file that is damaged or cannot be written is ignored: the kernel is compiled again.

    Kernels are inlined into those of other files, so a change of any file invalidates the code of all. Raises
    RuntimeError if there is no folder to write to.
    """

    _impl_class = _Impl

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, sources())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        loading = Path(self._cache_path) / f"{self._impl.filename_base}.loading"
        try:
            if _left_behind(loading):
                self.flush()
            with suppress(OSError):
                loading.write_text(str(os.getpid()))
            return super().load_overload(sig, target_context)
        except Exception:  # a truncated pickle may raise anything
            with suppress(OSError):
                self.flush()
            return None
        finally:
            with suppress(OSError):
                loading.unlink(missing_ok=True)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)

    def holds(self, sig: Any, target_context: Any) -> bool:
        """True if the index names code for this signature."""
        with suppress(Exception):
            return self._index_key(sig, target_context.codegen()) in self._cache_file._load_index()
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A lock: while it is held, no other process compiles this kernel for this cache.

        It does not cover kernels that are compiled inside others, nor systems without file locks. It waits no longer
        than PATIENCE for another process, which may be stopped.
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
                        stack.callback(fcntl.flock, file, fcntl.LOCK_UN)  # a forked child may have it open
                        break
                    time.sleep(0.02)
            yield


def by_one_process(dispatcher: Any, cache: KernelCache) -> Callable[[Any], Any]:
    """The dispatcher's `compile`: it waits for another process that compiles the same kernel, then loads its code."""
    compile = dispatcher.compile

    @functools.wraps(compile)
    def compiled_once(signature: Any) -> Any:
        # with the compiler's lock held, this kernel is part of another one: waiting here could be a deadlock
        if global_compiler_lock.is_locked() or cache.holds(signature, dispatcher.targetctx):
            return compile(signature)
        # waiting for another process counts as time of the compiler
        with event.trigger_event("numba:compiler_lock"), cache.alone():
            return compile(signature)

    return compiled_once


@functools.cache
def sources() -> str:
    """A hash of all source files of the kernels."""
    here = Path(__file__).parent
    files = [*sorted(here.rglob("*.py")), *sorted(here.parent.glob("*.py"))]  # the latter have tables of numbers
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@functools.cache
def folder() -> Path:
    """The folder of the code compiled from these sources. Folders of other sources are removed after KEPT_DAYS."""
    # from the environment alone: Numba's own setting may be that of a file in the working folder
    root = Path(os.environ.get("NUMBA_CACHE_DIR") or AppDirs("minipg", appauthor=False).user_cache_dir)
    own = root / f"kernels-{sources()[:16]}"
    with suppress(OSError):
        if not own.exists():
            for other in root.glob("kernels-*"):
                used = max((path.stat().st_atime for path in other.rglob("*") if path.is_file()), default=time.time())
                if time.time() - used > KEPT_DAYS * 86400:
                    shutil.rmtree(other, ignore_errors=True)
    return own
