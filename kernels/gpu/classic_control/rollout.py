"""A whole rollout of a policy and environments without a number leaving the device (rollout.cu).

One launch does all steps where no layer is too wide for a thread and nothing is standardised by what all environments
have met; else every step is the sweep through the network, one launch that settles it, and the statistics.
"""

from functools import cache

import cupy
from minipg.kernels.gpu import moments
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._cuda import Source
from minipg.kernels.gpu._families import on_device, row_kernels
from minipg.kernels.gpu.act import act as act_of
from minipg.kernels.gpu.classic_control.batch import files_of

WIDEST = 256  # units of a layer that a thread holds by itself


@cache
def source_of(problem, family, width):
    """The kernels of that problem under policies of that family, with room for layers of `width` units."""
    files, defines = files_of(problem)
    rows = row_kernels(family)
    return Source(
        *files, *rows.files, "activation.cuh", "classic_control/rollout.cu",
        text=rows.text, exact=True, WIDTH=str(width), **defines, **rows.defines,
    )  # fmt: skip


@cache
def rollout(problem, family):
    """T steps of N environments under π_θ, from where they stand: a kernel of that problem and that family.

    policy as in `reference/surrogate_epochs.py`, theta (P,), noise (T, N, …) for `sample`, actions clipped to ±bound
    or, of the squashed family, scaled to it
    envs: the time limit, the seed, state, elapsed, episode as in `batch.py`, shown
    tally: each environment's return and length so far, (N,) each
    seen, paid: as in the compiled twin, the limits on the host and the statistics on the device
    → batch: obs (T + 1, N, O), of which the first is given, act (T, N, …), params (T, N, D), rew, terminated, truncated
    (T, N)
    → finals: (K, O) the last observations of truncated episodes, not standardised, and the flat rows they followed (K,)
    → ended: (T·N, 2) returns and lengths of the episodes that ended; and (3,) float64: their number, that of finals,
    and a number that is finite where all of batch and finals is
    work (N·(n + Σ hidden),).
    """

    def _rollout(policy, theta, noise, bound, envs, tally, seen, paid, batch, finals, ended, work):
        form, (low, high), _, sizes, activation = policy
        time_limit, seed, state, elapsed, episode, shown = envs
        obs, act, params, rew, terminated, truncated = batch
        (steps, count), n = rew.shape, int(sizes[-1])
        width = 2 * n if form == 1 else n
        widest = max(int(sizes.max()), width)
        room = max(16, 1 << (widest - 1).bit_length())  # few sizes, so that few are compiled
        whole = widest <= WIDEST and seen[0] == 0 and paid[0] == 0
        run = source_of(problem, family, room if whole else 16)
        cuts, finite = cupy.zeros(count, "int64"), cupy.zeros(count)
        slots = cupy.empty((steps // time_limit + 1, *shown.shape), obs.dtype)
        each = cupy.empty((steps * count, 2))
        places = (state, elapsed, episode, *tally, cuts, finite, shown)
        rules = (time_limit, seed, bound, family == "squashed")
        if whole:
            run(
                "rollout", count, steps, *rules, form, low, high, width, len(sizes) - 1, activation,
                on_device(tuple(sizes.tolist())), theta, noise, *places, act, params, rew, obs, slots, terminated,
                truncated, each, block=32,
            )  # fmt: skip
        else:
            money = cupy.empty(count)
            for t in range(steps):
                act_of(family)(policy, theta, obs[t], noise[t], params[t], act[t], work)
                run(
                    "step", count, t, *rules, act[t], *places, rew, obs, slots, terminated, truncated, each, money
                )  # fmt: skip
                _scaled(run, paid, money, terminated[t], truncated[t], rew[t])
                if seen[0] > 0:
                    moments.merge(obs[t + 1], *seen[1:])
                    moments.standardize(obs[t + 1], *seen[1:], seen[0], obs[t + 1])
        _gather(run, terminated, truncated, slots, each, finals, ended)
        sum_columns(finite, ended[1][2:])
        if seen[0] > 0:
            sum_columns(obs.reshape(-1, 1), ended[1][2:], add=True)

    return _rollout


def _scaled(run, paid, money, terminated, truncated, rew):
    """The rewards by their statistics, where there is a limit.   money (N,) float64, rew (N,)."""
    limit, gamma, running, count, mean, square = paid
    if limit > 0:
        run("discount", len(rew), gamma, money, running)
        moments.merge(running, count, mean, square)
        run("scale", len(rew), limit, money, count, square, terminated, truncated, running, rew)


def _gather(run, terminated, truncated, slots, each, finals, ended):
    """What is kept of episodes that ended, in the order in which they did."""
    (steps, count), (out, counts), (last_obs, last_at) = terminated.shape, ended, finals
    ends = (terminated | truncated).ravel().astype("int64").cumsum()
    cut = truncated.ravel().astype("int64").cumsum()
    run("gather_ends", steps * count, terminated, truncated, ends, each, out)
    run("gather_finals", count, steps, truncated, cut, slots, last_obs, last_at)
    counts[:1] = ends[-1:]
    counts[1:2] = cut[-1:]
