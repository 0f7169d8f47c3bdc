"""One update of TRPO obeys the trust region whatever the batch; whole runs repeat to the bit."""

import dataclasses

import numpy as np
import pytest
from cases import policies
from hypothesis import given
from hypothesis import strategies as st

from minipg import MLP, TRPO, Backend, GaussianPolicy, TRPOConfig
from minipg.algorithms.advantages import Samples, explained_variance, normalize
from minipg.algorithms.critic import Outcome
from minipg.algorithms.optimizers import StepInfo
from minipg.algorithms.trpo import update
from minipg.errors import MinipgError
from minipg.fisher import fisher_vector_product
from minipg.objective import policy_gradient


def samples(case, adv=None):
    adv = case.adv if adv is None else adv
    params = case.policy.forward(case.theta, case.obs).params
    return Samples(case.obs, case.act, adv, adv, np.zeros_like(adv), params)


CONFIG = TRPOConfig(damping=1e-3, cg_iters=20)


@given(policies(), st.sampled_from([1e-3, 1e-2, 0.1]))
def test_an_accepted_step_improves_and_stays_within_the_region_TR5_TR11(case, max_kl):
    config = dataclasses.replace(CONFIG, max_kl=max_kl)
    theta, info = update(case.policy, case.theta, samples(case), config)
    if info.status != "ok":
        assert theta is case.theta
        return
    old, new = (case.policy.forward(t, case.obs).params for t in (case.theta, theta))
    distribution, adv = case.policy.distribution, normalize(case.adv)
    kl = distribution.kl(old, new).mean()
    ratio = np.exp(distribution.log_prob(new, case.act) - distribution.log_prob(old, case.act))
    assert kl <= max_kl * (1 + 1e-9)
    np.testing.assert_allclose(info.kl, kl, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(info.improvement, (ratio * adv).mean() - adv.mean(), rtol=1e-6, atol=1e-12)
    assert info.improvement > 0


@given(policies(rows=st.integers(6, 12)), st.sampled_from([1e-4, 1e-2]), st.sampled_from([0.01, 0.1]))
def test_the_step_is_a_fraction_of_the_damped_natural_step_of_length_delta_TR7(case, max_kl, damping):
    config = dataclasses.replace(CONFIG, max_kl=max_kl, damping=damping, cg_iters=60)
    theta, info = update(case.policy, case.theta, samples(case), config)
    if info.status != "ok":
        return
    step = (theta - case.theta) / info.step_fraction
    tape = case.policy.forward(case.theta, case.obs)
    g = policy_gradient(case.policy, case.theta, tape, case.act, normalize(case.adv))
    Fx = fisher_vector_product(case.policy, case.theta, case.obs, step, damping)
    np.testing.assert_allclose(step @ Fx / 2, max_kl, rtol=1e-5)
    multiplier = g @ step / (2 * max_kl)  # g = λ (F + damping·I) Δ, and ΔᵀFΔ = 2δ
    np.testing.assert_allclose(multiplier * Fx, g, atol=1e-5 * np.abs(g).max())


@given(policies(rows=st.integers(6, 12)), st.floats(-3, 3))
def test_the_improvement_is_over_the_old_policy_whatever_the_mean_of_the_advantages_TR11(case, offset):
    config = dataclasses.replace(CONFIG, normalize_advantage=False)
    theta, info = update(case.policy, case.theta, samples(case, case.adv + offset), config)
    if info.status != "ok":
        return
    params = (case.policy.forward(t, case.obs).params for t in (theta, case.theta))
    logp, logp_old = (case.policy.distribution.log_prob(each, case.act) for each in params)
    gain = ((np.exp(logp - logp_old) - 1) * (case.adv + offset)).mean()
    np.testing.assert_allclose(info.improvement, gain, rtol=1e-6, atol=1e-12)
    assert info.improvement > 0


@given(policies())
def test_the_entropy_reported_is_the_mean_over_the_batch_of_the_old_policys_DI7(case):
    _, info = update(case.policy, case.theta, samples(case), CONFIG)
    each = case.policy.distribution.entropy(case.policy.forward(case.theta, case.obs).params)
    np.testing.assert_allclose(info.entropy, each.mean(), rtol=1e-12, atol=1e-14)


def test_no_step_takes_log_std_out_of_its_range():
    policy = GaussianPolicy(MLP((1, 1), "tanh", Backend("numpy", 1)), log_std_init=2.0)
    theta, obs = policy.init(np.random.default_rng(0), np.float64), np.ones((4, 1))
    act = np.array([[-30.0], [-1.0], [1.0], [30.0]])  # far out is better: σ would grow
    moved, info = update(policy, theta, Samples(obs, act, np.abs(act[:, 0]), theta, theta, theta), CONFIG)
    assert policy.layout.views(moved)["log_std"][0] == 2
    policy = dataclasses.replace(policy, log_std_init=1.9)
    free = policy.init(np.random.default_rng(0), np.float64)
    moved, info = update(policy, free, Samples(obs, act, np.abs(act[:, 0]), theta, theta, theta), CONFIG)
    assert info.status == "ok"
    assert 1.9 < policy.layout.views(moved)["log_std"][0] <= 2


def test_most_random_batches_give_a_step():
    accepted = []

    @given(policies(rows=st.integers(6, 12)))
    def count(case):
        status = update(case.policy, case.theta, samples(case), CONFIG)[1].status
        if status != "zero gradient":  # a single action, say
            accepted.append(status == "ok")

    count()
    assert len(accepted) > 20
    assert np.mean(accepted) > 0.9


@given(policies())
def test_equal_advantages_give_no_step_and_no_nan(case):
    theta, info = update(case.policy, case.theta, samples(case, np.full(len(case.obs), 0.7)), CONFIG)
    assert theta is case.theta
    assert (info.status, info.kl, info.step_fraction) == ("zero gradient", 0.0, 0.0)


@given(policies())
def test_a_nan_in_the_batch_leaves_the_parameters_as_they_were(case):
    adv = case.adv.copy()
    adv[0] = np.nan
    theta, info = update(case.policy, case.theta, samples(case, adv), CONFIG)
    assert theta is case.theta
    assert info.status == "gradient not finite"


@given(policies(), st.floats(0.1, 10), st.floats(-5, 5))
def test_normalized_advantages_make_scale_and_offset_of_rewards_irrelevant(case, scale, offset):
    config = dataclasses.replace(CONFIG, damping=0.1, cg_iters=5)  # few iterations: rounding is not amplified
    theta, _ = update(case.policy, case.theta, samples(case), config)
    other, _ = update(case.policy, case.theta, samples(case, scale * case.adv + offset), config)
    np.testing.assert_allclose(theta, other, rtol=1e-5, atol=1e-7)


@given(policies(rows=st.integers(8, 12)))
def test_the_fisher_product_on_a_subsample_still_keeps_the_region(case):
    _, info = update(case.policy, case.theta, samples(case), dataclasses.replace(CONFIG, fisher_subsample=3))
    assert info.kl <= CONFIG.max_kl


@pytest.mark.parametrize("adv", [np.array([3.0]), np.full(5, 1e-3, np.float32), np.full(7, 1e9, np.float32)])
def test_a_batch_of_one_or_of_equal_advantages_normalizes_to_zero(adv):
    assert not normalize(adv).any()


def test_normalized_advantages_have_mean_zero_and_deviation_one():
    adv = normalize(np.random.default_rng(0).normal(3, 5, size=100))
    np.testing.assert_allclose([adv.mean(), adv.std()], [0, 1], atol=1e-12)


def test_explained_variance_is_one_for_a_perfect_critic_up_to_a_constant_and_zero_for_a_constant():
    ret = np.random.default_rng(0).normal(2, 3, size=50)
    assert explained_variance(ret, ret) == 1
    np.testing.assert_allclose(explained_variance(ret - 5, ret), 1, atol=1e-12)
    np.testing.assert_allclose(explained_variance(np.full(50, 7.0), ret), 0, atol=1e-12)
    np.testing.assert_allclose(explained_variance(ret / 2, ret), 0.75, atol=1e-12)
    np.testing.assert_allclose(explained_variance(-ret, ret), -3, atol=1e-12)
    assert np.isnan(explained_variance(ret, np.ones(50)))


def learnt(env="CartPole-v1", steps=3000, **options):
    return TRPO(env, **{"seed": 3, "num_envs": 2, "n_steps": 512, **options}).learn(steps)


def identical(a, b):
    np.testing.assert_array_equal(a.theta, b.theta)
    for x, y in zip(a.value, b.value, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_the_same_seed_gives_the_same_bits_whatever_the_number_of_threads(env):
    one = learnt(env, threads=1, n_steps=600)
    for threads in (1, 2, 3):
        identical(one, learnt(env, threads=threads, n_steps=600))


def test_another_seed_gives_another_agent():
    assert (learnt(seed=3).theta != learnt(seed=4).theta).any()


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_predicting_between_updates_does_not_change_training_nor_training_what_is_predicted(env):
    options = {"env": env, "steps": 192, "n_steps": 32, "vf_epochs": 2, "hidden": (8,)}
    obs = learnt(**{**options, "steps": 1}).envs.observation_space.sample()

    def asked(agent):
        return [np.array(agent.predict(obs)[0]) for _ in range(20)]

    def start():
        return TRPO(env, seed=3, num_envs=2, n_steps=32, vf_epochs=2, hidden=(8,))

    quiet = start().learn(192)
    identical(quiet, start().learn(192, on_update=lambda agent, row: asked(agent) and None))
    quiet.theta = start().theta
    np.testing.assert_array_equal(asked(quiet), asked(start()))


def test_every_use_of_chance_has_a_stream_of_its_own():
    agent = TRPO("CartPole-v1", seed=3, num_envs=2, n_steps=32, hidden=(8,))
    # more shuffling draws more numbers, and no action changes
    other = TRPO("CartPole-v1", seed=3, num_envs=2, n_steps=32, hidden=(8,), vf_epochs=3)
    lengths, nothing = [], Outcome(StepInfo("ok", 0.0, 0.0))
    for learner in (agent, other):
        rows = []
        learner._update = lambda batch, progress, measure, rows=rows, learner=learner: (
            rows.append(batch.act.copy()), learner.streams.shuffling.random(learner.config.vf_epochs), nothing
        )[-1]  # fmt: skip
        learner.learn(256)
        lengths.append(np.concatenate(rows))
    np.testing.assert_array_equal(*lengths)
    draws = [stream.random(4).tolist() for stream in agent.streams[:3]]
    assert len({tuple(draw) for draw in draws}) == 3


def test_the_twins_learn_the_same_at_first():
    a, b = (learnt(backend=name, steps=1) for name in ("numba", "numpy"))
    np.testing.assert_allclose(a.theta, b.theta, atol=2e-3)


def test_cartpole_is_learnt():
    rows = []
    agent = TRPO("CartPole-v1", seed=0).learn(30_000, on_update=lambda agent, row: rows.append(row))
    assert agent.steps >= 30_000
    assert rows[-1]["mean_return"] > 100 > 50 > rows[0]["mean_return"]
    assert all(row["kl"] <= 0.01 for row in rows)


def test_the_lbfgs_critic_learns_too():
    rows = []
    agent = TRPO("CartPole-v1", seed=0, vf_optimizer="lbfgs", vf_epochs=20)
    agent.learn(15_000, on_update=lambda agent, row: rows.append(row))
    assert rows[-1]["mean_return"] > 1.5 * rows[0]["mean_return"]


def test_learning_goes_on_where_it_stopped():
    agent = learnt(steps=2048)
    steps, updates = agent.steps, agent.updates
    agent.learn(1024)
    assert (agent.steps, agent.updates) == (steps + 1024, updates + 1)


def test_a_callback_that_returns_false_ends_learning():
    agent = TRPO("CartPole-v1", num_envs=2, n_steps=16)
    agent.learn(10_000, on_update=lambda agent, row: row["update"] < 3)
    assert agent.updates == 3


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"max_kl": 0.0}, "max_kl: expected a finite number > 0, got 0.0"),
        ({"max_kl": float("nan")}, "max_kl"),
        ({"hidden": (0,)}, "hidden: expected layer widths"),
        ({"gamma": 1.5}, "gamma: expected a number from 0 to 1"),
        ({"n_steps": 0}, "n_steps: expected an integer from 1 to 2147483647"),
        ({"activation": "gelu"}, "activation: expected tanh or relu"),
        ({"max_kll": 0.1}, "unknown setting 'max_kll'; did you mean max_kl"),
        ({"preset": "CartPole"}, "unknown preset 'CartPole'; did you mean CartPole-v1"),
        ({"seed": -1}, "seed: expected an integer ≥ 0"),
        ({"config": TRPOConfig(), "max_kl": 0.1}, "either a whole config or single settings"),
    ],
)
def test_nonsense_settings_are_named(settings, message):
    with pytest.raises(MinipgError, match=message):
        TRPO("CartPole-v1", **settings)


def test_a_setting_wins_over_a_preset():
    agent = TRPO("CartPole-v1", damping=0.5)
    assert (agent.config.damping, agent.config.n_steps) == (0.5, 256)
    assert TRPO("CartPole-v1", preset="mujoco").config.cg_iters == 25
    assert TRPO("CartPole-v1", config=TRPOConfig()).config == TRPOConfig()


def test_the_backend_is_the_callers_choice():
    assert TRPO("CartPole-v1", backend="numpy", threads=1).actor.backend == Backend("numpy", 1)


def test_an_agents_policy_is_its_model_at_its_parameters():
    agent = learnt(steps=1)
    assert agent.policy.theta is agent.theta
    views = agent.policy.model.layout.views(agent.policy.theta)
    assert list(views) == ["W0", "b0", "W1", "b1", "W2", "b2"]
