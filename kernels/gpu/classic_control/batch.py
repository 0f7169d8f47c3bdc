"""N environments side by side (batch.cu)."""

from functools import cache
from typing import Any, NamedTuple

from minipg.kernels.gpu._cuda import Source

_STRUCTS = {
    "cartpole": ("CartPole", ()),
    "acrobot": ("Acrobot", ()),
    "mountain_car": ("MountainCar", ()),
    "mountain_car_continuous": ("MountainCarContinuous", ("mountain_car",)),
    "pendulum": ("Pendulum", ()),
}


class Kernels(NamedTuple):
    """`advance` and `restart` of one problem."""

    advance: Any
    restart: Any


@cache
def source_of(problem):
    """The kernels of batch.cu for the problem in the file of that name."""
    files, defines = files_of(problem)
    return Source(*files, exact=True, **defines)


def files_of(problem):
    """The files that a source with that problem in it begins with, and what it defines."""
    struct, parents = _STRUCTS[problem]
    files = ("philox", "begin", *parents, problem)
    return (*(f"classic_control/{file}.cuh" for file in files), "classic_control/batch.cu"), {"PROBLEM": struct}


@cache
def kernels(problem):
    """Those of the problem in the file of that name."""
    run = source_of(problem)

    def advance(where, act, time_limit, state, elapsed, obs, rew, terminated, truncated):
        """One step of the environments in `where` (N,) bool; the others are paid nothing and stay as they are.

        act (N,) float64, state (N, S), elapsed (N,) int64, obs (N, O) float32, rew (N,) float64; terminated, truncated
        (N,) bool. An episode is cut after `time_limit` steps, whether or not it also ends there by itself.
        """
        run("advance", len(state), time_limit, where, act, state, elapsed, obs, rew, terminated, truncated)

    def restart(where, seed, state, elapsed, episode, obs):
        """A new episode in the environments in `where` (N,) bool; `episode` (N,) int64 counts those that have begun."""
        run("restart", len(state), seed, where, state, elapsed, episode, obs)

    return Kernels(advance, restart)
