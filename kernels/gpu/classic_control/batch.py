"""N environments side by side (batch.cu)."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from minipg.kernels.gpu._cuda import Source

_STRUCTS = {
    "cartpole": "CartPole", "acrobot": "Acrobot", "mountain_car": "MountainCar",
    "mountain_car_continuous": "MountainCarContinuous", "pendulum": "Pendulum",
}  # fmt: skip


class Kernels(NamedTuple):
    """`advance` and `restart` of one problem."""

    advance: Callable[..., None]
    restart: Callable[..., None]


def files_of(problem):
    """The first files of every source for this problem, and what they need defined."""
    base = ("mountain_car",) if problem == "mountain_car_continuous" else ()
    files = (f"classic_control/{name}.cuh" for name in ("philox", "begin", *base, problem))
    return (*files, "classic_control/batch.cu"), {"PROBLEM": _STRUCTS[problem]}


@cache
def source_of(problem):
    """The kernels of batch.cu for the problem in the file of that name."""
    files, defines = files_of(problem)
    return Source(*files, exact=True, **defines)


@cache
def kernels(problem):
    """Those of a problem, a `Problem` with its default constants."""
    run = source_of(problem.file)

    def advance(where, act, time_limit, state, elapsed, obs, rew, terminated, truncated):
        """One step of the environments in `where` (N,) bool; the others have reward 0 and do not change.

        act (N,) float64, state (N, S), elapsed (N,) int64, obs (N, O) float32, rew (N,) float64; terminated, truncated
        (N,) bool. After `time_limit` steps an episode is truncated, even if it also terminates.
        """
        run("advance", len(state), time_limit, where, act, state, elapsed, obs, rew, terminated, truncated)

    def restart(where, seed, state, elapsed, episode, obs):
        """Reset the environments in `where` (N,) bool; `episode` (N,) int64 counts the episodes of each."""
        run("restart", len(state), seed, where, state, elapsed, episode, obs)

    return Kernels(advance, restart)
