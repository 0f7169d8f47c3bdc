"""The car in the valley with a continuous force, which costs reward.

    v ← clip(v + 0.0015 clip(a, ±1) − 0.0025 cos 3x, ±0.07)        x ← clip(x + v, −1.2, 0.6)

and v ← 0 at the wall on the left. state = obs = (x, v), at first x uniform on (−0.6, −0.4) and v = 0. The reward is
−0.1 a², and 100 more at x ≥ 0.45 with v ≥ v* (`goal_velocity`, 0), where the episode ends.

The state is stored in single precision from the first step on, and computed in it from the second. The slope is in
single precision too, unless the action is beyond a bound, because the bound is a double. A speed at its bound is
compared with v* in double precision.
"""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control.mountain_car import begin, observe

POWER = 0.0015
GRAVITY = 0.0025
MAX_SPEED = 0.07
WALL, END = -1.2, 0.6
GOAL = 0.45

__all__ = ["begin", "observe", "step"]


@jit_exact
def step(dynamics, state, fresh, act):
    """One step under the force a, clipped to ±1."""
    x, v = state[0], state[1]
    v = _rounded(v + _rounded(_slope(x, fresh, act), fresh), fresh)
    at_bound = abs(v) > _rounded(MAX_SPEED, fresh)
    v = min(max(v, _rounded(-MAX_SPEED, fresh)), _rounded(MAX_SPEED, fresh))
    x = _rounded(x + v, fresh)
    x = min(max(x, _rounded(WALL, fresh)), _rounded(END, fresh))
    if x == _rounded(WALL, fresh) and v < 0:
        v = 0.0
    speed, goal_velocity = v, _rounded(dynamics.goal_velocity, fresh)
    if at_bound:
        speed, goal_velocity = math.copysign(MAX_SPEED, v), dynamics.goal_velocity
    terminated = x >= _rounded(GOAL, fresh) and speed >= goal_velocity
    state[0], state[1] = np.float32(x), np.float32(v)
    return (100.0 if terminated else 0.0) - act * act * 0.1, terminated


@jit_exact
def _slope(x, fresh, act):
    """0.0015 clip(a, ±1) − 0.0025 cos 3x, in single precision where `act` stays within its bounds."""
    pull = GRAVITY * math.cos(_rounded(3 * x, fresh))
    if act < -1 or act > 1:
        return (-POWER if act < -1 else POWER) - pull
    return np.float64(np.float32(act) * np.float32(POWER) - np.float32(pull))


@jit_exact
def _rounded(x, fresh):
    """x rounded to single precision, unless this is the first step.

    Sums and products of two single-precision numbers, computed in double and then rounded, are those of single.
    """
    return x if fresh else np.float64(np.float32(x))
