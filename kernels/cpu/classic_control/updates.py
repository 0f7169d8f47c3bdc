"""An actor-critic on compiled environments: update after update in one call, on one thread or two.

The files of minipg/algorithms say the same in the plain way, an update at a time. Here environments stand in groups,
and an update is these tasks, in this order: what each group lives through (`live`) and what that was worth
(`appraise`); what the policy learns from it, and the critic, in the algorithm's own file beside this one. Whoever is
free does the next one, as soon as those are done that it builds on:

    live, a group  →  appraise, a group  →  policy  →  live, in the next update
                                         →  critic  →  appraise, in the next update

Which numbers meet in a task depends neither on who does it nor on when, so no bit does.

A task is called by its address, as task(which, k, inputs), with `inputs` as they are here:

    networks    the policy as in `reference/surrogate_epochs.py`, and sizes and activation of the critic
    learnt      θ, θ_v and whatever goes on with them, changed in place but by steps that are not finite
    settings    bound of actions, γ, λ; and the algorithm's own
    given       what it is told of each update, (U, …) each
    envs        the time limit, and (G, n̄, …) state, elapsed, stream, obs and who has ended as in `batch.py`, u (G, K)
    tally       each environment's return and length so far, (G, n̄) each; n̄ ≥ n, for threads that write to one cache
                line wait for each other
    noise       (U, G, T, n, …) for `sample`
    batch       seen (G, (T + 1)·n + M, O), where after T·n rows come those that environments show, and in the end the
                last ones of truncated episodes; obs (G, T, n, O), act (G, T, n, …), params (G, T, n, D), rew (G, T, n),
                terminated and truncated (G, T̄, n) with T̄ > T likewise, Â and target (G, T, n), final_at (G, M),
                V (G, (T + 1)·n + M), and discounted (G, n, 1), of no use
    ended       → returns and lengths of episodes (U, G, T, n), and counts (U, G, 2), as `rollout.py` leaves them
    record      → (U, 2, 3) what policy and critic tell of an update, and at the end of each a status, 0 if all is well
    room        of policy (3, P) and critic (3, Q), work (2, …) for what they learn and (G, …) for a group each, and the
                algorithm's own
"""

from functools import cache

from minipg.kernels.cpu import mlp, returns
from minipg.kernels.cpu._address import call
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit, part, task
from minipg.kernels.cpu._rota import announce, begin, end, finish, first, is_done, is_free, is_open
from minipg.kernels.cpu._task_queue import _read, _write, post
from minipg.kernels.cpu.classic_control.rollout import _rollout, _rollout_of

PATIENCE = 400_000  # looks at the rota, which take about half a millisecond
OK = 0
LIVE, APPRAISE, LEARN = 0, 1, 2  # the stages of an update


@jit
def updates(leads, rota, plan, tasks, inputs):
    """Up to plan[0] updates of T steps of N environments each, from where these stand: G groups of n, N = G·n.

    Who leads posts the updates and stays until all are done; others go when they have found none for a while
    after it has left.
    rota as in `_rota.py`, for 2·G + 2 kinds of tasks; tasks (4,) int64: where `live`, `appraise`, and what policy and
    critic learn begin; plan (1,) int64: how many updates are wanted
    → plan: how many were made, fewer where experience is not finite, which nothing is learnt from; -1 if a task raised
    an error
    → how many tasks this thread did.
    """
    groups, did, patience = inputs[6].shape[1], 0, PATIENCE
    if leads:
        announce(rota, 1)
        post(rota, plan[0])
    number = first(rota)
    while patience > 0:
        if number < end(rota):
            did += _round(leads, number, groups, rota, plan, tasks, inputs)
            number, patience = number + 1, PATIENCE
        elif leads:
            patience = 0
        else:
            patience -= not is_open(rota)
    if leads:
        for kind in range(2 * groups + 2):
            while not is_done(rota, kind, number - 1):
                pass
        announce(rota, 0)
    return did


@part
def _round(leads, number, groups, rota, plan, tasks, inputs):
    """Every task of an update, by whoever comes first → how many this thread did.

    Two threads begin at different ends, so each mostly keeps to its own arrays. Who waits has begun nothing: it may be
    put to sleep meanwhile, and others go on.
    """
    did = 0
    for stage in range(3):
        size = 2 if stage == LEARN else groups
        for i in range(size):
            which = i if leads else size - 1 - i
            kind = stage * groups + which
            while is_free(rota, kind, number):
                if _is_ready(stage, which, number, groups, rota) and begin(rota, kind, number):
                    _do(stage, which, number - first(rota), groups, plan, tasks, inputs)
                    finish(rota, kind)
                    did += 1
    return did


@part
def _is_ready(stage, which, number, groups, rota):
    """Whether that is done which a task of an update builds on."""
    policy, critic, ready = 2 * groups, 2 * groups + 1, True
    if stage == LIVE:
        ready = is_done(rota, policy, number - 1)
    elif stage == APPRAISE:
        ready = is_done(rota, which, number) and is_done(rota, critic, number - 1)
    else:
        for g in range(groups):
            ready = ready and is_done(rota, groups + g, number)
    return ready


@part
def _do(stage, which, k, groups, plan, tasks, inputs):
    """A task of update k, or nothing where updates have ended before it."""
    if stage == LEARN:
        for g in range(groups):
            if inputs[8][2][k, g, 1] != 1:
                _write(plan, 0, min(_read(plan, 0), k))
    begins = tasks[stage + (which if stage == LEARN else 0)]
    if k < _read(plan, 0) and not call(begins, (which, k, inputs)):
        _write(plan, 0, -1)


@cache
def live(problem, family):
    """`_live`, compiled for the problem and the distributions in the files of those names."""
    steps = _rollout_of(problem, family, part)
    return compiled_with(_live, f"minipg.kernels.cpu.{family}", (), task, f"_{problem}", _rollout=steps)


def _live(g, k, inputs):
    """What group g lives through in update k."""
    networks, learnt, settings, _, envs, tally, noise, batch, ended, _, room = inputs
    policy, theta, bound, work = networks[0], learnt[0], settings[0][0], room[3][g]
    time_limit, state, elapsed, stream, shown, done, u = envs
    seen, obs, act, params, rew, terminated, truncated, _, _, final_at, _, discounted = batch
    (_, steps, n), inputs = rew.shape, obs.shape[3]
    after, nothing = (steps + 1) * n, discounted[0, 0, :0]
    every = seen[g, :after].reshape(steps + 1, n, inputs)
    for i in range(n):
        for j in range(inputs):
            every[0, i, j] = every[steps, i, j]
    _rollout(
        policy, theta, noise[k, g], bound,
        (time_limit, state[g, :n], elapsed[g, :n], stream[g, :n], shown[g, :n], done[g, :n], u[g]),
        (tally[0][g, :n], tally[1][g, :n]), (0.0, nothing, nothing, nothing),
        (0.0, 0.0, discounted[g], nothing, nothing, nothing),
        (every, act[g], params[g], rew[g], terminated[g, :steps], truncated[g, :steps]),
        (seen[g, after:], final_at[g]), (ended[0][k, g], ended[1][k, g], ended[2][k, g]), work,
    )  # fmt: skip


@task
def appraise(g, k, inputs):
    """What the steps of group g in update k were worth  (PG-12).

    Only here is `obs` set: while the critic learns from an update, groups are already in the next.
    """
    networks, learnt, settings, _, _, _, _, batch, ended, _, room = inputs
    (sizes, activation), theta, (_, gamma, gae_lambda), work = networks[1], learnt[1], settings[0], room[3][g]
    seen, obs, _, _, rew, terminated, truncated, adv, ret, final_at, value, _ = batch
    _, steps, n = rew.shape
    for t in range(steps):
        for i in range(n):
            for j in range(obs.shape[3]):
                obs[g, t, i, j] = seen[g, t * n + i, j]
    cuts = ended[2][k, g, 0]
    rows = (steps + 1) * n + cuts
    v = value[g, :rows]
    for start in range(0, rows, mlp.TILE):
        some = slice(start, min(start + mlp.TILE, rows))
        mlp.forward(theta, sizes, activation, seen[g, some], v[some].reshape(-1, 1), work)
    ends = terminated[g, :steps], truncated[g, :steps], final_at[g, :cuts]
    returns.advantages(v, rew[g], ends[0], ends[1], ends[2], gamma, gae_lambda, adv[g], ret[g])
