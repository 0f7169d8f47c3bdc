"""The theory as laws that a program can check: `minipg check` runs them, and so do the tests.

A law is a function of a random `Case` that returns the error of an equation as a fraction of the allowed error. Its
name is a theorem and ends with the ids of its equations. It runs on any backend and dtype:

    check_law(LAWS["score_has_mean_zero_DI2"], Backend("numba"), np.float32, examples=20)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.runtime.backend import Backend
from minipg.theory import (
    deterministic,
    distributions,
    fits,
    masks,
    networks,
    objectives,
    policies,
    preferences,
    returns,
    twins,
    updates,
)
from minipg.theory.case import Case, Law, error_ratio
from minipg.theory.mirrored import on_host

# every public function (case: Case) -> float of these files is a law
_FILES = (networks, distributions, policies, masks, returns, objectives, fits, updates, deterministic, preferences,
          twins)  # fmt: skip
LAWS: dict[str, Law] = {
    name: law
    for file in _FILES
    for name, law in vars(file).items()
    if getattr(law, "__module__", "") == file.__name__ and law.__annotations__ == {"case": "Case", "return": "float"}
}


class Verdict(NamedTuple):
    """One law on one backend and dtype: `worst` is the largest error as a fraction of the allowed error.

    `failure` is empty, or names the first example that failed.
    """

    law: str
    backend: str
    dtype: str
    examples: int
    worst: float
    failure: str

    @property
    def held(self) -> bool:
        """True if the law held in every example."""
        return not self.failure


def check_law(law: Law, backend: Backend, dtype: type, examples: int, seed: int = 0) -> Verdict:
    """Check a law on random cases, and stop at the first that fails.

    Small cases come first, so that the one that fails is small. An exception counts as a failure. The same seed draws
    the same cases.
    """
    worst, failure, done = 0.0, "", 0
    for example in range(examples):
        case = Case(on_host(backend), dtype, np.random.default_rng((seed, example)), 1 + example * 12 // examples)
        done += 1
        try:
            ratio = law(case)
        except Exception as error:  # whatever it is, it shows that the law does not hold
            ratio, failure = math.inf, f"{type(error).__name__}: {error}"
        worst = max(worst, ratio)
        if not ratio <= 1:
            failure = f"example {example} of seed {seed}" + (f": {failure}" if failure else "")
            break
    return Verdict(law.__name__, backend.name, np.dtype(dtype).name, done, worst, failure)


__all__ = ["LAWS", "Case", "Law", "Verdict", "check_law", "error_ratio"]
