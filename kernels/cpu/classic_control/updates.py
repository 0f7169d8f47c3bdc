"""An actor-critic on compiled environments: update after update in one call, on one thread or two.

The files of minipg/algorithms say the same in the plain way, an update at a time. Here environments stand in groups.
What a group lives through is a task (`live`); when all groups are through, what the policy learns from it and what the
critic does are two more, in the algorithm's own file beside this one. Whoever is free takes the next one. Which numbers
meet in a task does not depend on who does it, so no bit does.

A task is called by its address, as task(which, k, inputs), with `inputs` as they are here:

    networks    the policy as in `reference/proximal.py`, and sizes and activation of the critic
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
    room        of policy (3, P) and critic (3, Q), work (2, …) for a task each, and the algorithm's own
"""

from functools import cache

from minipg.kernels.cpu import mlp, returns
from minipg.kernels.cpu._address import call
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._board import all_done, announce, finish, is_open, post, take
from minipg.kernels.cpu._jit import jit, part, task
from minipg.kernels.cpu.classic_control.rollout import _rollout, _rollout_of

PATIENCE = 400_000  # looks at the board, which take about half a millisecond
OK = 0


@jit
def updates(leads, board, plan, tasks, inputs):
    """Up to plan[0] updates of T steps of N environments each, from where these stand: G groups of n, N = G·n.

    Who leads posts the tasks and stays until all are done; others go when they have found none for a while
    after it has left.
    board as in `_board.py`; plan (4,) int64: how many updates are wanted, and notes: which it is, whether the groups
    are through, and whether a task raised an error, which ends all; tasks (3,) int64: where a group's, the policy's
    and the critic's begin
    → how many updates were made: fewer where experience is not finite, which nothing is learnt from, or after a step
    that was not; of who does not lead, how many tasks were done.
    """
    noise, counts, record = inputs[6], inputs[8][2], inputs[9]
    groups, made, done, patience = noise.shape[1], 0, 0, PATIENCE
    if leads:
        plan[1], plan[2], plan[3] = 0, 0, 0
        announce(board, 1)
        post(board, groups)
    while patience > 0:
        which = take(board)
        if which >= 0:
            if not call(tasks[1 + which if plan[2] else 0], (which, plan[1], inputs)):
                plan[3] = 1
            finish(board)
            patience, done = PATIENCE, done + 1
        elif not leads:
            patience -= not is_open(board)
        elif all_done(board):
            good = plan[3] == 0
            if plan[2]:
                good = good and record[made, 0, 2] == OK and record[made, 1, 2] == OK
                made += 1
            else:
                for g in range(groups):
                    good = good and counts[made, g, 1] == 1
            if not good or made == plan[0]:
                break
            plan[1], plan[2] = made, 1 - plan[2]
            post(board, 2 if plan[2] else groups)
    if leads:
        announce(board, 0)
    return made if leads else done


@cache
def live(problem, family):
    """`_live`, compiled for the problem and the distributions in the files of those names."""
    steps = _rollout_of(problem, family, part)
    return compiled_with(_live, f"minipg.kernels.cpu.{family}", (), task, f"_{problem}", _rollout=steps)


def _live(g, k, inputs):
    """What group g lives through in update k, and what its steps were worth  (PG-12)."""
    networks, learnt, settings, _, envs, tally, noise, batch, ended, _, room = inputs
    (policy, (sizes, activation)), theta, value_theta = networks, learnt[0], learnt[1]
    (bound, gamma, gae_lambda), work = settings[0], room[2][g]
    time_limit, state, elapsed, stream, shown, done, u = envs
    seen, obs, act, params, rew, terminated, truncated, adv, ret, final_at, value, discounted = batch
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
    for t in range(steps):
        for i in range(n):
            for j in range(inputs):
                obs[g, t, i, j] = every[t, i, j]
    cuts = ended[2][k, g, 0]
    rows = after + cuts
    v = value[g, :rows]
    for start in range(0, rows, mlp.TILE):
        some = slice(start, min(start + mlp.TILE, rows))
        mlp.forward(value_theta, sizes, activation, seen[g, some], v[some].reshape(-1, 1), work)
    ends = terminated[g, :steps], truncated[g, :steps], final_at[g, :cuts]
    returns.advantages(v, rew[g], ends[0], ends[1], ends[2], gamma, gae_lambda, adv[g], ret[g])
