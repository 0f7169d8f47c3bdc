"""Values, advantages and critic targets of a rollout."""

from minipg.kernels.reference import mlp, returns
from minipg.kernels.reference._namespace import namespace


def values(critic, theta, obs, value, work):
    """V(s).   critic: a network, theta (P,), obs (B, O) → value (B,).   work (work_size,)."""
    mlp.forward(theta, critic, obs, value[:, None], mlp._new_hidden(critic, theta, obs))


def estimate(critic, theta, steps, start, gamma, gae_lambda, value, adv, ret, work):
    """V(s), and by GAE Â and the critic's targets Â + V  (PG-12, AC-1).

    critic: a network; theta (P,); steps: T steps of N environments, K observations that ended truncated episodes
    → value (T·N + N + K,): V of every row, of the N observations after the last rows, and of those K; adv, ret (T, N).
    value[:start] has been computed already.   work (work_size,).
    """
    rows, envs = steps.rew.size, len(steps.last_obs)
    values(critic, theta, steps.obs.reshape(rows, -1)[start:], value[start:rows], work)
    values(critic, theta, steps.last_obs, value[rows : rows + envs], work)
    values(critic, theta, steps.final_obs, value[rows + envs :], work)
    ends = steps.terminated, steps.cut, steps.final_at
    returns.advantages(value, steps.rew, *ends, gamma, gae_lambda, adv, ret)


def normalize(adv, out):
    """(Â − mean)/std. Advantages that are all equal become zeros, not NaN.   (B,) → (B,)."""
    xp, centred = namespace(adv), _centred(adv)
    deviation = xp.sqrt(xp.square(centred).mean())
    # a deviation within rounding error counts as 0
    negligible = deviation <= 4 * float(xp.finfo(adv.dtype).eps) * xp.abs(adv).max()
    out[...] = centred / xp.where(negligible, xp.inf, deviation)


def explained_variance(value, ret, out):
    """1 − Var(ret − V)/Var(ret) → out (1,): 1 for a perfect critic, 0 for a constant one, NaN where ret is constant.

    value, ret (B,).
    """
    xp = namespace(ret)
    left, spread = (xp.square(_centred(x)).mean() for x in (ret.astype(float) - value, ret))
    out[...] = xp.where(spread > 0, 1 - left / xp.where(spread > 0, spread, 1), xp.nan)


def _centred(x):
    """x − mean x in float64: exactly 0 if all entries are equal."""
    x = x.astype(float)
    x = x - x[0]
    return x - x.mean()


def work_size(sizes, n_params, rows):
    """The length of `work`: 0, because NumPy allocates what it needs."""
    return 0
