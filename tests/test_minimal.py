"""examples/minimal: each file is short, imports NumPy and Gymnasium alone, and computes what the library computes."""

import ast
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from minipg.kernels.arguments import SurrogateTerms

from minipg import MLP, Backend, CategoricalPolicy
from minipg.algorithms import a2c, ddpg, npg, ppo, reinforce, td3, trpo
from minipg.algorithms.advantages import Samples
from minipg.algorithms.off_policy import OffPolicyState
from minipg.algorithms.optimizers import AdamState, new_adam
from minipg.algorithms.surrogate_epochs import surrogate_gradient
from minipg.conjugate_gradient import conjugate_gradient
from minipg.deterministic import DeterministicPolicy, deterministic_policy_gradient
from minipg.gradient_check import GradientError, check_gradient
from minipg.q_value import CriticState, QNetwork
from minipg.returns import discounted_returns, gae, td_errors
from minipg.rollout.replay import Transitions
from minipg.value import ValueNetwork, ValueState

FOLDER = Path(__file__).parent.parent / "examples/minimal"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))
ALGORITHMS = [name for name in FILES if name != "gradient_check"]
ON_POLICY = ["a2c", "npg", "ppo", "trpo"]
OFF_POLICY = ["ddpg", "td3"]
HOST = Backend("numpy", 1)


def load(name):
    spec = importlib.util.spec_from_file_location(f"minimal_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


def equal(one, other):
    assert one.dtype == np.float64
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * max(1.0, np.abs(other).max()))


def test_there_is_a_file_for_each_algorithm_of_the_book():
    assert FILES == ["a2c", "ddpg", "gradient_check", "npg", "ppo", "reinforce", "td3", "trpo"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_short_and_imports_numpy_and_gymnasium_alone(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= (120 if name == "gradient_check" else 150)
    nodes = list(ast.walk(ast.parse(text)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {found.partition(".")[0] for found in imported} - set(sys.stdlib_module_names) <= {"numpy", "gymnasium"}
    assert f"minipg/algorithms/{name}.py" in text or name == "gradient_check"


# the network


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_network_and_its_derivatives_are_those_of_the_library(name):
    file, rng, sizes = load(name), np.random.default_rng(0), (3, 5, 4, 2)
    mlp = MLP(sizes, "relu" if name in OFF_POLICY else "tanh", HOST)
    theta, v = rng.normal(size=(2, mlp.layout.size))
    obs, g = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    assert file.init(rng, sizes).shape == theta.shape
    xs, tape = file.forward(sizes, theta, obs), mlp.forward(theta, obs)
    equal(xs[-1], tape.out)
    if name in OFF_POLICY:
        gradient, in_obs = file.vjp(sizes, theta, xs, g)
        equal(in_obs, mlp.vjp_obs(theta, tape, g))
    else:
        gradient = file.vjp(sizes, theta, xs, g)
    equal(gradient, mlp.vjp(theta, tape, g))
    if hasattr(file, "jvp"):
        equal(file.jvp(sizes, theta, xs, v), mlp.jvp(theta, tape, v))


# returns and advantages


def steps(rng):
    """Rewards, two sets of values, terminations and truncations, (T, N) each; never both in a step."""
    rew, value, next_value = rng.normal(size=(3, 40, 3))
    ends = rng.integers(6, size=rew.shape)
    return rew, value, next_value, ends == 0, ends == 1


@pytest.mark.parametrize("name", ["npg", "ppo", "trpo"])
def test_advantages_are_those_of_the_library_PG12(name):
    file, (rew, value, next_value, terminated, truncated) = load(name), steps(np.random.default_rng(1))
    delta = rew + file.GAMMA * ~terminated * next_value - value  # as in `main`
    equal(delta, td_errors(rew, value, next_value, terminated, file.GAMMA, HOST))
    expected = gae(delta, terminated, truncated, file.GAMMA, file.LAMBDA, HOST)
    equal(file.gae(delta, terminated | truncated), expected)


def test_k_step_returns_are_those_of_the_library_PG11():
    file, (rew, _, next_value, terminated, truncated) = load("a2c"), steps(np.random.default_rng(2))
    expected = discounted_returns(rew, next_value, terminated, truncated, file.GAMMA, HOST)
    equal(file.k_step_returns(rew, next_value, terminated, terminated | truncated), expected)


def test_rewards_to_go_are_those_of_the_library_PG7():
    file, rew = load("reinforce"), np.random.default_rng(3).normal(size=(30, 1))
    none = np.zeros(rew.shape, bool)
    equal(file.rewards_to_go(rew[:, 0]), discounted_returns(rew, 0 * rew, none, none, file.GAMMA, HOST)[:, 0])


# the updates with a stochastic policy


def case(file, seed, rows=100):
    """A policy and a critic of the file's sizes, θ and θ_v, and a batch of the policy's own actions; all float64."""
    rng, sizes = np.random.default_rng(seed), getattr(file, "ACTOR", None) or file.SIZES
    policy, critic = CategoricalPolicy(MLP(sizes, "tanh", HOST)), MLP((*sizes[:-1], 1), "tanh", HOST)
    theta, theta_v = (0.3 * rng.normal(size=mlp.layout.size) for mlp in (policy, critic))
    obs, adv, ret = rng.normal(size=(rows, sizes[0])), rng.normal(size=rows), 10 * rng.normal(size=rows)
    params = policy.forward(theta, obs).params
    act = policy.distribution.sample(params, policy.distribution.noise(rng, (rows,), np.float64))
    return policy, ValueNetwork(critic), theta, theta_v, Samples(obs, act, adv, ret, 0 * ret, params)


def value_state(theta):
    return ValueState(theta, 0 * theta, 0 * theta, 0)


@pytest.mark.parametrize("seed", range(3))
def test_reinforce_makes_the_steps_of_the_library(seed):
    file = load("reinforce")
    policy, _, theta, _, samples = case(file, seed)
    config = reinforce.REINFORCEConfig(baseline="average", learning_rate=file.RATE)
    learner, expected, state = (theta, 0 * theta, 0 * theta, 1), theta, new_adam(theta)
    for _ in range(3):
        learner = file.update(*learner, samples.obs, samples.act, samples.ret)
        centred = samples._replace(adv=samples.ret - samples.ret.mean())
        expected, state, _ = reinforce.update(policy, expected, state, centred, config)
        equal(learner[0], expected)


@pytest.mark.parametrize("seed", range(3))
def test_a2c_makes_the_steps_of_the_library(seed):
    file = load("a2c")
    policy, critic, theta, theta_v, samples = case(file, seed)
    config = a2c.A2CConfig(
        learning_rate=file.RATE, vf_learning_rate=file.VF_RATE, rms_decay=file.DECAY, rms_epsilon=file.EPSILON,
        max_grad_norm=file.MAX_NORM,
    )  # fmt: skip
    mine, mine_v = (theta, 0 * theta), (theta_v, 0 * theta_v)
    state, state_v = a2c.A2CState(0 * theta), value_state(theta_v)
    for _ in range(3):
        mine = file.update(*mine, samples.obs, samples.act, samples.adv)
        theta, state, _ = a2c.update(policy, theta, state, samples, config)
        mine_v = file.critic_update(*mine_v, samples.obs, samples.ret)
        state_v = a2c.critic_update(critic, state_v, samples, config).value
        for one, other in zip((*mine, *mine_v), (theta, *state, state_v.theta, state_v.second), strict=True):
            equal(one, other)


@pytest.mark.parametrize("seed", range(3))
def test_npg_makes_the_step_of_the_library(seed):
    file = load("npg")
    policy, _, theta, _, samples = case(file, seed)
    config = npg.NPGConfig(max_kl=file.MAX_KL, damping=file.DAMPING, cg_iters=file.CG_ITERS)
    expected, info = npg.update(policy, theta, samples, config)
    assert info.status == "ok"
    equal(file.update(theta, samples.obs, samples.act, samples.adv), expected)


@pytest.mark.parametrize("seed,max_kl,damping,cg_iters,trials,status", [
    (0, 0.01, 0.1, 10, 1, "ok"), (0, 0.01, 0.01, 6, 1, "ok"), (0, 0.5, 1e-4, 6, 2, "ok"), (2, 50, 1e-3, 6, 6, "ok"),
    (1, 1e9, 0.1, 10, 10, "line search"),
])  # fmt: skip
def test_trpo_makes_the_step_of_the_library(seed, max_kl, damping, cg_iters, trials, status, monkeypatch):
    # with less damping fewer iterations: near the solution each one multiplies the rounding of the products
    file = load("trpo")
    for setting, value in {"MAX_KL": max_kl, "DAMPING": damping, "CG_ITERS": cg_iters}.items():
        monkeypatch.setattr(file, setting, value)
    policy, _, theta, _, samples = case(file, seed)
    config = trpo.TRPOConfig(max_kl=max_kl, damping=damping, cg_iters=cg_iters)
    expected, info = trpo.update(policy, theta, samples, config)
    assert (info.line_search_trials, info.status) == (trials, status)
    equal(file.update(theta, samples.obs, samples.act, samples.adv), expected)


@pytest.mark.parametrize("name", ["npg", "trpo"])
def test_the_critics_step_is_conjugate_gradient_on_the_librarys_gradient(name):
    file = load(name)
    _, critic, _, theta, samples = case(file, 1)
    mlp, rows, tape = critic.mlp, len(samples.obs), critic.mlp.forward(theta, samples.obs)
    product = lambda v: mlp.vjp(theta, tape, mlp.jvp(theta, tape, v)) / rows + file.DAMPING * v
    _, g = critic.loss_and_gradient(theta, samples.obs, samples.ret)
    expected = theta + conjugate_gradient(product, -g / 2, file.CG_ITERS).x
    equal(file.fit(theta, samples.obs, samples.ret), expected)


@pytest.mark.parametrize("seed", range(3))
def test_ppo_makes_the_steps_of_the_library_in_the_same_order(seed, monkeypatch):
    file = load("ppo")
    monkeypatch.setattr(file, "MINIBATCH", 32)  # 100 rows: the last minibatch is shorter
    monkeypatch.setattr(file, "RATE", 0.02)  # ratios leave 1 ± ε
    policy, critic, theta, theta_v, samples = case(file, seed)
    config = ppo.PPOConfig(
        learning_rate=file.RATE, minibatch_size=file.MINIBATCH, clip_range=file.CLIP, max_grad_norm=np.inf
    )
    order = np.array([np.random.default_rng(seed + epoch).permutation(100) for epoch in range(file.EPOCHS)])
    state = ppo.PPOState(*new_adam(theta), 0.0)
    expected, _, info = ppo.update(policy, theta, state, samples, config, order)
    assert 0.05 < info.clip_fraction < 0.95
    fit = critic.fit_adam(value_state(theta_v), samples.obs, samples.ret, order, file.MINIBATCH, file.RATE)
    learners = ((theta, 0 * theta, 0 * theta, 1), (theta_v, 0 * theta_v, 0 * theta_v, 1))
    actor, value = file.update(*learners, samples.obs, samples.act, samples.adv, samples.ret, order)
    equal(actor[0], expected)
    equal(value[0], fit.state.theta)


def test_ppos_gradient_is_the_librarys_PP2():
    file = load("ppo")
    policy, _, theta, _, samples = case(file, 4)
    new = theta + 0.1 * np.random.default_rng(4).normal(size=theta.shape)
    logp_old = policy.distribution.log_prob(samples.params, samples.act)
    expected = surrogate_gradient(policy, new, samples.acted, SurrogateTerms(file.CLIP, 0.0, 0.0), np.arange(100))
    assert expected.clip_fraction > 0.05
    equal(file.policy_gradient(new, samples.obs, samples.act, samples.adv, logp_old), expected.gradient)


# the updates with a deterministic policy


def transitions(file, seed, rows=50):
    """Policy and critic networks of the file's sizes, two θ and K θ_q for each of two sets, and a batch."""
    rng, count = np.random.default_rng(seed), 2 if hasattr(file, "DELAY") else 1
    policy = DeterministicPolicy(MLP(file.ACTOR, "relu", HOST))
    critic = QNetwork(MLP(file.CRITIC, "relu", HOST), count)
    thetas = [file.init(rng, file.ACTOR) for _ in range(2)]
    thetas_q = [np.stack([file.init(rng, file.CRITIC) for _ in range(count)]) for _ in range(2)]
    obs, next_obs = rng.normal(size=(2, rows, file.ACTOR[0]))
    batch = Transitions(obs, rng.uniform(-1, 1, (rows, 1)), rng.normal(size=rows), rng.random(rows) < 0.3, next_obs)
    return policy, critic, thetas, thetas_q, batch


def columns(batch):
    """The batch in the order of the files' replay, with rew and terminated as columns."""
    return batch.obs, batch.act, batch.rew[:, None], batch.next_obs, batch.terminated[:, None].astype(float)


@pytest.mark.parametrize("name", OFF_POLICY)
def test_the_gradients_are_the_librarys_DP1(name):
    file = load(name)
    policy, critic, (theta, _), (thetas_q, _), batch = transitions(file, 5)
    expected = deterministic_policy_gradient(policy, critic, theta, thetas_q[0], batch.obs)
    equal(file.policy_gradient(theta, thetas_q[0], batch.obs), expected.gradient)
    value = ValueNetwork(critic.mlp)
    _, g = value.loss_and_gradient(thetas_q[0], np.hstack([batch.obs, batch.act]), batch.rew)
    equal(file.value_gradient(thetas_q[0], batch.obs, batch.act, batch.rew[:, None]), -g)


@pytest.mark.parametrize("name", OFF_POLICY)
def test_ddpg_and_td3_make_the_steps_of_the_library(name):
    file, rng, learner = load(name), np.random.default_rng(6), lambda theta: (theta, 0 * theta, 0 * theta, 1)
    policy, critic, (theta, target), (thetas_q, targets_q), batch = transitions(file, 6)
    rates = {"learning_rate": file.RATE, "vf_learning_rate": file.RATE, "gamma": file.GAMMA, "tau": file.TAU}
    state = OffPolicyState(*AdamState(0 * theta, 0 * theta, 0), target, targets_q, np.zeros((1, 1)))
    critics = CriticState(thetas_q, 0 * thetas_q, 0 * thetas_q, 0)
    if name == "ddpg":
        mine = learner(theta), learner(thetas_q[0]), target, targets_q[0]
    else:
        mine = learner(theta), [learner(row) for row in thetas_q], target, [*targets_q]
    for _ in range(4):
        if name == "ddpg":
            mine = file.update(*mine, *columns(batch))
            config = ddpg.DDPGConfig(**rates)
            theta, state, critics, info = ddpg.update(policy, critic, theta, state, critics, batch, config)
        else:
            normal = 3 * rng.normal(size=batch.act.shape)  # so that some of the noise is clipped
            mine = file.update(*mine, *columns(batch), normal)
            noise = {"policy_delay": file.DELAY, "target_noise": file.TARGET_NOISE}
            config = td3.TD3Config(**rates, **noise, target_noise_clip=file.TARGET_CLIP)
            theta, state, critics, info = td3.update(policy, critic, theta, state, critics, batch, normal, config)
        assert info.status == "ok"
        actor, mine_q, mine_target, mine_targets_q = mine
        equal(actor[0], theta)
        equal(np.stack([row[0] for row in ([mine_q] if name == "ddpg" else mine_q)]), critics.theta)
        equal(mine_target, state.target)
        equal(np.reshape(mine_targets_q, critics.theta.shape), state.critic_target)


# the gradient checker

X = np.random.default_rng(7).normal(size=(20, 6))
Y = np.random.default_rng(8).normal(size=20)


def loss(w):
    """½ mean log(1 + (Xw − y)²)."""
    r = X @ w - Y
    return 0.5 * np.log1p(r * r).mean()


def slope(w):
    r = X @ w - Y
    return X.T @ (r / (1 + r * r)) / len(Y)


def with_entry(change):
    def gradient(w):
        g = slope(w)
        g[4] = change(g[4])
        return g

    return gradient


GRADIENTS = {
    "right": slope,
    "no 1/N": lambda w: 20 * slope(w),
    "1/N twice": lambda w: slope(w) / 20,
    "no 1/2": lambda w: 2 * slope(w),
    "1/2 twice": lambda w: slope(w) / 2,
    "sign": lambda w: -slope(w),
    "constant": lambda w: 1.37 * slope(w),
    "zero": lambda w: 0 * slope(w),
    "entry": with_entry(lambda g: g + 1),
    "entry slightly off": with_entry(lambda g: g * (1 + 1e-4)),
    "no derivative of the logarithm": lambda w: X.T @ (X @ w - Y) / len(Y),
}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_checker_has_the_verdict_of_the_library(name, scale):
    x = np.random.default_rng(9).normal(size=6) * scale
    found = load("gradient_check").check_gradient(loss, GRADIENTS[name], x)
    if name == "right":
        assert found.right
        assert check_gradient(loss, slope, x).status == "passed"
        return
    with pytest.raises(GradientError) as caught:
        check_gradient(loss, GRADIENTS[name], x)
    error = caught.value
    assert (found.right, found.index, found.cause) == (False, error.index[0], error.guess)
    assert found.numeric == pytest.approx(error.numeric, rel=1e-6)


@pytest.mark.parametrize("f,df", [(np.sin, np.cos), (np.exp, np.exp), (np.sqrt, lambda x: 0.5 / np.sqrt(x))])
@pytest.mark.parametrize("x", [1e-3, 0.7, 30.0])
def test_the_checkers_bound_on_the_error_holds(f, df, x):
    file = load("gradient_check")
    value, error = file.derivative(lambda x: f(x).sum(), np.array([x]), 0)
    assert abs(value - df(x)) <= file.SAFETY * error
    assert error < 1e-6 * max(abs(df(x)), 1e-2)


def test_the_checkers_demonstration_finds_four_mistakes(capsys):
    load("gradient_check").main()
    lines = capsys.readouterr().out.splitlines()
    assert ["passed" in line for line in lines] == [False] * 4 + [True]
    assert "a 1/N missing, with N = 20?" in lines[0]


# the whole files


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_file_plays_and_learns(name, monkeypatch, capsys):
    file = load(name)
    few = {"STEPS": 1000, "RANDOM_STEPS": 980} if name in OFF_POLICY else {"MAX_STEPS": 1}
    for setting, value in few.items():
        monkeypatch.setattr(file, setting, value)
    assert np.isfinite(file.main(0)) or name == "a2c"  # five steps end no episode
    assert " steps " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_file_solves_its_environment(name):
    assert load(name).main(0) >= (-200 if name in OFF_POLICY else 475)
