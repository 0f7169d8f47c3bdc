"""Two links hanging from a pivot, a motor at the joint between them: swing the tip above the bar (Sutton 1996).

    θ̈₂ = (τ + (d₂/d₁) φ₁ − m l c θ̇₁² sin θ₂ − φ₂) / (m c² + I − d₂²/d₁)        θ̈₁ = −(d₂ θ̈₂ + φ₁) / d₁

    d₁ = m c² + m (l² + c² + 2 l c cos θ₂) + 2I          φ₂ = m c g cos(θ₁ + θ₂ − π/2)
    d₂ = m (c² + l c cos θ₂) + I                         φ₁ = −m l c θ̇₂² sin θ₂ − 2 m l c θ̇₂ θ̇₁ sin θ₂
                                                              + (m c + m l) g cos(θ₁ − π/2) + φ₂

both links of mass m, length l, centre of mass at c, moment of inertia I; τ ∈ {−1, 0, 1}. One Runge–Kutta step of
0.2 s; angles wrap at ±π, speeds are bounded by 4π and 9π. state = (θ₁, θ₂, θ̇₁, θ̇₂), uniform on ±0.1 at first;
obs = (cos θ₁, sin θ₁, cos θ₂, sin θ₂, θ̇₁, θ̇₂). A reward of −1 for every step but the last one, where
−cos θ₁ − cos(θ₁ + θ₂) > 1.

The first state is in single precision. Gymnasium computes its observation by NumPy's sine and cosine of that precision,
and their last bit depends on the processor. Here they are computed in double precision and rounded: the only numbers of
the five problems that may differ from Gymnasium's, in the last bit.
"""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control._square import square

MASS = 1.0
LENGTH = 1.0
CENTRE = 0.5
INERTIA = 1.0
GRAVITY = 9.8
DT = 0.2
MAX_SPIN_1 = 4 * math.pi
MAX_SPIN_2 = 9 * math.pi


@jit_exact
def begin(dynamics, u, state):
    """(θ₁, θ₂, θ̇₁, θ̇₂) uniform on (low, high), in single precision."""
    for i in range(4):
        state[i] = np.float32(dynamics.low + (dynamics.high - dynamics.low) * u[i])


@jit_exact
def observe(state, obs):
    """(cos θ₁, sin θ₁, cos θ₂, sin θ₂, θ̇₁, θ̇₂)."""
    for link in range(2):
        obs[2 * link] = np.float32(math.cos(state[link]))
        obs[2 * link + 1] = np.float32(math.sin(state[link]))
        obs[4 + link] = np.float32(state[2 + link])


@jit_exact
def step(dynamics, state, fresh, act):
    """s ← s + (h/6) (k₁ + 2 k₂ + 2 k₃ + k₄) under the torque act − 1, then wrapped and bounded."""
    torque, half = act - 1, DT / 2.0
    a, b, da, db = state[0], state[1], state[2], state[3]
    k1 = _derivative(a, b, da, db, torque)
    k2 = _derivative(a + half * k1[0], b + half * k1[1], da + half * k1[2], db + half * k1[3], torque)
    k3 = _derivative(a + half * k2[0], b + half * k2[1], da + half * k2[2], db + half * k2[3], torque)
    k4 = _derivative(a + DT * k3[0], b + DT * k3[1], da + DT * k3[2], db + DT * k3[3], torque)
    for i in range(4):
        state[i] += DT / 6.0 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i])

    state[0] = a = _wrapped(state[0])
    state[1] = b = _wrapped(state[1])
    state[2] = min(max(state[2], -MAX_SPIN_1), MAX_SPIN_1)
    state[3] = min(max(state[3], -MAX_SPIN_2), MAX_SPIN_2)
    terminated = -math.cos(a) - math.cos(b + a) > 1.0
    return (0.0 if terminated else -1.0), terminated


@jit_exact
def _derivative(a, b, da, db, torque):
    """(θ̇₁, θ̇₂, θ̈₁, θ̈₂) at angles a, b with speeds da, db."""
    m, l, c, g, sin, cos = MASS, LENGTH, CENTRE, GRAVITY, math.sin(b), math.cos(b)  # noqa: E741  l is the length
    d1 = m * c**2 + m * (l**2 + c**2 + 2 * l * c * cos) + INERTIA + INERTIA
    d2 = m * (c**2 + l * c * cos) + INERTIA
    phi2 = m * c * g * math.cos(a + b - math.pi / 2.0)
    phi1 = (
        -m * l * c * square(db) * sin
        - 2 * m * l * c * db * da * sin
        + (m * c + m * l) * g * math.cos(a - math.pi / 2)
        + phi2
    )
    ddb = (torque + d2 / d1 * phi1 - m * l * c * square(da) * sin - phi2) / (m * c**2 + INERTIA - square(d2) / d1)
    return da, db, -(d2 * ddb + phi1) / d1, ddb


@jit_exact
def _wrapped(angle):
    while angle > math.pi:
        angle -= math.pi - -math.pi
    while angle < -math.pi:
        angle += math.pi - -math.pi
    return angle
