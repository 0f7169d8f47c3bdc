"""N environments of one problem side by side, independent of each other."""

from functools import cache, partial
from typing import Any, NamedTuple

from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control import PROBLEMS
from minipg.kernels.cpu.classic_control.dynamics import begin, observe, step
from minipg.kernels.cpu.classic_control.stream import uniforms


@jit_exact
def advance(dynamics, where, act, time_limit, state, elapsed, obs, rew, terminated, truncated):
    """One step of the environments in `where` (N,) bool; the others have reward 0 and stay as they are.

    act (N,) float64, state (N, S), elapsed (N,) int64, obs (N, O) float32, rew (N,) float64; terminated, truncated
    (N,) bool. An episode is truncated after `time_limit` steps, even if it terminates in the same step.
    """
    for n in range(state.shape[0]):
        rew[n], terminated[n], truncated[n] = 0.0, False, False
        if where[n]:
            rew[n], terminated[n] = step(dynamics, state[n], elapsed[n] == 0, act[n])
            elapsed[n] += 1
            truncated[n] = elapsed[n] >= time_limit
            observe(dynamics, state[n], obs[n])


@jit_exact
def restart(dynamics, where, stream, state, elapsed, obs, u):
    """Start a new episode in the environments in `where` (N,) bool, from the environment's row of stream (N, 4).

    state (N, S), elapsed (N,), obs (N, O) as in `advance`; u (U,) is a work array for the uniforms of `begin`.
    """
    for n in range(state.shape[0]):
        if where[n]:
            uniforms(stream[n], u)
            begin(dynamics, u, state[n])
            elapsed[n] = 0
            observe(dynamics, state[n], obs[n])


class Kernels(NamedTuple):
    """`advance` and `restart` of one problem."""

    advance: Any
    restart: Any


@cache
def kernels(file: str) -> Kernels:
    """The kernels of the problem with its dynamics in `file`, e.g. "cartpole"."""
    (dynamics,) = (problem.dynamics for problem in PROBLEMS.values() if problem.file == file)
    return Kernels(partial(advance, dynamics), partial(restart, dynamics))
