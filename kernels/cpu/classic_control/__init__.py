"""The classic control problems, compiled. Every step gives the same bits as Gymnasium's.

The dynamics of each problem are a file with three functions:

    begin(dynamics, u, state)          uniforms u (U,) in [0, 1) → state (S,), the distribution of first states
    observe(state, obs)                state (S,) float64 → obs (O,) float32
    step(dynamics, state, fresh, act)  one step in place → reward, terminated;  `fresh`: no step since `begin`

`dynamics` is a NamedTuple of the constants that a user may choose, under the names that Gymnasium gives them: the
options of `reset` and the arguments of the environment's class. Its type chooses the file (`dynamics.py`). `act` is a
float64: the index of an action, or a force of float32 precision. `batch.py` steps many environments; `stream.py` draws
their uniforms.

Tests hold this: all that Gymnasium computes (under the promotion rules of NumPy 2, partly in single precision) is
computed here in the same order and precision. `acrobot.py` names the one exception.
"""

import math
from typing import Any, NamedTuple


class Acrobot(NamedTuple):
    """The dynamics in `acrobot.py`."""

    draws: int = 4  # U, the uniforms that `begin` takes
    low: float = -0.1  # bounds of the first state
    high: float = 0.1


class CartPole(NamedTuple):
    """The dynamics in `cartpole.py`."""

    draws: int = 4
    low: float = -0.05
    high: float = 0.05
    sutton_barto_reward: bool = False


class MountainCar(NamedTuple):
    """The dynamics in `mountain_car.py`."""

    draws: int = 1
    low: float = -0.6
    high: float = -0.4
    goal_velocity: float = 0.0


class MountainCarContinuous(NamedTuple):
    """The dynamics in `mountain_car_continuous.py`."""

    draws: int = 1
    low: float = -0.6
    high: float = -0.4
    goal_velocity: float = 0.0


class Pendulum(NamedTuple):
    """The dynamics in `pendulum.py`."""

    draws: int = 2
    x_init: float = math.pi  # first angles are within ±x_init, first speeds within ±y_init
    y_init: float = 1.0
    g: float = 10.0


class Problem(NamedTuple):
    """One problem: its dynamics, sizes, bounds, time limit, and the mean return that counts as solved."""

    file: str
    dynamics: Any
    state: int  # S
    obs_low: tuple[float, ...]  # (O,)
    obs_high: tuple[float, ...]
    actions: int  # their number; 0 if the action is one real number
    act_high: float  # the bound on that number
    time_limit: int
    solved: float | None  # the mean return that counts as solved


_INF, _PI = math.inf, math.pi
_12_DEGREES = 12 * 2 * _PI / 360
_VALLEY = ((-1.2, -0.07), (0.6, 0.07))


def _symmetric(*high: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(-bound for bound in high), high


PROBLEMS = {
    "CartPole-v1": Problem("cartpole", CartPole(), 4, *_symmetric(4.8, _INF, 2 * _12_DEGREES, _INF), 2, 0, 500, 475),
    "Acrobot-v1": Problem("acrobot", Acrobot(), 4, *_symmetric(1, 1, 1, 1, 4 * _PI, 9 * _PI), 3, 0, 500, -100),
    "MountainCar-v0": Problem("mountain_car", MountainCar(), 2, *_VALLEY, 3, 0, 200, -110),
    "MountainCarContinuous-v0": Problem(
        "mountain_car_continuous", MountainCarContinuous(), 2, *_VALLEY, 0, 1.0, 999, 90
    ),
    "Pendulum-v1": Problem("pendulum", Pendulum(), 2, *_symmetric(1, 1, 8), 0, 2.0, 200, None),
}
