"""A car in a valley, its engine too weak for the slope: it must swing back and forth to reach the top (Moore 1990).

    v ← clip(v + 0.001 (a − 1) − 0.0025 cos 3x, ±0.07)        x ← clip(x + v, −1.2, 0.6)

and v ← 0 at the wall on the left. state = obs = (x, v), at first x uniform on (−0.6, −0.4) and v = 0. A reward of
−1 for every step, until x ≥ 0.5 at a speed v ≥ v* (`goal_velocity`, 0).
"""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit_exact

FORCE = 0.001
GRAVITY = 0.0025
MAX_SPEED = 0.07
WALL, END = -1.2, 0.6
GOAL = 0.5


@jit_exact
def begin(dynamics, u, state):
    """x uniform on (low, high), v = 0."""
    state[0] = dynamics.low + (dynamics.high - dynamics.low) * u[0]
    state[1] = 0.0


@jit_exact
def observe(state, obs):
    """The state itself."""
    obs[0], obs[1] = np.float32(state[0]), np.float32(state[1])


@jit_exact
def step(dynamics, state, fresh, act):
    """One step, the engine in reverse (0), idle (1) or forward (2)."""
    x, v = state[0], state[1]
    v += (act - 1) * FORCE + math.cos(3 * x) * -GRAVITY
    v = min(max(v, -MAX_SPEED), MAX_SPEED)
    x = min(max(x + v, WALL), END)
    if x == WALL and v < 0:
        v = 0.0
    state[0], state[1] = x, v
    return -1.0, x >= GOAL and v >= dynamics.goal_velocity
