"""N environments of one problem side by side, independent of each other."""

from functools import cache, partial
from typing import Any, NamedTuple

import numba
import numpy as np
from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control import PROBLEMS, Problem
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


@jit_exact
def begin_one(dynamics, u, state, obs):
    """A first state of one environment.   uniforms u (U,) → state (S,), obs (O,)."""
    begin(dynamics, u, state)
    observe(dynamics, state, obs)


@jit_exact
def step_one(dynamics, state, fresh, act, obs):
    """One step of one environment → reward, terminated;   state (S,) in place, obs (O,)."""
    reward, terminated = step(dynamics, state, fresh, act)
    observe(dynamics, state, obs)
    return reward, terminated


class Kernels(NamedTuple):
    """`advance` and `restart` of one problem."""

    advance: Any
    restart: Any


@cache
def kernels(problem: Problem) -> Kernels:
    """The kernels of a problem, with the constants in its `dynamics`."""
    return Kernels(partial(advance, problem.dynamics), partial(restart, problem.dynamics))


@cache
def one_step(kind: type) -> Any:
    """`step_one` for dynamics of this type, in a form that is called without a look at the arguments' types.

    Choosing a compilation by types takes a microsecond for a NamedTuple, several times as long as the step.
    """
    (problem,) = (problem for problem in PROBLEMS.values() if type(problem.dynamics) is kind)
    arguments = problem.dynamics, np.zeros(problem.state), True, 0.0, np.zeros(len(problem.obs_low), np.float32)
    step_one(*arguments)  # compiled, or loaded
    compiled = step_one.overloads.get(tuple(map(numba.typeof, arguments)))
    return getattr(compiled, "entry_point", step_one)
