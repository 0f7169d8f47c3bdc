"""Swing a pendulum up and hold it there, by a torque too weak to lift it at once.

    θ̇ ← clip(θ̇ + (3g/(2l) sin θ + 3/(m l²) u) dt, ±8)        θ ← θ + θ̇ dt

with u = clip(a, ±2), m = l = 1, dt = 0.05, g = 10 by default, and θ = 0 upright. The reward, of the state before the
step, is −(θ² + 0.1 θ̇² + 0.001 u²) with θ wrapped to ±π. state = (θ, θ̇), uniform on ±π and ±1 at first;
obs = (cos θ, sin θ, θ̇). Only the time limit ends an episode.

The torque is in single precision, and so are u² and 3u.
"""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control._square import square, square_single

MASS = 1.0
LENGTH = 1.0
DT = 0.05
MAX_SPIN = 8.0
MAX_TORQUE = 2.0


@jit_exact
def begin(dynamics, u, state):
    """θ uniform on ±x_init, θ̇ on ±y_init."""
    state[0] = -dynamics.x_init + (dynamics.x_init + dynamics.x_init) * u[0]
    state[1] = -dynamics.y_init + (dynamics.y_init + dynamics.y_init) * u[1]


@jit_exact
def observe(state, obs):
    """(cos θ, sin θ, θ̇)."""
    obs[0], obs[1] = np.float32(math.cos(state[0])), np.float32(math.sin(state[0]))
    obs[2] = np.float32(state[1])


@jit_exact
def step(dynamics, state, fresh, act):
    """One step under the torque `act`, clipped to ±2."""
    angle, spin = state[0], state[1]
    u = np.float32(min(max(act, -MAX_TORQUE), MAX_TORQUE))
    wrapped = (angle + math.pi) % (2 * math.pi) - math.pi
    cost = square(wrapped) + 0.1 * square(spin) + np.float32(0.001) * square_single(u)
    pull = np.float32(3.0 / (MASS * LENGTH**2)) * u
    spin += (3 * dynamics.g / (2 * LENGTH) * math.sin(angle) + pull) * DT
    spin = min(max(spin, -MAX_SPIN), MAX_SPIN)
    state[0], state[1] = angle + spin * DT, spin
    return -cost, False
