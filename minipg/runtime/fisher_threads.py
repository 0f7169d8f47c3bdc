"""Fisher products on two or more threads, which spin between one product and the next."""

from __future__ import annotations

import numpy as np

from minipg.checks import Array, as_array, as_flat
from minipg.policy import Policy, PolicyTape
from minipg.runtime.backend import tiles_of
from minipg.runtime.threads import Job, OneBlasThread


class Crew:
    """v ↦ Σ Jᵀ M J v over a batch  (TR-9), to the bit what `policy.fisher_product` makes of it.

    For the Numba twin, and policies with a fused product. Helpers that are away are not waited for.
    """

    def __init__(self, policy: Policy, theta: Array, tape: PolicyTape) -> None:
        theta = as_flat("theta", theta, policy.layout.size)
        tiles, backend = tiles_of(len(tape.params)), policy.backend
        rows = tiles[0].stop if tiles else 0
        self._backend, self._share = backend, backend.kernels("_fisher_threads").share(policy.fused_product)
        self._v, self._sums = np.empty_like(theta), np.empty((max(len(tiles), 1), len(theta)), theta.dtype)
        self._board: Array = np.zeros(backend.kernels("_task_queue").SIZE, np.int64)
        forward = (tape.mlp.obs, tape.mlp.hidden, tape.params)
        self._inputs = (self._board, rows, theta, *policy.mlp.spec, *forward, self._v, self._sums)
        members = max(1, min(backend.threads, len(tiles)))
        self._work = [policy.fused_work(rows, theta.dtype) for _ in range(members)]
        self._helpers: list[Job[None] | None] = [None] * (members - 1)

    def __call__(self, v: Array) -> Array:
        """v (P,) → (P,)."""
        self._v[:] = as_array("v", v, self._v.shape, self._v.dtype)
        with OneBlasThread():
            try:
                for i, helper in enumerate(self._helpers):
                    if helper is None or helper.over:
                        self._helpers[i] = self._backend.submit(self._share, False, *self._inputs, self._work[i + 1])
            finally:  # whoever has come is at work now: they are not left before all is done
                self._share(True, *self._inputs, self._work[0])
        return self._sums[0] + 0  # a copy, whose zeros have no sign, as those of a sum from 0 on
