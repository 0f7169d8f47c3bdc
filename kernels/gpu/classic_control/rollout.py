"""A whole rollout of a policy and environments on a device (rollout.cu).

One launch computes all steps if every layer fits in a thread and no statistics of all environments are needed. Else a
step is the forward pass of the policy, one launch for the environments, and the statistics.
"""

from functools import cache

import cupy
from minipg.kernels.gpu import moments
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._cuda import Source
from minipg.kernels.gpu._families import name_of, on_device, row_kernels
from minipg.kernels.gpu._inherit import kernels
from minipg.kernels.gpu.classic_control.batch import files_of

WIDEST = 256  # units of a layer that fits in a thread


@cache
def source_of(problem, family, width):
    """The kernels of that problem under policies of that family, for layers of at most `width` units."""
    (files, defines), rows = files_of(problem), row_kernels(family)
    return Source(
        *files, *rows.files, "activation.cuh", "classic_control/rollout.cu",
        text=rows.text, exact=True, WIDTH=str(width), **defines, **rows.defines,
    )  # fmt: skip


def rollout(problem, policy, theta, noise, bound, env_state, standardize, scale, out):
    """T steps of N environments under π_θ → out, a `Rollout`; `env_state`, an `EnvState`, is changed.

    problem: its file; theta (P,), noise (T, N, …) for `sample`. Actions are clipped to ±bound or, of a squashed
    Gaussian, scaled to it. standardize, scale: as in the compiled twin, their statistics on the device.
    """
    (steps, envs), sizes, family = out.rew.shape, policy.network.sizes, name_of(policy.family)
    widest = max(int(sizes.max()), out.params.shape[2])
    in_one_launch = widest <= WIDEST and standardize.limit == 0 and scale.limit == 0
    # powers of 2, so that few sources are compiled
    run = source_of(problem, family, max(16, 1 << (widest - 1).bit_length()) if in_one_launch else 16)
    cuts, finite, ended = cupy.zeros(envs, "int64"), cupy.zeros(envs), cupy.empty((steps * envs, 2))
    finals = cupy.empty((steps // env_state.time_limit + 1, *env_state.obs.shape), out.obs.dtype)
    time_limit, seed, env, elapsed, episode, obs, returns, lengths = env_state
    state = env, elapsed, episode, returns, lengths, cuts, finite, obs
    rules = time_limit, seed, bound, family == "squashed"
    if in_one_launch:
        run(
            "rollout", envs, steps, *rules, policy.form, *policy.log_std_range, out.params.shape[2], len(sizes) - 1,
            policy.network.activation, on_device(tuple(sizes.tolist())), theta, noise, *state, out.act, out.params,
            out.rew, out.obs, finals, out.terminated, out.truncated, ended, block=32,
        )  # fmt: skip
    else:
        act, raw_rew = kernels("act").act, cupy.empty(envs)
        for t in range(steps):
            act(policy, theta, out.obs[t], noise[t], out.params[t], out.act[t], None)
            run(
                "step", envs, t, *rules, out.act[t], *state, out.rew, out.obs, finals, out.terminated, out.truncated,
                ended, raw_rew,
            )  # fmt: skip
            if scale.limit > 0:
                _scale(run, scale, raw_rew, out.terminated[t], out.truncated[t], out.rew[t])
            if standardize.limit > 0:
                limit, *statistics = standardize
                moments.merge(out.obs[t + 1], *statistics)
                moments.standardize(out.obs[t + 1], *statistics, limit, out.obs[t + 1])
    _gather(run, finals, ended, out)
    sum_columns(finite, out.counts[2:])
    if standardize.limit > 0:
        sum_columns(out.obs.reshape(-1, 1), out.counts[2:], add=True)


def _scale(run, scale, raw_rew, terminated, truncated, rew):
    """The rewards of a step by their statistics.   raw_rew (N,) float64 → rew (N,)."""
    run("discount", len(rew), scale.gamma, raw_rew, scale.discounted)
    moments.merge(scale.discounted, scale.count, scale.mean, scale.square)
    run(
        "scale", len(rew), scale.limit, raw_rew, scale.count, scale.square, terminated, truncated, scale.discounted, rew
    )


def _gather(run, finals, ended, out):
    """The episodes that ended, and the last observations of truncated ones, in order."""
    steps, envs = out.rew.shape
    ends = (out.terminated | out.truncated).ravel().astype("int64").cumsum()
    cuts = out.truncated.ravel().astype("int64").cumsum()
    run("gather_ends", steps * envs, out.terminated, out.truncated, ends, ended, out.episodes)
    run("gather_finals", envs, steps, out.truncated, cuts, finals, out.final_obs, out.final_at)
    out.counts[:1] = ends[-1:]
    out.counts[1:2] = cuts[-1:]
