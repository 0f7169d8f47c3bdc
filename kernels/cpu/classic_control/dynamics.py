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
def begin(kernels, dynamics, u, state):
    """The first state of an episode.   uniforms u (U,) → state (S,)."""
    return lambda dynamics, u, state: kernels.begin(dynamics, u, state)


@by_type(DYNAMICS, exact=True)
def observe(kernels, dynamics, state, obs):
    """state (S,) → obs (O,)."""
    return lambda dynamics, state, obs: kernels.observe(state, obs)


@by_type(DYNAMICS, exact=True)
def step(kernels, dynamics, state, fresh, act):
    """One step of state (S,) in place → reward, terminated; `fresh`: no step since `begin`."""
    return lambda dynamics, state, fresh, act: kernels.step(dynamics, state, fresh, act)
