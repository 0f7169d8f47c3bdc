"""Laws of whole policies: gradients, Fisher products, and the step inside the trust region."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.algorithms.surrogate_epochs import surrogate_gradient
from minipg.checks import Array
from minipg.conjugate_gradient import conjugate_gradient
from minipg.distribution import Distribution
from minipg.fisher import fisher_operator, fisher_vector_product
from minipg.gradient_check.numeric import second_derivative
from minipg.kernels.arguments import MASKED, Acted, SurrogateTerms
from minipg.line_search import line_search, step_scale
from minipg.objective import policy_gradient, surrogate_and_kl
from minipg.policy import MaskedPolicy, Policy, PolicyTape, policy_for
from minipg.theory.case import ROUNDING, Case, error_ratio, slope_error_ratio
from minipg.theory.distributions import FAMILIES, outcomes
from minipg.theory.networks import random_images

# a family, and whether σ of a Gaussian depends on the state, or the state says which choices are allowed
KINDS = [(family, False) for family in FAMILIES]
KINDS += [(family, True) for family in ("gaussian", "squashed", "categorical", "multicategorical")]


class Draw(NamedTuple):
    """A policy, θ, a direction in θ, and a batch: observations, actions, advantages, the forward pass."""

    policy: Policy
    theta: Array
    v: Array
    obs: Array
    act: Array
    adv: Array
    tape: PolicyTape


def draw(case: Case) -> Draw:
    """A small tanh policy of any kind on a random batch."""
    hidden = [case.count(5) for _ in range(case.rng.integers(3))]
    family, of_state = KINDS[case.rng.integers(len(KINDS))]
    distribution = FAMILIES[family](case.count(3), case.backend)
    sees_images = case.backend.name != "numba" and case.rng.integers(3) == 0  # compiled, all kernels take minutes
    if sees_images and family == "categorical" and not of_state:
        layers, images = random_images(case)
        policy = policy_for(distribution, (*layers, *hidden), images=images)
    else:
        policy = policy_of(distribution, of_state, (case.count(4), *hidden))
    theta, v = case.normal(policy.layout.size, scale=0.5), case.normal(policy.layout.size, scale=0.5)
    obs = observations(policy, case.normal(1 + case.count(11), policy.mlp.sizes[0]), case.rng)
    tape = policy.forward(theta, obs)
    noise = policy.distribution.noise(case.rng, (len(obs),), case.dtype)
    act = policy.distribution.sample(tape.params, noise)
    return Draw(policy, theta, v, obs, act, case.normal(len(obs)), tape)


def policy_of(distribution: Distribution, of_state: bool, layers: tuple[int, ...], activation: str = "tanh") -> Policy:
    """The policy of one of the KINDS. One with a mask has its inputs before those of `layers`."""
    masked = of_state and distribution.discrete
    inputs = layers[0] + masked * distribution.n_params
    layers = inputs, *layers[1:]
    return policy_for(distribution, layers, activation, state_dependent_std=of_state, masked=masked)


def observations(policy: Policy, obs: Array, rng: np.random.Generator) -> Array:
    """The rows of obs (B, O), with a random mask in front if the policy has one. It allows a choice everywhere."""
    if not isinstance(policy, MaskedPolicy):
        return obs
    obs, start = obs.copy(), 0
    for size in policy.distribution.sizes or (policy.distribution.size,):
        mask = rng.random((len(obs), size)) < 0.5
        mask[np.arange(len(obs)), rng.integers(size, size=len(obs))] = True
        obs[:, start : start + size] = mask
        start += size
    return obs


def largest(params: Array) -> float:
    """The largest |parameter| that is not that of a masked action."""
    return float(np.abs(np.where(params == MASKED, 0, params)).max())


def _jacobian(policy: Policy, theta: Array, obs: Array) -> Array:
    """J (B, D, P) in float64, a column for every unit direction."""
    theta = theta.astype(float)
    tape = policy.forward(theta, obs)
    return np.stack([policy.jvp(theta, tape, e) for e in np.eye(len(theta))], axis=-1)


def _size(params: Array) -> float:
    """A bound on how much a Gaussian of small σ amplifies rounding; logits amplify less."""
    return math.exp(4 * largest(params))


def amplification(distribution: Distribution, params: Array) -> float:
    """A bound on how much the score amplifies rounding of the parameters: 1/σ² for Gaussians, 1 for logits."""
    size = largest(params)
    narrow = 1.0 if distribution.discrete else math.exp(-2 * float(params[..., distribution.size :].min()))
    return (1 + size) ** 2 * max(1.0, narrow)


def act_samples_the_distribution_of_every_state(case: Case) -> float:
    """`acting` writes the parameters of the forward pass, and the actions that the same noise gives."""
    policy, theta, _, obs, act, _, tape = draw(case)
    distribution, params, acted = policy.distribution, np.empty_like(tape.params), np.empty_like(act)
    noise = distribution.noise(case.rng, (len(obs),), case.dtype)
    policy.acting(theta, len(obs))(obs, noise, params, acted)
    size = 1 + largest(tape.params)
    return max(
        error_ratio(case, params, tape.params, size * theta.size),
        error_ratio(case, acted, distribution.sample(params, noise)),
    )


def jvp_and_vjp_are_the_jacobian_of_the_parameters_and_its_transpose_TR9(case: Case) -> float:
    """J v = d/dt params(θ + t v); ⟨g, J v⟩ = ⟨Jᵀ g, v⟩."""
    policy, theta, v, obs, _, _, tape = draw(case)
    g = case.normal(*tape.params.shape)
    Jv, JTg = policy.jvp(theta, tape, v), policy.vjp(theta, tape, g)
    reach = (1 + np.abs(v).sum()) * (1 + np.abs(theta).max()) ** 2
    return max(
        slope_error_ratio(case, Jv, lambda x: policy.forward(x, obs).params, theta, v, reach),
        error_ratio(case, (g * Jv).sum(dtype=float), (JTg * v).sum(dtype=float), reach * np.abs(g).sum()),
    )


def the_fisher_product_is_the_explicit_matrix_times_v_TR9(case: Case) -> float:
    """F v + damping v = (1/B) Σ Jᵀ M J v + damping v."""
    policy, theta, v, obs, _, _, tape = draw(case)
    J, params = _jacobian(policy, theta, obs), tape.params.astype(float)
    MJv = policy.distribution.fisher_product(params, J @ v.astype(float))
    explicit = np.einsum("bdp,bd->p", J, MJv) / len(obs)
    terms = np.einsum("bdp,bd->p", np.abs(J), np.abs(MJv)).max() + np.abs(v).max() + _size(params)
    return error_ratio(case, fisher_vector_product(policy, theta, obs, v, 0.25), explicit + 0.25 * v, terms)


def the_fisher_product_is_the_hessian_of_the_mean_kl_DI8_TR6(case: Case) -> float:
    """vᵀF v = d²/dt² mean KL(π_θ‖π_{θ+tv})."""
    policy, theta, v, obs, _, _, _ = draw(case)
    v = v / np.linalg.norm(v)
    theta64, obs64 = theta.astype(float), obs.astype(float)
    old = policy.forward(theta64, obs64).params
    kl = lambda t: float(policy.distribution.kl(old, policy.forward(theta64 + t * v, obs64).params).mean())
    bend, error = second_derivative(kl)
    got = float(v @ fisher_vector_product(policy, theta, obs, v))
    return abs(got - bend) / (4 * error + ROUNDING * case.epsilon * (got + _size(old)))


def the_policy_gradient_is_the_gradient_of_the_surrogate_at_the_old_policy_IS3_PG9(case: Case) -> float:
    """⟨g, v⟩ = d/dt [L + c mean H](θ + t v) at the old θ, where L is the mean advantage and the KL is 0."""
    policy, theta, v, obs, act, adv, tape = draw(case)
    c = case.one_of(0.0, 0.5)
    terms = policy_gradient(policy, theta, tape, act, adv, c) * v
    theta64, obs64 = theta.astype(float), obs.astype(float)
    old, acted = policy.forward(theta64, obs64).params, act if act.dtype == np.int64 else act.astype(float)
    L = surrogate_and_kl(policy, obs64, acted, adv.astype(float), old)
    H = lambda x: policy.distribution.entropy(policy.forward(x, obs64).params).mean()
    amplified = amplification(policy.distribution, old) * (1 + np.abs(v).sum())
    size = np.abs(terms).sum() + amplified * (c + np.abs(adv).mean())
    value, kl = surrogate_and_kl(policy, obs, act, adv, tape.params)(theta)
    return max(
        slope_error_ratio(case, [terms.sum(dtype=float)], lambda x: L(x)[0] + c * H(x), theta, v, size),
        error_ratio(case, value, adv.mean(dtype=float), np.abs(adv).max()),
        error_ratio(case, kl, 0.0),
    )


def a_baseline_of_the_state_leaves_the_expected_gradient_unchanged_PG6(case: Case) -> float:
    """E_a[b(s) ∇log π(a|s)] = 0 in every state s."""
    policy, theta, _, obs, _, _, tape = draw(case)
    params, act, weight = outcomes(policy.distribution, tape.params[0])
    tape = policy.forward(theta, np.repeat(obs[:1], len(act), 0))
    b = case.normal(1)[0]
    g = policy_gradient(policy, theta, tape, act, (b * weight).astype(theta.dtype))
    return error_ratio(case, g, 0, _size(params) * (1 + np.abs(theta).max()) ** 2 * (1 + np.abs(obs).max()))


def conjugate_gradient_solves_the_damped_fisher_system_TR10(case: Case) -> float:
    """(F + damping I) x = g: the residual and the curvature xᵀ(F + damping I) x are those of the x returned."""
    policy, theta, v, _, _, _, tape = draw(case)
    product = fisher_operator(policy, theta, tape, 0.5)
    cg = conjugate_gradient(product, v, iterations=case.count(8))
    Ax, size = product(cg.x), np.linalg.norm(v) + np.linalg.norm(product(np.abs(cg.x)))
    falls = math.inf if cg.residual > 1.5 * np.linalg.norm(v) * math.sqrt(_size(tape.params)) else 0.0
    return max(
        falls,
        error_ratio(case, cg.residual, np.linalg.norm(v - Ax), size),
        error_ratio(case, cg.curvature, float(cg.x.astype(float) @ Ax), size * (1 + np.linalg.norm(cg.x))),
    )


def conjugate_gradient_is_the_best_of_its_krylov_space_TR10(case: Case) -> float:
    """After k products, x minimises ½ xᵀA x − gᵀx over the span of g, A g, …, Aᵏ⁻¹g."""
    policy, theta, g, _, _, _, tape = draw(case)
    product, k = fisher_operator(policy, theta, tape, 0.5), int(case.rng.integers(1, 5))
    A = np.stack([product(e) for e in np.eye(len(theta), dtype=theta.dtype)]).astype(float)
    g64, basis = g.astype(float), np.zeros((len(theta), 0))
    direction = g64
    for _ in range(min(k, len(theta))):
        basis = np.linalg.qr(np.column_stack([basis, direction]))[0]
        direction = A @ basis[:, -1]
    best = basis @ np.linalg.solve(basis.T @ A @ basis, basis.T @ g64)
    x = conjugate_gradient(product, g, iterations=k).x.astype(float)
    energy = lambda x: 0.5 * x @ A @ x - g64 @ x
    return error_ratio(case, energy(x), energy(best), (g64 @ g64) * np.linalg.cond(A))


def the_surrogate_and_the_kl_are_means_over_the_batch_IS3_TR5(case: Case) -> float:
    """L(θ′) = mean r Â, and the KL is mean KL(old‖θ′), at a θ′ other than the old one."""
    policy, theta, v, obs, act, adv, tape = draw(case)
    old, d, theta = tape.params, policy.distribution, theta + theta.dtype.type(0.2) * v
    value, kl = surrogate_and_kl(policy, obs, act, adv, old)(theta)
    new = policy.forward(theta, obs).params
    logp, logp_old, kls = d.log_prob(new, act).astype(float), d.log_prob(old, act).astype(float), d.kl(old, new)
    terms = np.exp(logp - logp_old) * adv
    size = np.abs(terms) * (1 + np.abs(logp) + np.abs(logp_old))
    kl_error = error_ratio(case, kl, kls.mean(dtype=float), kls.max())
    return max(error_ratio(case, value, terms.mean(), size.max()), kl_error)


def the_natural_step_spends_the_radius_of_the_quadratic_model_TR6_TR7(case: Case) -> float:
    """Δ = √(2δ/xᵀF x) x has ½ ΔᵀF Δ = δ."""
    policy, theta, v, _, _, _, tape = draw(case)
    product, delta = fisher_operator(policy, theta, tape, 0.5), case.one_of(1e-4, 1e-2, 1.0)
    cg = conjugate_gradient(product, v, iterations=8)
    step = theta.dtype.type(step_scale(cg.curvature, delta)) * cg.x
    return error_ratio(case, 0.5 * float(step.astype(float) @ product(step)), delta, delta * _size(tape.params))


def an_accepted_step_improves_within_the_region_and_a_refused_one_changes_nothing_TR11(case: Case) -> float:
    """L(θ′) − L(θ) > 0 and mean KL ≤ δ, or the result is the θ object that was passed."""
    policy, theta, _, obs, act, adv, tape = draw(case)
    L, delta, before = surrogate_and_kl(policy, obs, act, adv, tape.params), 0.01, float(adv.mean(dtype=float))

    def evaluate(x: Array) -> tuple[float, float]:
        value, kl = L(x)
        return value - before, kl

    step = policy_gradient(policy, theta, tape, act, adv) * case.one_of(1e-3, 1.0, -1.0, 1e3)
    found = line_search(
        evaluate, theta, step, max_kl=delta, expected=0.0, accept_ratio=0.0,
        backtrack_coeff=0.5, backtrack_iters=6, project=policy.project,
    )  # fmt: skip
    if not found.accepted:
        return 0.0 if found.theta is theta and found.kl == 0 else math.inf
    improvement, kl = evaluate(found.theta)
    return 0.0 if (improvement, kl) == (found.improvement, found.kl) and improvement > 0 and kl <= delta else math.inf


def the_surrogate_gradient_is_that_of_its_objective_PP1_PP2_PP3(case: Case) -> float:
    """⟨g, v⟩ = d/dt mean [min(r Â, clip(r) Â) − β KL(old‖θ + t v) + c H]; the KL returned with it is the mean KL."""
    policy, theta, v, obs, act, adv, tape = draw(case)
    old, d = tape.params, policy.distribution
    theta = theta + case.normal(len(theta), scale=0.1)
    clip_range, beta, c = case.one_of(math.inf, 0.1, 0.3), case.one_of(0.0, 2.0), case.one_of(0.0, 0.5)
    batch, terms = Acted(obs, act, adv.astype(theta.dtype), old), SurrogateTerms(clip_range, beta, c)
    g, kl, _ = surrogate_gradient(policy, theta, batch, terms, np.arange(len(obs)))
    old64, acted, slope = old.astype(float), act if act.dtype == np.int64 else act.astype(float), g * v

    def objective(x: Array) -> float:
        params = policy.forward(x, obs.astype(float)).params
        r = np.exp(d.log_prob(params, acted) - d.log_prob(old64, acted))
        gain = np.minimum(r * adv, np.clip(r, 1 - clip_range, 1 + clip_range) * adv)
        return float((gain - beta * d.kl(old64, params) + c * d.entropy(params)).mean())

    params = policy.forward(theta.astype(float), obs.astype(float)).params
    amplified = amplification(d, np.stack([old, params]))
    ratio = np.exp(d.log_prob(params, acted) - d.log_prob(old64, acted))
    size = np.abs(slope).sum() + amplified * (1 + np.abs(v).sum()) * (1 + (ratio * np.abs(adv)).mean())
    return max(
        slope_error_ratio(case, [slope.sum(dtype=float)], objective, theta, v, size),
        error_ratio(case, kl, d.kl(old64, params).mean(), amplified),
    )
