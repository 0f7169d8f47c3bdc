"""No loop of the kernels that an update calls counts references, allocates or is atomic: two threads would wait."""

import types

import numba
import numpy as np
import pytest
from compiled_code import compiled, costs_in_loops
from minipg.kernels.cpu import actor_critic, advantages, fisher, regression, surrogate_epochs, surrogate_value
from minipg.kernels.cpu._jit import unowned
from minipg.kernels.cpu.classic_control.rollout import rollout

from minipg import ALGORITHMS

KERNELS = {
    "rollout": (rollout, "a2c"),
    "rollout with statistics": (rollout, "a2c"),
    "estimate": (advantages.estimate, "a2c"),
    "policy_step": (actor_critic.policy_step, "a2c"),
    "critic_step": (actor_critic.critic_step, "a2c"),
    "ascend": (surrogate_epochs.ascend, "ppo"),
    "fit": (regression.fit, "ppo"),
    "fisher_product": (fisher.fisher_product, "trpo"),
    "surrogate_value": (surrogate_value.surrogate_value, "trpo"),
}


def signature_in(kernel, algorithm, statistics=False):
    """The types that an update on compiled Pendulum calls the kernel with."""
    settings = {"normalize_obs": statistics, "normalize_reward": statistics, "n_steps": 16, "num_envs": 2}
    agent = ALGORITHMS[algorithm]("Pendulum-v1", hidden=(4,), threads=1, **settings)
    agent.learn(1)
    if kernel is fisher.fisher_product:  # training has threads that share one: this is the same for one thread
        tape = agent.actor.forward(agent.theta, np.zeros((3, 3), np.float32))
        agent.actor.fisher_product(agent.theta, tape, agent.theta)
    # other tests in this process may have called it with images
    found = [one for one in kernel.signatures if "ConvLayers" not in str(one) and "int8" not in str(one)]
    with_none = [numba.types.none in signature for signature in found]  # without statistics
    return found[with_none.index(kernel is rollout and not statistics)]


@pytest.mark.parametrize("name", KERNELS)
def test_no_loop_counts_references_allocates_or_is_atomic(name):
    kernel, algorithm = KERNELS[name]
    signature = signature_in(kernel, algorithm, statistics="statistics" in name)
    assert costs_in_loops(*compiled(kernel.py_func, signature, **kernel.targetoptions)) == []


def last_longer_row(x):
    """A loop in which a view of each row is kept in turn."""
    found, total = x[0], 0.0
    for i in range(x.shape[0]):
        row = x[i]
        if row[0] > found[0]:
            found = row
        total += found[0]
    return total


def last_longer_row_unowned(x):
    """The same, of an array whose views are not counted."""
    x = unowned(x)
    found, total = x[0], 0.0
    for i in range(x.shape[0]):
        row = x[i]
        if row[0] > found[0]:
            found = row
        total += found[0]
    return total


def allocating(x):
    """A loop that makes an array every time."""
    total = 0.0
    for i in range(x.shape[0]):
        total += np.sort(np.full(i, x[i, 0]))[-1]
    return total


@pytest.mark.parametrize(
    "function,clean", [(last_longer_row, False), (last_longer_row_unowned, True), (allocating, False)]
)
def test_views_and_arrays_that_are_made_in_a_loop_are_found(function, clean):
    matrix = numba.float64[:, ::1]
    assert (costs_in_loops(*compiled(function, (matrix,))) == []) == clean


def test_a_kernel_whose_arguments_are_counted_is_found():
    counted = {**vars(regression), "unowned": numba.njit(lambda array: array)}
    function = types.FunctionType(regression.fit.py_func.__code__, counted)
    found = costs_in_loops(*compiled(function, signature_in(regression.fit, "ppo"), **regression.fit.targetoptions))
    assert {"NRT_incref", "NRT_decref"} <= set(found)
