"""A pole hinged to a cart that is pushed left or right (Barto, Sutton, Anderson 1983).

    ẍ = T − μ θ̈ cos θ        θ̈ = (g sin θ − T cos θ) / (l (4/3 − m cos²θ / M))        T = (F + m l θ̇² sin θ) / M

with μ = m l / M, m the mass of the pole and l half its length, M the mass of both, F = ±10. Euler steps of 0.02 s.
state = obs = (x, ẋ, θ, θ̇), all uniform on ±0.05 at first. A reward of 1 for every step, until the cart leaves ±2.4
or the pole ±12°; with the reward of Sutton and Barto's book, 0 for every step and −1 for that last one.
"""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit_exact

GRAVITY = 9.8
POLE_MASS = 0.1
TOTAL_MASS = 0.1 + 1.0
HALF_LENGTH = 0.5
POLE_MOMENT = POLE_MASS * HALF_LENGTH
FORCE = 10.0
DT = 0.02
MAX_X = 2.4
MAX_ANGLE = 12 * 2 * math.pi / 360


@jit_exact
def begin(dynamics, u, state):
    """(x, ẋ, θ, θ̇) uniform on (low, high)."""
    for i in range(4):
        state[i] = dynamics.low + (dynamics.high - dynamics.low) * u[i]


@jit_exact
def observe(state, obs):
    """The state itself."""
    for i in range(4):
        obs[i] = np.float32(state[i])


@jit_exact
def step(dynamics, state, fresh, act):
    """One Euler step under a push to the left (0) or to the right (1)."""
    x, dx, angle, spin = state[0], state[1], state[2], state[3]
    force = FORCE if act == 1 else -FORCE
    sin, cos = math.sin(angle), math.cos(angle)
    push = (force + POLE_MOMENT * (spin * spin) * sin) / TOTAL_MASS
    ddangle = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS))
    ddx = push - POLE_MOMENT * ddangle * cos / TOTAL_MASS

    state[0] = x = x + DT * dx
    state[1] = dx + DT * ddx
    state[2] = angle = angle + DT * spin
    state[3] = spin + DT * ddangle
    terminated = x < -MAX_X or x > MAX_X or angle < -MAX_ANGLE or angle > MAX_ANGLE
    if dynamics.sutton_barto_reward:
        return (-1.0 if terminated else 0.0), terminated
    return 1.0, terminated
