"""N environments side by side, each by itself: where one stands does not touch another's numbers."""

from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control.problems import begin, observe, step
from minipg.kernels.cpu.classic_control.stream import uniforms


@jit_exact
def advance(problem, where, act, time_limit, state, elapsed, obs, rew, terminated, truncated):
    """One step of the environments in `where` (N,) bool; the others are paid nothing and stay as they are.

    act (N,) float64, state (N, S), elapsed (N,) int64, obs (N, O) float32, rew (N,) float64; terminated, truncated
    (N,) bool. An episode is cut after `time_limit` steps, whether or not it also ends there by itself.
    """
    for n in range(state.shape[0]):
        rew[n], terminated[n], truncated[n] = 0.0, False, False
        if where[n]:
            rew[n], terminated[n] = step(problem, state[n], elapsed[n] == 0, act[n])
            elapsed[n] += 1
            truncated[n] = elapsed[n] >= time_limit
            observe(problem, state[n], obs[n])


@jit_exact
def restart(problem, where, stream, state, elapsed, obs, u):
    """A new episode in the environments in `where` (N,) bool, begun with numbers of their own streams (N, 4).

    u (K,) is work: as many numbers as the first state of an episode takes.
    """
    for n in range(state.shape[0]):
        if where[n]:
            uniforms(stream[n], u)
            begin(problem, u, state[n])
            elapsed[n] = 0
            observe(problem, state[n], obs[n])
