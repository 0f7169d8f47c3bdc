"""The five problems behind one set of functions: the number says which, so no Python object is needed to choose."""

from minipg.kernels.cpu._jit import jit_exact
from minipg.kernels.cpu.classic_control import (
    ACROBOT,
    CARTPOLE,
    MOUNTAIN_CAR,
    MOUNTAIN_CAR_CONTINUOUS,
    acrobot,
    cartpole,
    mountain_car,
    mountain_car_continuous,
    pendulum,
)


@jit_exact
def begin(problem, u, state):
    """u (K,) uniforms → state (S,), a first state."""
    if problem == CARTPOLE:
        cartpole.begin(u, state)
    elif problem == ACROBOT:
        acrobot.begin(u, state)
    elif problem in (MOUNTAIN_CAR, MOUNTAIN_CAR_CONTINUOUS):
        mountain_car.begin(u, state)
    else:
        pendulum.begin(u, state)


@jit_exact
def observe(problem, state, obs):
    """state (S,) → obs (O,) float32."""
    if problem == CARTPOLE:
        cartpole.observe(state, obs)
    elif problem == ACROBOT:
        acrobot.observe(state, obs)
    elif problem in (MOUNTAIN_CAR, MOUNTAIN_CAR_CONTINUOUS):
        mountain_car.observe(state, obs)
    else:
        pendulum.observe(state, obs)


@jit_exact
def step(problem, state, fresh, act):
    """One step of state (S,) in place → reward, terminated.   `fresh`: the state comes from `begin`."""
    if problem == CARTPOLE:
        return cartpole.step(state, fresh, act)
    if problem == ACROBOT:
        return acrobot.step(state, fresh, act)
    if problem == MOUNTAIN_CAR:
        return mountain_car.step(state, fresh, act)
    if problem == MOUNTAIN_CAR_CONTINUOUS:
        return mountain_car_continuous.step(state, fresh, act)
    return pendulum.step(state, fresh, act)
