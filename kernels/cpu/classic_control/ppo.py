"""Proximal policy optimisation in one call: what it learns from a batch, as tasks of `updates.py`.

minipg/algorithms/ppo.py says the same in the plain way. learnt: θ, θ_v, Adam's moments of each, and how many steps each
has taken (2,) int64. settings: rows of a minibatch, for policy and critic; the KL that ends the epochs, the longest
gradient, the critic's clip range, the weight of the entropy; whether advantages are normalised. given: rates of policy
and critic, clip range and β (U, 4), and the keys by which the rows of either are shuffled (U, 2). room: columns (3, B),
actions of a minibatch, steps and ratios beyond (2,), losses (E,), the number of every row here, as
in_groups (B,) of compiled.py has it, and the orders of either (E, B).
"""

import math
from functools import cache

import numpy as np
from minipg.kernels.cpu import shuffling
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import part, task
from minipg.kernels.cpu.categorical import log_prob
from minipg.kernels.cpu.classic_control.updates import OK
from minipg.kernels.cpu.regression import _fit_part
from minipg.kernels.cpu.surrogate_epochs import _climb, _climb_of

NOT_FINITE = 1


@cache
def tasks(family):
    """`_ascend` and `_fit`, compiled for the distributions of that name."""
    module = f"minipg.kernels.cpu.{family}"
    return compiled_with(_ascend, module, ("log_prob",), task, _climb=_climb_of(family, part)), _fit


def _ascend(_, k, inputs):
    """All epochs of the policy  (PP-1 to PP-4) → record: steps taken, and ratios beyond the clip range."""
    networks, learnt, settings, given, _, _, _, batch, _, record, room = inputs
    policy, ((size, _), (max_kl, max_norm, _, entropy_weight), normalizes) = networks[0], settings[1]
    (rates, keys), (theta, _, first, second, _, _, steps) = given, learnt
    _, obs, act, params, _, _, _, adv, _, _, _, _ = batch
    place, _, works, _, columns, acted, told, _, places, order, _ = room
    rows, gain, logp = adv.size, columns[0], columns[1]
    old, acts = params.reshape(rows, params.shape[3]), act.reshape((rows,) + act.shape[3:])  # noqa: RUF005  no star here
    shuffling.shuffle(keys[k, 0], places, order)
    _normalized(adv.reshape(rows), normalizes, gain)
    log_prob(old, acts, *policy[2], logp)
    _begin(theta, first, second, place)
    terms, adam = (rates[k, 2], rates[k, 3], entropy_weight), (rates[k, 0], 0.9, 0.999, 1e-8)
    _climb(
        policy, (obs.reshape(rows, obs.shape[3]), acts, gain, old, logp), terms, order, size, adam,
        (max_kl, max_norm), steps[0], place[0], place[1], place[2], told, acted, works[0],
    )  # fmt: skip
    record[k, 0, 0], record[k, 0, 1], record[k, 0, 2] = told[0], told[1], _keep(place, theta, first, second)
    if record[k, 0, 2] == OK:
        steps[0] += np.int64(told[0])


@task
def _fit(_, k, inputs):
    """All epochs of the critic  (AC-1) → record: the last one's loss."""
    networks, learnt, settings, given, _, _, _, batch, _, record, room = inputs
    (sizes, activation), ((_, size), (_, max_norm, clip_range, _), _) = networks[1], settings[1]
    (rates, keys), (_, theta, _, _, first, second, steps) = given, learnt
    _, obs, _, _, _, _, _, _, ret, _, value, _ = batch
    _, place, works, _, columns, _, _, loss, places, _, order = room
    rows, old, of_a_group = ret.size, columns[2], ret.shape[1] * ret.shape[2]
    for g in range(ret.shape[0]):
        for i in range(of_a_group):
            old[g * of_a_group + i] = value[g, i]
    _begin(theta, first, second, place)
    shuffling.shuffle(keys[k, 1], places, order)
    _fit_part(
        sizes, activation, obs.reshape(rows, obs.shape[3]), ret.reshape(rows), old, order, size,
        (rates[k, 1], 0.9, 0.999, 1e-8), (clip_range, max_norm), steps[1], place[0], place[1], place[2], loss, works[1],
    )  # fmt: skip
    record[k, 1, 0], record[k, 1, 2] = loss[loss.shape[0] - 1], _keep(place, theta, first, second)
    if record[k, 1, 2] == OK:
        steps[1] += order.shape[0] * -(-rows // size)


@part
def _begin(theta, first, second, place):
    """A copy of θ and Adam's moments, for an ascent that may fail.   (P,) each → place (3, P)."""
    for i in range(theta.shape[0]):
        place[0, i], place[1, i], place[2, i] = theta[i], first[i], second[i]


@part
def _keep(place, theta, first, second):
    """What place (3, P) holds → θ and Adam's moments (P,), if it is finite; whether it was."""
    for i in range(theta.shape[0]):
        if not (abs(place[0, i]) < math.inf and abs(place[1, i]) < math.inf and place[2, i] < math.inf):
            return NOT_FINITE
    for i in range(theta.shape[0]):
        theta[i], first[i], second[i] = place[0, i], place[1, i], place[2, i]
    return OK


@part
def _normalized(adv, normalizes, out):
    """(Â − mean)/std, where that is wanted, as `normalize` of advantages.py has it.   (B,) → (B,)."""
    if not normalizes:
        for i in range(adv.shape[0]):
            out[i] = adv[i]
        return
    mean, squares, largest = 0.0, 0.0, 0.0
    for i in range(adv.shape[0]):
        mean += adv[i]
        largest = max(largest, abs(adv[i]))
    mean /= adv.shape[0]
    for i in range(adv.shape[0]):
        squares += (adv[i] - mean) ** 2
    deviation = math.sqrt(squares / adv.shape[0])
    scale = 0.0 if deviation <= 4 * np.finfo(np.float32).eps * largest else 1 / deviation
    for i in range(adv.shape[0]):
        out[i] = (adv[i] - mean) * scale
