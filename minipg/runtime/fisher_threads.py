"""Fisher products on two or more threads, which spin between one product and the next."""

from __future__ import annotations

import numpy as np

from minipg.checks import Array, as_array
from minipg.kernels.arguments import ForwardPass, PolicySpec
from minipg.runtime.backend import Backend, tiles_of
from minipg.runtime.threads import Job, OneBlasThread


class FisherThreads:
    """The function v ↦ Σ Jᵀ M J v over a batch  (TR-9), for the Numba twin. Same bits as `policy.fisher_product`.

    Threads take tiles of rows from a queue in compiled code (kernels/cpu/_fisher_threads.py). The caller does not wait
    for threads that run other jobs.
    """

    def __init__(self, backend: Backend, policy: PolicySpec, theta: Array, forward: ForwardPass) -> None:
        tiles = tiles_of(len(forward.obs))
        rows = tiles[0].stop if tiles else 0
        self._backend, self._share = backend, backend.kernels("_fisher_threads").share
        self._v, self._sums = np.empty_like(theta), np.empty((max(len(tiles), 1), len(theta)), theta.dtype)
        self._queue: Array = np.zeros(backend.kernels("_task_queue").SIZE, np.int64)
        self._inputs = (self._queue, rows, policy, theta, forward, self._v, self._sums)
        threads, work_size = max(1, min(backend.threads, len(tiles))), backend.kernels("fisher").work_size
        sizes = tuple(policy.network.sizes.tolist())
        self._work = [np.empty(work_size(sizes, len(theta), rows), theta.dtype) for _ in range(threads)]
        self._helpers: list[Job[None] | None] = [None] * (threads - 1)

    def __call__(self, v: Array) -> Array:
        """Σ Jᵀ M J v.   v (P,) → (P,)."""
        self._v[:] = as_array("v", v, self._v.shape, self._v.dtype)
        with OneBlasThread():
            try:
                for i, helper in enumerate(self._helpers):
                    if helper is None or helper.over:
                        self._helpers[i] = self._backend.submit(self._share, False, *self._inputs, self._work[i + 1])
            finally:  # a helper may have started, so all tiles must be done before returning
                self._share(True, *self._inputs, self._work[0])
        return self._sums[0] + 0  # a copy; + 0 turns −0 into 0, as a sum that starts with 0 does
