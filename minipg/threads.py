"""The threads of a process, and how many of them BLAS may use."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from threadpoolctl import ThreadpoolController


def available_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_pools: dict[int, ThreadPoolExecutor] = {}


def pool(threads: int) -> ThreadPoolExecutor:
    """The other threads of so many; they are begun when there is work for them, and stay."""
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(max(threads - 1, 1), thread_name_prefix="minipg")
    return _pools[threads]


_blas_lock = threading.Lock()
_blas_depth = 0
_blas_limit: Any = None
_blas_controller: ThreadpoolController | None = None


def _begin_anew() -> None:
    """Neither threads nor who held a lock survives a fork: the child has its own."""
    global _blas_lock, _blas_depth
    _pools.clear()
    _blas_lock = threading.Lock()
    if _blas_depth:
        _blas_depth = 0
        _blas_limit.restore_original_limits()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class OneBlasThread:
    """BLAS on one thread while inside, as it was afterwards: tiles already use the cores. May be nested.

    A class, because it is entered several times an update, and costs a third of a generator.
    """

    def __enter__(self) -> None:
        global _blas_depth, _blas_limit, _blas_controller
        with _blas_lock:
            if _blas_controller is None:
                import scipy.linalg.cython_blas  # noqa: F401  the BLAS that compiled code calls, before it is looked for

                _blas_controller = ThreadpoolController()
            if _blas_depth == 0:
                _blas_limit = _blas_controller.limit(limits=1, user_api="blas")
            _blas_depth += 1

    def __exit__(self, *_: object) -> None:
        global _blas_depth
        with _blas_lock:
            _blas_depth -= 1
            if _blas_depth == 0:
                _blas_limit.restore_original_limits()
