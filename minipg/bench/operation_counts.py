"""The number of operations of networks and updates: they are counted only here.

A multiplication and an addition are two operations. With W weights (biases left out) a network costs, a row,

    forward              2 W      h ← φ(h W + b)
    forward, backward    6 W      and the products with hᵀ and with Wᵀ
    Fisher product       8 W      two products a layer forward (J v), two backward (Jᵀ M J v); activations are kept

which is 9, 27 and 36 kFLOP for 4-64-64-2. By custom the first layer is counted like the others, although no gradient is
needed at its input: 2 W₀ of the 6 W, 4 W₀ of the 8 W need not be done. Activations, distributions, the optimiser and
the environments are not counted: a floor is the time of the matrix products alone.

An update of B rows needs one forward pass of the policy (rollout) and one of the critic (advantages), then

    PPO     epochs · forward and backward, of policy and critic
    TRPO    one forward and backward (gradient), a Fisher product an iteration of conjugate gradient, a forward pass for
            each candidate of the line search (by default two), and the critic's epochs

Bytes are what a stage has to read or write: the arrays of the batch once in each pass over it, parameters and moments
once a minibatch.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

_FLOAT = 4  # bytes
_ADAM = 7 * _FLOAT  # bytes a parameter: θ and both moments, read and written, and the gradient, read


class Work(NamedTuple):
    """Operations, and bytes to be read or written."""

    flops: float
    bytes: float


class Shape(NamedTuple):
    """The layer sizes of both networks, the rows of an update, and the numbers in an action."""

    policy: tuple[int, ...]
    critic: tuple[int, ...]
    rows: int
    action: int = 1


def weights(sizes: tuple[int, ...]) -> int:
    """W of a network of these layer sizes, biases left out."""
    return sum(n * m for n, m in pairwise(sizes))


def forward(sizes: tuple[int, ...]) -> int:
    """Operations of a forward pass, a row."""
    return 2 * weights(sizes)


def forward_backward(sizes: tuple[int, ...]) -> int:
    """Operations of a forward and a backward pass, a row."""
    return 6 * weights(sizes)


def fisher_product(sizes: tuple[int, ...]) -> int:
    """Operations of a Fisher–vector product over kept activations, a row."""
    return 8 * weights(sizes)


def parameters(sizes: tuple[int, ...]) -> int:
    """Weights and biases."""
    return weights(sizes) + sum(sizes[1:])


def ppo(shape: Shape, config: Any) -> dict[str, Work]:
    """An update of PPO, stage by stage."""
    return {
        **_collected(shape),
        "policy minibatches": _minibatches(shape.policy, shape, config.n_epochs, config.minibatch_size),
        "value minibatches": _minibatches(shape.critic, shape, config.vf_epochs, config.vf_minibatch_size),
    }


def trpo(shape: Shape, config: Any, products: float | None = None, trials: float = 2) -> dict[str, Work]:
    """An update of TRPO, stage by stage. `products` is the number of Fisher products, by default cg_iters."""
    products = config.cg_iters if products is None else products
    rows, sizes = shape.rows, shape.policy
    row = sizes[0] + shape.action + 1  # observation, action, advantage
    # a product reads observations, activations and distributions, θ and v, and writes one vector
    product = _FLOAT * (rows * (sizes[0] + sum(sizes[1:])) + 3 * parameters(sizes))
    return {
        **_collected(shape),
        "gradient": Work(rows * forward_backward(sizes), _FLOAT * rows * (row + sum(sizes[1:]))),
        "Fisher products": Work(products * rows * fisher_product(sizes), products * product),
        # two scalar products, and three vectors moved on: x, r, p
        "conjugate gradient, rest": Work(10 * products * parameters(sizes), 9 * _FLOAT * products * parameters(sizes)),
        "line search": Work(trials * rows * forward(sizes), trials * _FLOAT * rows * (row + sizes[-1])),
        "value fit": _minibatches(shape.critic, shape, config.vf_epochs, config.vf_minibatch_size),
    }


STAGES: dict[str, Callable[..., dict[str, Work]]] = {"ppo": ppo, "trpo": trpo}


def flops_per_step(algorithm: str, config: Any, sizes: tuple[int, ...]) -> float:
    """Operations for each step of the environment. The critic counts as much as the policy, of these layer sizes."""
    shape = Shape(sizes, sizes, config.num_envs * config.n_steps)
    stages = STAGES[algorithm](shape, config)
    stages.pop("conjugate gradient, rest", None)  # vectors, of which a batch has one
    return sum(stage.flops for stage in stages.values()) / shape.rows


def _collected(shape: Shape) -> dict[str, Work]:
    written = shape.policy[0] + shape.action + 1  # observation, action, reward
    return {
        "rollout": Work(shape.rows * forward(shape.policy), _FLOAT * shape.rows * written),
        "advantages": Work(shape.rows * forward(shape.critic), _FLOAT * shape.rows * (shape.critic[0] + 4)),
    }


def _minibatches(sizes: tuple[int, ...], shape: Shape, epochs: int, size: int) -> Work:
    row = sizes[0] + shape.action + 2  # observation, action, advantage and old log-probability; or target and old value
    steps = epochs * -(-shape.rows // size)
    moved = epochs * shape.rows * _FLOAT * row + steps * _ADAM * parameters(sizes)
    return Work(epochs * shape.rows * forward_backward(sizes), moved)
