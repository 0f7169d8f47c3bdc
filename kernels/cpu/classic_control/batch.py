"""N environments side by side, each by itself: where one stands does not touch another's numbers.

`advance` and `restart` are written with the cart and pole's `begin`, `observe` and `step`; `kernels` compiles them
with those of any problem.
"""

from functools import cache
from typing import Any, NamedTuple

from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control.cartpole import begin, observe, step
from minipg.kernels.cpu.classic_control.stream import uniforms


def advance(where, act, time_limit, state, elapsed, obs, rew, terminated, truncated):
    """One step of the environments in `where` (N,) bool; the others are paid nothing and stay as they are.

    act (N,) float64, state (N, S), elapsed (N,) int64, obs (N, O) float32, rew (N,) float64; terminated, truncated
    (N,) bool. An episode is cut after `time_limit` steps, whether or not it also ends there by itself.
    """
    for n in range(state.shape[0]):
        rew[n], terminated[n], truncated[n] = 0.0, False, False
        if where[n]:
            rew[n], terminated[n] = step(state[n], elapsed[n] == 0, act[n])
            elapsed[n] += 1
            truncated[n] = elapsed[n] >= time_limit
            observe(state[n], obs[n])


def restart(where, stream, state, elapsed, obs, u):
    """A new episode in the environments in `where` (N,) bool, begun with numbers of their own streams (N, 4).

    u (K,) is work: as many numbers as the first state of an episode takes.
    """
    for n in range(state.shape[0]):
        if where[n]:
            uniforms(stream[n], u)
            begin(u, state[n])
            elapsed[n] = 0
            observe(state[n], obs[n])


class Kernels(NamedTuple):
    """`advance` and `restart`, compiled for one problem."""

    advance: Any
    restart: Any


@cache
def kernels(problem: str) -> Kernels:
    """Those of the problem in the file of that name."""
    module, names = f"minipg.kernels.cpu.classic_control.{problem}", ("begin", "observe", "step")
    return Kernels(*(compiled_with(function, module, names, jit_exact) for function in (advance, restart)))
