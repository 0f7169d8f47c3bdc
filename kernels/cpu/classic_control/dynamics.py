"""The dynamics of every problem: the type of `dynamics` chooses the file when the caller is compiled."""

from minipg.kernels.cpu._jit import by_type
from minipg.kernels.cpu.classic_control import (
    Acrobot,
    CartPole,
    MountainCar,
    MountainCarContinuous,
    Pendulum,
    acrobot,
    cartpole,
    mountain_car,
    mountain_car_continuous,
    pendulum,
)

DYNAMICS = {
    Acrobot: acrobot,
    CartPole: cartpole,
    MountainCar: mountain_car,
    MountainCarContinuous: mountain_car_continuous,
    Pendulum: pendulum,
}


@by_type(DYNAMICS, exact=True)
def begin(dynamics, u, state):
    """The first state of an episode.   uniforms u (K,) → state (S,)."""
    kernel = dynamics.begin
    return lambda dynamics, u, state: kernel(u, state)


@by_type(DYNAMICS, exact=True)
def observe(dynamics, state, obs):
    """state (S,) → obs (O,)."""
    kernel = dynamics.observe
    return lambda dynamics, state, obs: kernel(state, obs)


@by_type(DYNAMICS, exact=True)
def step(dynamics, state, fresh, act):
    """One step of state (S,) in place → reward, terminated; `fresh`: no step since `begin`."""
    kernel = dynamics.step
    return lambda dynamics, state, fresh, act: kernel(state, fresh, act)
