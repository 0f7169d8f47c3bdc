"""Advantage actor-critic on compiled environments: update after update in one call, on one thread or two.

minipg/algorithms/a2c.py says the same in the plain way, an update at a time. Here environments stand in groups. What a
group lives through is a task (`_live`); when all groups are through, the policy's step and the critic's are two more
(`_learn`). Whoever is free takes the next one. Which numbers meet in a task does not depend on who does it, so no bit
does.
"""

import math
from functools import cache

from minipg.kernels.cpu import head, mlp, optimizer, returns
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._board import all_done, finish, post, take
from minipg.kernels.cpu._jit import jit, part
from minipg.kernels.cpu.categorical import entropy
from minipg.kernels.cpu.classic_control.rollout import rollout
from minipg.kernels.cpu.policy_gradient import _covectors, _covectors_of

PATIENCE = 400_000  # looks at the board, which take about half a millisecond
OK, GRADIENT_NOT_FINITE, STEP_NOT_FINITE = range(3)


@cache
def updates(problem, family):
    """`_updates`, compiled for the problem in the file of that name and the distributions of that name."""
    module, variant = f"minipg.kernels.cpu.{family}", f"_{problem}"
    live = compiled_with(_live, module, (), part, variant, rollout=rollout(problem, family))
    learn = compiled_with(_learn, module, ("entropy",), part, _covectors=_covectors_of(family))
    return compiled_with(_updates, module, (), jit, variant, _live=live, _learn=learn)


def _updates(leads, board, plan, networks, learnt, settings, rates, envs, tally, noise, batch, ended, record, room):
    """Up to plan[0] updates of T steps of N environments each, from where these stand: G groups of n, N = G·n.

    Who leads posts the tasks and stays until all are done; others go when they have found none for a while.
    board as in `_board.py`; plan (3,) int64: how many updates are wanted, and the leader's notes: which it is, and
    whether the groups are through
    networks: the policy as in `reference/proximal.py`, and sizes and activation of the critic
    learnt: θ, θ_v and RMSProp's running squares of each, changed in place but by steps that are not finite
    settings: bound of actions, γ, λ, and weight of the entropy; longest gradient, ρ and ε of RMSProp; rates (U, 2)
    envs as in `batch.py`, with u (G, K); tally: each environment's return and length so far, (N,) each
    noise (U, G, T, n, …) for `sample`
    batch: seen (G, (T + 1)·n + M, O), where after T·n rows come those that environments show, and in the end the last
    ones of truncated episodes; obs (G, T, n, O), act (G, T, n, …), params (G, T, n, D), rew, terminated, truncated, Â
    and target (G, T, n), final_at (G, M), V (G, (T + 1)·n + M), discounted (G, n, 1), of no use
    → ended: returns and lengths of episodes (U, G, T·n), and counts (U, G, 3), as `rollout.py` leaves them
    → record (U, 2, 3): norm, entropy and status of the policy's step; loss, share of the targets' variance that V had
    explained, and status of the critic's
    → how many updates were made: fewer where experience is not finite, which nothing is learnt from, or after a step
    that was not; of who does not lead, how many tasks were done
    room: of policy (3, P) and critic (3, Q), and work (2, …).
    """
    groups, counts, made, done, patience = noise.shape[1], ended[2], 0, 0, PATIENCE
    if leads:
        plan[1], plan[2] = 0, 0
        post(board, groups)
    while patience > 0:
        task = take(board)
        if task >= 0:
            k, through = plan[1], plan[2]
            if through:
                _learn(task, networks, learnt, settings, rates[k], batch, record[k], room)
            else:
                _live(task, k, networks, learnt, settings, envs, tally, noise, batch, ended, room)
            finish(board)
            patience, done = PATIENCE, done + 1
        elif not leads:
            patience -= 1
        elif all_done(board):
            good = True
            if plan[2]:
                good = record[made, 0, 2] == OK and record[made, 1, 2] == OK
                made += 1
            else:
                for g in range(groups):
                    good = good and counts[made, g, 2] == 1
            if not good or made == plan[0]:
                break
            plan[1], plan[2] = made, 1 - plan[2]
            post(board, 2 if plan[2] else groups)
    return made if leads else done


def _live(g, k, networks, learnt, settings, envs, tally, noise, batch, ended, room):
    """What group g lives through in update k, and what its steps were worth  (PG-12)."""
    (policy, (sizes, activation)), (theta, value_theta, _, _) = networks, learnt
    bound, gamma, gae_lambda, _ = settings[0]
    time_limit, state, elapsed, stream, shown, done, u = envs
    seen, obs, act, params, rew, terminated, truncated, adv, ret, final_at, value, discounted = batch
    (_, steps, n), inputs, work = rew.shape, obs.shape[3], room[2][g]
    a, b, after, nothing = g * n, (g + 1) * n, (steps + 1) * n, discounted[0, 0, :0]
    every = seen[g, :after].reshape(steps + 1, n, inputs)
    for i in range(n):
        for j in range(inputs):
            every[0, i, j] = every[steps, i, j]
    rollout(
        policy, theta, noise[k, g], bound,
        (time_limit, state[a:b], elapsed[a:b], stream[a:b], shown[a:b], done[a:b], u[g]),
        (tally[0][a:b], tally[1][a:b]), (0.0, nothing, nothing, nothing),
        (0.0, 0.0, discounted[g], nothing, nothing, nothing),
        (every, act[g], params[g], rew[g], terminated[g], truncated[g]),
        (seen[g, after:], final_at[g]), (ended[0][k, g], ended[1][k, g], ended[2][k, g]), work,
    )  # fmt: skip
    for t in range(steps):
        for i in range(n):
            for j in range(inputs):
                obs[g, t, i, j] = every[t, i, j]
    cuts = ended[2][k, g, 1]
    rows = after + cuts
    v = value[g, :rows]
    mlp.forward(value_theta, sizes, activation, seen[g, :rows], v.reshape(rows, 1), work)
    cut_at = final_at[g, :cuts]
    returns.advantages(v, rew[g], terminated[g], truncated[g], cut_at, gamma, gae_lambda, adv[g], ret[g])


def _learn(task, networks, learnt, settings, rates, batch, record, room):
    """A step of the policy along its gradient  (PG-9), task 0, or of the critic down its error  (AC-1), task 1."""
    policy, critic = networks
    form, bounds, options, layers, activation = policy
    theta, squares = learnt[0], learnt[2]
    if task == 1:
        layers, activation, theta, squares = critic[0], critic[1], learnt[1], learnt[3]
    place = room[0] if task == 0 else room[1]
    _, obs, act, params, _, _, _, adv, ret, _, value, _ = batch
    rows, m, width, grad, work = adv.size, layers[-1], params.shape[3], place[0], room[2][task]
    network = theta.shape[0] - (m if task == 0 and form == 1 else 0)
    a, b = 2 * rows * m, rows * (2 * m + mlp._units(layers))
    out, g = work[: rows * m].reshape(rows, m), work[rows * m : a].reshape(rows, m)
    x, hidden, rest = obs.reshape(rows, obs.shape[3]), work[a:b], work[b:]
    mlp.forward(theta[:network], layers, activation, x, out, hidden)
    if task == 0:
        p, more = rest[: rows * width].reshape(rows, width), rest[rows * width :]
        head.parameters(form, bounds, out, theta[network:], p)
        entropy(p, *options, more[:rows])
        record[0, 1] = more[:rows].mean()
        grad[network:] = 0
        acted = act.reshape((rows,) + act.shape[3:])  # noqa: RUF005  Numba knows no star here
        _covectors(policy, out, p, acted, adv.reshape(rows), settings[0][3], g, grad[network:], more)
    else:
        record[1, 0], record[1, 1] = _missed(value, ret, out, g)
    mlp.vjp(theta[:network], layers, activation, x, hidden, g, grad[:network], rest)
    norm, record[task, 2] = _step(place, rows, rates[task], settings[1], theta, squares)
    if task == 0:
        record[0, 0] = norm
        for i in range(network, theta.shape[0]):
            theta[i] = min(max(theta[i], bounds[0]), bounds[1])


@part
def _missed(value, ret, out, g):
    """The mean squared error of out (B, 1), and 1 − Var(ret − V)/Var(ret).   → g (B, 1), half of it downhill, times B.

    ret (G, T, n), V (G, …) as it was before, whose first T·n of each group are of its rows.
    """
    groups, rows = ret.shape[0], ret.shape[1] * ret.shape[2]
    targets, count = ret.reshape(groups, rows), groups * rows
    squared, mean, missed = 0.0, 0.0, 0.0
    for i in range(groups):
        for j in range(rows):
            error = targets[i, j] - out[i * rows + j, 0]
            g[i * rows + j, 0] = 2 * error
            squared += error * error
            mean += targets[i, j]
            missed += targets[i, j] - value[i, j]
    mean, missed, spread, left = mean / count, missed / count, 0.0, 0.0
    for i in range(groups):
        for j in range(rows):
            spread += (targets[i, j] - mean) ** 2
            left += (targets[i, j] - value[i, j] - missed) ** 2
    return squared / count, 1 - left / spread if spread > 0 else math.nan


@part
def _step(place, count, rate, settings, theta, squares):
    """θ and its running squares after RMSProp  (AC-3), or as they were where that is not finite.

    place (3, P), first in it the sum of `count` gradients uphill → the norm of their mean, NaN where there was no step,
    and what became of it.
    """
    (longest, decay, epsilon), grad, new, grown = settings, place[0], place[1], place[2]
    size, finite, share = theta.shape[0], True, theta.dtype.type(1 / count)
    for i in range(size):
        grad[i] *= share
        new[i], grown[i] = theta[i], squares[i]
    norm = optimizer._norm(grad)
    if norm > longest:
        optimizer.clip_global_norm(grad, longest, grad)
    optimizer.rmsprop(grad, rate, decay, epsilon, new, grown)
    for i in range(size):
        finite &= abs(new[i]) < math.inf and abs(grown[i]) < math.inf
    if not norm < math.inf:
        return math.nan, GRADIENT_NOT_FINITE
    if not finite:
        return math.nan, STEP_NOT_FINITE
    for i in range(size):
        theta[i], squares[i] = new[i], grown[i]
    return norm, OK
