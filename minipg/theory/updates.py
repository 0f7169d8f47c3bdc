"""Laws of the kernels that an update calls: advantages, A2C's steps, and the epochs on a surrogate."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.surrogate import surrogate_gradient
from minipg.checks import Array
from minipg.kernels.arguments import Acted, Adam, Epochs, RMSProp, Steps, SurrogateTerms
from minipg.network import MLP
from minipg.objective import surrogate_value
from minipg.policy import Policy
from minipg.returns import advantages
from minipg.runtime.backend import Backend
from minipg.theory.case import Case, Law, apart
from minipg.theory.policies import Draw, _amplified, _draw
from minipg.value import ValueNetwork


def _double(array: Array) -> Array:
    """Real numbers in float64; actions that are indices, and flags, as they are."""
    return array.astype(float) if array.dtype.kind == "f" else array


def _critic(case: Case) -> ValueNetwork:
    return ValueNetwork(MLP((case.count(4), *[case.count(5)] * case.count(2), 1), "tanh", case.backend))


def _reach(theta: Array, obs: Array) -> float:
    """By how much rounding grows on its way through a network and back."""
    return float((1 + np.abs(theta).sum() * (1 + np.abs(obs).max())) ** 2)


# ---- advantages ----------------------------------------------------------------------------------------------------


def normalized_advantages_have_mean_0_and_variance_1(case: Case) -> float:
    """(Â − mean)/std, and zeros where all are equal."""
    kernels, rows = case.backend.kernels("advantages"), 1 + case.count(11)
    adv = case.normal(rows, scale=case.one_of(1e-3, 1.0, 1e3)) + case.dtype(case.one_of(0.0, 5.0))
    equal, out, zeros = np.full(case.one_of(1, rows), case.normal(1)[0]), np.empty_like(adv), None
    zeros = np.ones_like(equal)
    kernels.normalize(adv, out)
    kernels.normalize(equal, zeros)
    if zeros.any():
        return math.inf
    exact = adv.astype(float)
    size = 1 + np.abs(exact).max() / exact.std() * (1 + np.abs(exact - exact.mean()).max() / exact.std())
    normalized = out.astype(float)
    return max(
        apart(case, out, (exact - exact.mean()) / exact.std(), size),
        apart(case, [normalized.mean(), normalized.var()], [0, 1], size),
    )


def the_explained_variance_is_what_is_left_over_what_there_was(case: Case) -> float:
    """1 − Var(ret − V)/Var(ret): 1 for V = ret + c, 0 for a constant V, NaN where ret is constant."""
    kernels, rows = case.backend.kernels("advantages"), 1 + case.count(11)
    ret, value, constant = case.normal(rows) + case.dtype(3), case.normal(rows), np.full(rows, case.normal(1)[0])

    def explained(v: Array, r: Array) -> float:
        out = np.empty(1)
        kernels.explained_variance(v, r, out)
        return float(out[0])

    if not math.isnan(explained(value, constant)):
        return math.inf
    spread, left = ret.astype(float).var(), (ret.astype(float) - value).var()
    size = 1 + (np.abs(ret).max() + np.abs(value).max() + 1) ** 2 / spread
    return max(
        apart(case, explained(value, ret), 1 - left / spread, size),
        apart(case, explained(ret + case.dtype(1), ret), 1, size),
        apart(case, explained(constant, ret), 0, size),
    )


class Experience(NamedTuple):
    """A critic and its θ, steps of environments, γ, λ, and how many values are there already."""

    critic: ValueNetwork
    theta: Array
    steps: Steps
    gamma: float
    gae_lambda: float
    start: int


def experience(case: Case) -> Experience:
    """T steps of N environments, some of which end, by themselves or cut."""
    critic, shape = _critic(case), (case.count(12), case.count(3))
    theta, inputs = case.normal(critic.mlp.layout.size), critic.mlp.sizes[0]
    end = case.rng.choice(3, size=shape, p=[0.7, 0.15, 0.15])
    at = np.flatnonzero(end == 2)
    steps = Steps(
        case.normal(*shape, inputs), case.normal(shape[1], inputs), case.normal(len(at), inputs), at,
        case.normal(*shape), end == 1, end == 2,
    )  # fmt: skip
    gamma, gae_lambda = case.one_of(0.0, 0.5, 0.97, 1.0), case.one_of(0.0, 0.5, 0.97, 1.0)
    return Experience(critic, theta, steps, gamma, gae_lambda, int(case.rng.integers(end.size + 1)))


def estimated(backend: Backend, dtype: Any, made: Experience, known: Array) -> list[Array]:
    """V, Â and targets of a batch by `advantages.estimate`; known (start,) values are there already."""
    kernels, theta, size = backend.kernels("advantages"), made.theta.astype(dtype), made.steps.rew.size
    steps = Steps(*(part.astype(dtype) if part.dtype.kind == "f" else part for part in made.steps))
    value: Array = np.empty(size + steps.rew.shape[1] + len(steps.final_obs), dtype)
    value[: made.start] = known
    adv, ret = np.empty_like(steps.rew), np.empty_like(steps.rew)
    work: Array = np.empty(kernels.work_size(made.critic.mlp.sizes, len(theta), size), dtype)
    kernels.estimate(
        made.critic.mlp.spec, theta, steps, made.start, made.gamma, made.gae_lambda, value, adv, ret, work
    )  # fmt: skip
    return [value, adv, ret]


def advantages_are_gae_over_the_critics_values_PG12_AC1(case: Case) -> float:
    """V of every row that is not known yet, of what follows the last ones and of episodes' ends; then Â, and Â + V."""
    made = experience(case)
    known = case.normal(made.start)
    value, adv, ret = estimated(case.backend, case.dtype, made, known)
    steps = Steps(*map(_double, made.steps))
    everything = np.concatenate([steps.obs.reshape(steps.rew.size, -1), steps.last_obs, steps.final_obs])
    exact = made.critic.predict(made.theta.astype(float), everything)
    exact[: made.start] = known
    ends = steps.terminated, steps.cut, steps.final_at
    expected = advantages(exact, steps.rew, *ends, made.gamma, made.gae_lambda, Backend("numpy", 1))
    size = _reach(made.theta, everything) * (1 + len(adv) * (np.abs(exact).max() + np.abs(steps.rew).max()))
    return max(apart(case, got, want, size) for got, want in zip((value, adv, ret), (exact, *expected), strict=True))


def values_are_the_networks_outputs(case: Case) -> float:
    """V(s), of more rows than a kernel takes at a time too."""
    critic, kernels = _critic(case), case.backend.kernels("advantages")
    theta, obs = case.normal(critic.mlp.layout.size), case.normal(case.one_of(1, 9, 700), critic.mlp.sizes[0])
    value: Array = np.empty(len(obs), case.dtype)
    work: Array = np.empty(kernels.work_size(critic.mlp.sizes, len(theta), len(obs)), case.dtype)
    kernels.values(critic.mlp.spec, theta, obs, value, work)
    return apart(case, value, critic.predict(theta.astype(float), obs.astype(float)), _reach(theta, obs))


# ---- A2C's steps ---------------------------------------------------------------------------------------------------


def _rmsprop(theta: Array, second: Array, g: Array, settings: RMSProp, max_norm: float) -> tuple[Array, Array]:
    """θ + α g/√(s + ε) and s, of the gradient shortened to `max_norm`, in float64."""
    g = g * min(1.0, max_norm / max(np.linalg.norm(g), 1e-300))
    s = settings.decay * second.astype(float) + (1 - settings.decay) * g * g
    return theta.astype(float) + settings.learning_rate * g / np.sqrt(s + settings.epsilon), s


class PolicyStep(NamedTuple):
    """A policy's batch and the settings of one step."""

    drawn: Draw
    ent_coef: float
    normalizes: bool
    rmsprop: RMSProp
    max_norm: float
    second: Array


def policy_step(case: Case) -> PolicyStep:
    """Settings of every kind on a random batch."""
    drawn = _draw(case)
    return PolicyStep(
        drawn, case.one_of(0.0, 0.5), case.one_of(False, True), RMSProp(0.1, 0.9, case.one_of(0.1, 1.0)),
        case.one_of(math.inf, 0.1), (case.normal(len(drawn.theta)) ** 2).astype(case.dtype),
    )  # fmt: skip


def stepped(policy: Policy, dtype: Any, made: PolicyStep) -> list[Array]:
    """θ, the running squares and the stats after `actor_critic.policy_step`."""
    kernels, (_, theta, _, obs, act, adv, tape) = policy.backend.kernels("actor_critic"), made.drawn
    acted = Acted(
        *(array.astype(dtype) if array.dtype.kind == "f" else array for array in (obs, act, adv, tape.params))
    )
    new, second, stats = theta.astype(dtype), made.second.astype(dtype), np.empty(3)
    work: Array = np.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(obs)), dtype)
    kernels.policy_step(
        policy.spec, acted, made.ent_coef, made.normalizes, made.rmsprop, made.max_norm, new, second, stats, work
    )
    return [new, second, stats]


def a_policy_step_is_rmsprop_along_the_clipped_gradient_PG9_AC3(case: Case) -> float:
    """g = mean [Â ∇log π + c ∇H], Â normalised or not, and shortened; log σ stays in its range."""
    made = policy_step(case)
    policy, theta, _, obs, act, adv, _ = made.drawn
    theta64, tape = theta.astype(float), policy.forward(theta.astype(float), obs.astype(float))
    a, d, params = adv.astype(float), policy.distribution, tape.params
    if made.normalizes:
        a = (a - a.mean()) / a.std()
    outer = a[:, None] * d.score(params, _double(act)) + made.ent_coef * d.entropy_gradient(params)
    g = policy.vjp(theta64, tape, outer) / len(obs)
    expected, second = _rmsprop(theta, made.second, g, made.rmsprop, made.max_norm)
    new, square, (norm, entropy, finite) = stepped(policy, case.dtype, made)
    size = _amplified(d, params) * _reach(theta, obs) * (1 + np.abs(a).max()) * (1 + np.abs(adv).max() / adv.std())
    return max(
        apart(case, new, policy.project(expected), size),
        apart(case, square, second, size * (1 + np.abs(g).max())),
        apart(case, norm, np.linalg.norm(g), size),
        apart(case, entropy, d.entropy(params).mean(), size),
        0.0 if finite == 1 else math.inf,
    )


def a_critic_step_is_rmsprop_down_the_mean_squared_error_AC1_AC3(case: Case) -> float:
    """θ − α ĝ/√(s + ε), g = ∇ mean (V − target)², shortened; the loss is that before the step."""
    critic, kernels, settings = _critic(case), case.backend.kernels("actor_critic"), RMSProp(0.1, 0.9, 0.1)
    theta, obs, max_norm = case.normal(critic.mlp.layout.size), case.normal(case.count(9), critic.mlp.sizes[0]), 0.5
    target, second = case.normal(len(obs)), (case.normal(len(theta)) ** 2).astype(case.dtype)
    max_norm = case.one_of(math.inf, 0.5)
    loss, g = critic.loss_and_gradient(theta.astype(float), obs.astype(float), target.astype(float))
    expected, s = _rmsprop(theta, second, -g, settings, max_norm)
    new, square, stats = theta.copy(), second.copy(), np.empty(2)
    work: Array = np.empty(kernels.work_size(critic.mlp.sizes, len(theta), len(obs)), case.dtype)
    kernels.critic_step(critic.mlp.spec, obs, target, settings, max_norm, new, square, stats, work)
    size = _reach(theta, obs) * (1 + np.abs(target).max()) ** 2
    return max(
        apart(case, new, expected, size),
        apart(case, square, s, size * (1 + np.abs(g).max())),
        apart(case, stats[0], loss, size),
        0.0 if stats[1] == 1 else math.inf,
    )


# ---- the epochs on a surrogate -------------------------------------------------------------------------------------


class Ascent(NamedTuple):
    """A policy's batch in which another θ acted, and the settings of the epochs."""

    drawn: Draw
    theta: Array
    terms: SurrogateTerms
    normalizes: bool
    epochs: Epochs
    max_kl: float
    order: Array
    step: int
    first: Array
    second: Array


def ascent(case: Case) -> Ascent:
    """Settings of every kind on a random batch, Adam in the midst of its work."""
    drawn = _draw(case)
    rows, size = len(drawn.obs), len(drawn.theta)
    return Ascent(
        drawn, drawn.theta + case.normal(size, scale=0.1),
        SurrogateTerms(case.one_of(math.inf, 0.1, 0.3), case.one_of(0.0, 2.0), case.one_of(0.0, 0.5)),
        case.one_of(False, True),
        Epochs(case.count(9), Adam(0.05, 0.8, 0.9, 0.1), case.one_of(math.inf, 0.1)),
        case.one_of(math.inf, math.inf, 0.02, 0.1),
        np.stack([case.rng.permutation(rows) for _ in range(2)]), int(case.rng.integers(5)),
        case.normal(size, scale=0.1), (case.normal(size) ** 2).astype(case.dtype),
    )  # fmt: skip


def ascended(policy: Policy, dtype: Any, made: Ascent) -> list[Array]:
    """θ, Adam's moments and the stats after `surrogate_epochs.ascend`."""
    kernels, (_, _, _, obs, act, adv, tape) = policy.backend.kernels("surrogate_epochs"), made.drawn
    acted = Acted(
        *(array.astype(dtype) if array.dtype.kind == "f" else array for array in (obs, act, adv, tape.params))
    )
    theta, first, second = (array.astype(dtype) for array in (made.theta, made.first, made.second))
    size, stats = made.epochs.minibatch_size, np.empty(6)
    work: Array = np.empty(kernels.work_size(policy.mlp.sizes, len(theta), len(obs), size), dtype)
    kernels.ascend(
        policy.spec, acted, made.terms, made.normalizes, made.epochs, made.max_kl, made.order, made.step,
        theta, first, second, stats, np.empty((size, *act.shape[1:]), acted.act.dtype), work,
    )  # fmt: skip
    return [theta, first, second, stats]


def the_epochs_are_adam_on_the_surrogate_of_every_minibatch_PP1_PP2_PP3_AC3(case: Case) -> float:
    """The steps written out; they end before one where a minibatch's mean KL exceeds its limit.

    What is said of the new θ are means over all rows.
    """
    made = ascent(case)
    policy, _, _, obs, act, adv, tape = made.drawn
    d, (rate, b1, b2, epsilon), limit = policy.distribution, made.epochs.adam, made.epochs.max_grad_norm
    a, old, choices = adv.astype(float), tape.params.astype(float), _double(act)
    acted = Acted(obs.astype(float), choices, (a - a.mean()) / a.std() if made.normalizes else a, old)
    x, m, s, taken, beyond, steepest, kls = *map(_double, (made.theta, made.first, made.second)), 0, 0.0, 0.0, [0.0]
    for some in (e[k : k + made.epochs.minibatch_size] for e in made.order
                 for k in range(0, len(obs), made.epochs.minibatch_size)):  # fmt: skip
        g, kl, share = surrogate_gradient(policy, x, acted, made.terms, some)
        kls.append(kl)
        if kl > made.max_kl:
            break
        taken, beyond, steepest = taken + 1, beyond + share, max(steepest, float(np.abs(g).max()))
        g = g * min(1.0, limit / max(np.linalg.norm(g), 1e-300))
        m, s, step = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g * g, made.step + taken
        x = policy.project(x + rate * m / (1 - b1**step) / (np.sqrt(s / (1 - b2**step)) + epsilon))
    after = surrogate_value(policy, x, acted, d.log_prob(old, choices))
    theta, first, second, stats = ascended(policy, case.dtype, made)
    params = np.stack([old, policy.forward(x, acted.obs).params])
    size = _amplified(d, params) * _reach(made.theta, obs) * (1 + np.abs(a).max() / min(a.std(), 1)) * (1 + steepest)
    return max(
        math.inf if stats[0] != taken or stats[5] != 1 else 0.0,
        apart(case, stats[1], beyond / max(taken, 1)),
        apart(case, stats[2:5], after, size * (1 + np.abs(after).max())),
        apart(case, theta, x, size), apart(case, first, m, size), apart(case, second, s, size * (1 + steepest)),
    )  # fmt: skip


# ---- numbers that are not finite -----------------------------------------------------------------------------------


def a_number_that_is_not_finite_is_found_wherever_it_is(case: Case) -> float:
    """True of finite numbers, however large; False if one of them is NaN or ±∞."""
    array, kernels = case.normal(case.count(12)), case.backend.kernels("optimizer")
    array[case.rng.integers(len(array))] = np.finfo(case.dtype).max
    sound = bool(kernels.is_finite(array))
    array[case.rng.integers(len(array))] = case.one_of(np.nan, np.inf, -np.inf)
    return 0.0 if sound and not kernels.is_finite(array) else math.inf


def an_update_that_is_not_finite_says_so_AC3(case: Case) -> float:
    """Whether it is a number that comes in or a running square: the last of `stats` is 0."""
    bad, step, epochs = case.one_of(np.nan, np.inf), policy_step(case), ascent(case)
    if case.one_of(True, False):
        step.drawn.adv[0] = epochs.drawn.adv[0] = bad
    else:
        step.second[-1] = epochs.second[-1] = bad
    epochs = epochs._replace(max_kl=math.inf)
    with np.errstate(all="ignore"):
        of_step, of_epochs = (
            stepped(step.drawn.policy, case.dtype, step),
            ascended(epochs.drawn.policy, case.dtype, epochs),
        )
    return 0.0 if of_step[-1][2] == of_epochs[-1][5] == 0 else math.inf


LAWS: tuple[Law, ...] = (
    normalized_advantages_have_mean_0_and_variance_1,
    the_explained_variance_is_what_is_left_over_what_there_was,
    values_are_the_networks_outputs,
    advantages_are_gae_over_the_critics_values_PG12_AC1,
    a_policy_step_is_rmsprop_along_the_clipped_gradient_PG9_AC3,
    a_critic_step_is_rmsprop_down_the_mean_squared_error_AC1_AC3,
    the_epochs_are_adam_on_the_surrogate_of_every_minibatch_PP1_PP2_PP3_AC3,
    a_number_that_is_not_finite_is_found_wherever_it_is,
    an_update_that_is_not_finite_says_so_AC3,
)
