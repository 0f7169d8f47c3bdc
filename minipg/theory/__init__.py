"""The theory as laws that a machine can hold: what `minipg check` runs, and the tests.

A law's name is a theorem with the ids of its equations; run it on any backend and dtype:

    hold(LAWS["score_has_mean_zero_DI2"], Backend("numba"), np.float32, examples=20)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.runtime.backend import Backend
from minipg.theory.case import Case, Law, apart
from minipg.theory.distributions import LAWS as DISTRIBUTIONS
from minipg.theory.fits import LAWS as FITS
from minipg.theory.mirrored import on_host
from minipg.theory.networks import LAWS as NETWORKS
from minipg.theory.objectives import LAWS as OBJECTIVES
from minipg.theory.policies import LAWS as POLICIES
from minipg.theory.returns import LAWS as RETURNS
from minipg.theory.twins import LAWS as TWINS

LAWS: dict[str, Law] = {
    law.__name__: law for law in (*NETWORKS, *DISTRIBUTIONS, *POLICIES, *RETURNS, *OBJECTIVES, *FITS, *TWINS)
}


class Verdict(NamedTuple):
    """One law on one backend and dtype: `worst` is the largest error as a fraction of what is allowed."""

    law: str
    backend: str
    dtype: str
    examples: int
    worst: float
    failure: str

    @property
    def held(self) -> bool:
        """Whether no example missed it."""
        return not self.failure


def hold(law: Law, backend: Backend, dtype: type, examples: int, seed: int = 0) -> Verdict:
    """Hold a law on random cases, small ones first, so that the first that fails is among the smallest."""
    worst, failure, done = 0.0, "", 0
    for example in range(examples):
        case = Case(on_host(backend), dtype, np.random.default_rng((seed, example)), 1 + example * 12 // examples)
        done += 1
        try:
            miss = law(case)
        except Exception as error:  # a law that cannot be evaluated is not held, whatever went wrong
            miss, failure = math.inf, f"{type(error).__name__}: {error}"
        worst = max(worst, miss)
        if not miss <= 1:
            failure = f"example {example} of seed {seed}" + (f": {failure}" if failure else "")
            break
    return Verdict(law.__name__, backend.name, np.dtype(dtype).name, done, worst, failure)


__all__ = ["LAWS", "Case", "Law", "Verdict", "apart", "hold"]
