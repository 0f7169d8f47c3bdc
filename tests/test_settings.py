"""Every setting does something: changing it changes what is learned."""

import dataclasses
import inspect
import json
from functools import cache

import numpy as np
import pytest
from audit import typed_settings
from cases import close

from minipg import (
    ALGORITHMS,
    MLP,
    PPO,
    TRPO,
    A2CConfig,
    Backend,
    GaussianPolicy,
    NPGConfig,
    PPOConfig,
    REINFORCEConfig,
    TRPOConfig,
    ValueNetwork,
    VPGConfig,
)
from minipg.algorithms.advantages import Samples
from minipg.algorithms.config import WITHOUT_EFFECT
from minipg.algorithms.trpo import update
from minipg.cli import main
from minipg.errors import ConfigError, MinipgError, unknown_name
from minipg.field_docs import field_docs
from minipg.objective import surrogate_and_kl
from minipg.runs import evaluate
from minipg.runtime import backend as backend_module

BASE = TRPOConfig(num_envs=2, n_steps=200, hidden=(8,), vf_epochs=3, vf_minibatch_size=64, max_kl=0.05,
                  vine_states=8, vine_branches=2, vine_length=4)  # fmt: skip
CHANGES = {
    "num_envs": 3, "n_steps": 250, "gamma": 0.9, "gae_lambda": 0.5, "max_kl": 0.001, "damping": 0.5, "cg_iters": 1,
    "fisher_subsample": 4, "normalize_advantage": False, "hidden": (9,), "activation": "relu", "log_std_init": -1.0,
    "vf_optimizer": "lbfgs", "vf_learning_rate": 0.01, "vf_epochs": 4, "vf_minibatch_size": 32, "normalize_obs": True,
    "normalize_reward": True, "learning_rate": 0.02, "schedule": "linear", "n_epochs": 3, "minibatch_size": 32,
    "clip_range": 0.01, "clip_schedule": "linear", "kl_coef": 5.0, "target_kl": 1e-4, "ent_coef": 0.3,
    "max_grad_norm": 0.01, "vf_clip_range": 0.01, "objective": "unclipped", "rms_decay": 0.5, "rms_epsilon": 1.0,
    "state_dependent_std": True, "squash": True, "solver": "dual", "dual_init": 5.0, "dual_learning_rate": 500.0,
    "step_rule": "fixed", "episodes": 2, "weight": "return", "baseline": "average", "sampling": "vine",
    "vine_states": 9, "vine_branches": 3, "vine_length": 5, "vf_schedule": "linear", "clip_reward": True,
}  # fmt: skip
# settings that matter only with another one
BESIDE = {
    ("a2c", "normalize_advantage"): {"normalize_advantage": True},
    **{("trpo", name): {"solver": "dual"} for name in ("learning_rate", "n_epochs", "minibatch_size", "dual_init",
                                                       "dual_learning_rate")},
    **{("trpo", name): {"sampling": "vine"} for name in ("vine_states", "vine_branches", "vine_length")},
    ("ppo", "kl_coef"): {"objective": "kl"}, ("npg", "learning_rate"): {"step_rule": "fixed"},
}  # fmt: skip
SMALL = {
    "trpo": BASE,
    "ppo": PPOConfig(num_envs=2, n_steps=200, hidden=(8,), n_epochs=2, vf_epochs=3, learning_rate=0.01),
    "npg": NPGConfig(num_envs=2, n_steps=200, hidden=(8,), vf_epochs=3, max_kl=0.05),
    "vpg": VPGConfig(num_envs=2, n_steps=200, hidden=(8,), vf_epochs=3),
    "a2c": A2CConfig(num_envs=2, hidden=(8,)),
    "reinforce": REINFORCEConfig(num_envs=2, hidden=(8,), episodes=1, vf_epochs=3),
}
# REINFORCE learns from whole episodes, however many steps a rollout has
IDLE = {"reinforce": {"n_steps"}}


@cache
def learned(algorithm="trpo", **changes):
    config = dataclasses.replace(SMALL[algorithm], **changes)
    agent = ALGORITHMS[algorithm]("Pendulum-v1", config=config, threads=1).learn(1200)
    return np.concatenate([agent.theta, agent.value.theta])


@pytest.mark.parametrize(
    "algorithm,name",
    [(a, f.name) for a, config in SMALL.items() for f in dataclasses.fields(config)
     if f.name in CHANGES and f.name not in IDLE.get(a, ())],
)  # fmt: skip
def test_changing_a_setting_changes_what_is_learned(algorithm, name):
    beside = BESIDE.get((algorithm, name), {})
    before, other = learned(algorithm, **beside), learned(algorithm, **{**beside, name: CHANGES[name]})
    assert other.shape != before.shape or (other != before).any()


def test_the_penalty_of_the_lbfgs_critic_counts():
    assert (learned(vf_optimizer="lbfgs") != learned(vf_optimizer="lbfgs", vf_l2=0.1)).any()


def test_how_environments_are_stepped_changes_nothing():
    np.testing.assert_array_equal(learned(vec="gymnasium"), learned())


def test_the_settings_of_the_line_search_are_the_only_ones_left():
    fields = {field.name for config in SMALL.values() for field in dataclasses.fields(config)}
    assert fields - set(CHANGES) == {
        "vec",
        "env_timeout",
        "mask_actions",  # tests/test_masks.py
        "conv",  # tests/test_images.py
        "sparse_input",
        "vf_l2",
        "backtrack_coeff",
        "backtrack_iters",
        "accept_ratio",
    }


# ---- what a setting may be given as --------------------------------------------------------------------------------

NUMPY = {int: (np.int16, np.int64, np.uint32), float: (np.float32, np.float64, np.float16), bool: (np.bool_,)}


@pytest.mark.parametrize("algorithm", SMALL)
def test_numpy_scalars_become_python_numbers_that_json_holds(algorithm):
    config = SMALL[algorithm]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for kind in NUMPY.get(type(value), ()):
            scalar = np.array(value).astype(kind)[()]
            given = getattr(dataclasses.replace(config, **{field.name: scalar}), field.name)
            assert (type(given), given) == (type(value), scalar.item())
    wide = dataclasses.replace(config, hidden=np.array([8, 4]))
    assert dataclasses.replace(config, hidden=[np.int64(8), np.int32(4)]) == wide
    assert json.loads(json.dumps(dataclasses.asdict(wide)))["hidden"] == [8, 4]


@pytest.mark.parametrize(
    "settings",
    [{"n_steps": np.float64(32)}, {"n_steps": True}, {"n_steps": np.True_}, {"gamma": np.complex64(0.9)},
     {"gamma": "0.9"}, {"hidden": np.array([8.5])}, {"hidden": np.int64(8)}, {"normalize_obs": np.int64(1)},
     {"learning_rate": abs}],
    ids=str,  # the same in every process
)  # fmt: skip
def test_a_setting_of_another_type_is_refused_by_name(settings):
    (name,) = settings
    with pytest.raises(ConfigError, match=f"{name}: expected "):
        PPOConfig(**settings)


def test_a_function_for_a_rate_is_answered_with_the_schedule_there_is():
    with pytest.raises(ConfigError, match="learning_rate: expected float; schedule='linear' lowers rates over the run"):
        PPO("CartPole-v1", learning_rate=lambda progress: 3e-4 * progress)


@pytest.mark.parametrize(
    "name,known,near",
    [("lr", ("learning_rate", "vf_l2"), "learning_rate"), ("--lr", ("--learning-rate", "--vf-l2"), "--learning-rate"),
     ("--total-timesteps", ("--steps", "--n-steps"), "--steps"), ("PPO", ("npg", "ppo", "trpo"), "ppo"),
     ("batch_size", ("minibatch_size", "n_steps"), "minibatch_size"), ("cartpole-v1", ("CartPole-v1",), "CartPole-v1"),
     ("total_timesteps", ("total_steps", "of"), "total_steps"), ("schedule", ("vf_schedule", "max_kl"), "vf_schedule"),
     ("tensorboard_log", ("learn(on_update=TensorBoard(folder))", "vf_l2"), "learn(on_update=TensorBoard(folder))")],
    ids=str,
)  # fmt: skip
def test_the_name_another_library_has_for_a_thing_is_answered_with_ours(name, known, near):
    assert str(unknown_name("thing", name, known)) == f"unknown thing {name!r}; did you mean {near}?"


def test_what_is_not_here_is_answered_with_what_is_and_never_with_something_else():
    assert str(unknown_name("algorithm", "sac", ("a2c", "ppo"))).endswith("'sac'; expected a2c, ppo")
    assert str(unknown_name("setting", "verbose", ("vf_epochs", *map(str, range(99))))).endswith("'verbose'")


@pytest.mark.parametrize(
    "call,says",
    [(lambda: PPO("MlpPolicy", "CartPole-v1"), "env: expected the environment alone, got 'MlpPolicy', 'CartPole-v1'"),
     (lambda: PPO("CartPole-v1", verbose=1), r"unknown setting 'verbose'; did you mean learn\(progress=True\)"),
     (lambda: PPO("CartPole-v1", device="cpu"), "unknown setting 'device'; did you mean backend"),
     (lambda: PPO("CartPole-v1").learn(total_timesteps=9), "option 'total_timesteps'; did you mean total_steps"),
     (lambda: PPO("CartPole-v1").learn(9, callback=None), "unknown option 'callback'; did you mean on_update"),
     (lambda: PPO("CartPole-v1").learn(), "total_steps: expected an integer ≥ 1, got 0"),
     (lambda: PPO("CartPole-v1").learn("9"), "total_steps: expected an integer ≥ 1, got '9'"),
     (lambda: evaluate(PPO("CartPole-v1"), "9"), "episodes: expected an integer ≥ 1, got '9'"),
     (lambda: PPO("CartPole-v1", config={"n_steps": 8}), "config: expected a PPOConfig, got {'n_steps': 8}"),
     (lambda: PPO("CartPole-v1", config=TRPOConfig()), "config: expected a PPOConfig, got TRPOConfig"),
     (lambda: PPO("CartPole-v1", threads="2"), "threads: expected an integer ≥ 1, got '2'"),
     (lambda: PPO("CartPole-v1", threads=1.5), "threads: expected an integer ≥ 1, got 1.5")],
    ids=range(12),
)  # fmt: skip
def test_what_people_are_used_to_elsewhere_is_answered_with_what_there_is_here(call, says):
    with pytest.raises(MinipgError, match=says):
        call()


@pytest.mark.parametrize(
    "algorithm,settings,says",
    [("trpo", {"solver": "dual", "cg_iters": 5, "damping": 1.0}, ["cg_iters", "damping"]),
     ("trpo", {"learning_rate": 0.1, "vine_length": 9}, ["learning_rate", "vine_length"]),
     ("ppo", {"kl_coef": 2.0, "env_timeout": 9.0}, ["env_timeout", "kl_coef"]),
     ("npg", {"step_rule": "fixed", "max_kl": 0.1, "learning_rate": 0.2}, ["max_kl"]),
     ("reinforce", {"baseline": "average", "vf_epochs": 3}, ["vf_epochs"]),
     ("ppo", {"vf_optimizer": "lbfgs", "vf_l2": 0.1, "vf_clip_range": 1.0}, ["vf_clip_range"]),
     ("trpo", {"solver": "dual"}, [])],
    ids=range(7),
)  # fmt: skip
def test_a_setting_that_another_one_makes_idle_is_named(algorithm, settings, says, caplog, capsys, tmp_path):
    ALGORITHMS[algorithm]("CartPole-v1", **settings)
    named = [record.message.partition(" has no effect with ")[0] for record in caplog.records]
    assert sorted(named) == says
    caplog.clear()
    flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["train", algorithm, "CartPole-v1", "--out", str(tmp_path / "run"), "--steps", "1", *flags]) == 0
    assert sorted(record.message.partition(" has no effect with ")[0] for record in caplog.records) == says


def test_a_setting_without_effect_is_not_named_beside_an_error(caplog, capsys):
    assert main(["train", "trpo", "Nonsense-v0", "--n-epochs", "1"]) == 2
    with pytest.raises(MinipgError):
        TRPO("Nonsense-v0", n_epochs=1)
    assert (caplog.records, len(capsys.readouterr().err.splitlines())) == ([], 1)


IDLE_CHANGES = {**CHANGES, "vf_l2": 0.5, "backtrack_coeff": 0.5, "backtrack_iters": 1, "accept_ratio": 0.9,
                "env_timeout": 9.0}  # fmt: skip


@pytest.mark.parametrize(
    "algorithm,beside,idle",
    [(algorithm, beside, names) for beside, names in WITHOUT_EFFECT.items() for algorithm, config in SMALL.items()
     if hasattr(config, beside[0]) and beside[0] != "vec"],
)  # fmt: skip
def test_what_is_said_to_have_no_effect_has_none(algorithm, beside, idle):
    setting = dict([beside])
    changes = {name: IDLE_CHANGES[name] for name in idle if hasattr(SMALL[algorithm], name)}
    np.testing.assert_array_equal(learned(algorithm, **setting, **changes), learned(algorithm, **setting))


def test_two_environments_are_not_alike_because_both_have_a_version():
    assert str(unknown_name("environment", "Nonsense-v0", map("Something{}-v0".format, range(99)))).endswith("v0'")


def batch(policy, theta, rows=40):
    rng = np.random.default_rng(1)
    obs = rng.normal(size=(rows, policy.mlp.sizes[0]))
    params = policy.forward(theta, obs).params
    act = policy.distribution.sample(params, policy.distribution.noise(rng, (rows,), np.float64))
    adv = rng.normal(size=rows)
    return Samples(obs, act, adv, adv, 0 * adv, params), params


def gaussian(log_std=0.0):
    policy = GaussianPolicy(MLP((2, 5, 2), "tanh", Backend("numba", 1)), log_std)
    return policy, policy.init(np.random.default_rng(0), np.float64)


def test_a_forced_backtrack_follows_the_settings_of_the_line_search_TR11():
    policy, theta = gaussian(-3.0)
    samples, _ = batch(policy, theta)
    # without damping and with few iterations the quadratic model is far too hopeful at this radius
    config = TRPOConfig(max_kl=2.0, damping=0.0, cg_iters=2, backtrack_coeff=0.5, backtrack_iters=20)
    _, info = update(policy, theta, samples, config)
    assert info.status == "ok"
    assert info.line_search_trials > 1
    assert info.step_fraction == 0.5 ** (info.line_search_trials - 1)
    few = dataclasses.replace(config, backtrack_iters=info.line_search_trials - 1)
    assert update(policy, theta, samples, few)[1].status == "line search"
    slower = update(policy, theta, samples, dataclasses.replace(config, backtrack_coeff=0.9))[1]
    assert slower.step_fraction == pytest.approx(0.9 ** (slower.line_search_trials - 1))
    strict = update(policy, theta, samples, dataclasses.replace(config, accept_ratio=0.99))[1]
    assert strict.line_search_trials > info.line_search_trials


def test_a_step_that_would_leave_the_range_of_log_std_is_clamped():
    policy, theta = gaussian(2.0)
    samples, params = batch(policy, theta)
    # far actions are the good ones: σ wants to grow
    z = np.abs(samples.act - params[:, :2]).sum(axis=1)
    theta_new, info = update(policy, theta, samples._replace(adv=z), TRPOConfig(damping=1e-3))
    assert policy.layout.views(theta_new)["log_std"].max() <= 2
    assert info.status in ("ok", "line search")
    low, theta_low = gaussian(0.0)
    assert policy.project(np.concatenate([theta_low[:-2], [9, 9]]))[-1] == low.project(theta_low)[-1] + 2


@pytest.mark.parametrize("tile", [1, 7, 16])
def test_tiles_do_not_change_the_surrogate_or_the_kl_IS3_TR5(tile, monkeypatch):
    policy, theta = gaussian()
    samples, params = batch(policy, theta)
    other = theta + 0.1 * np.random.default_rng(2).normal(size=len(theta))
    whole = surrogate_and_kl(policy, samples.obs, samples.act, samples.adv, params)(other)
    monkeypatch.setattr(backend_module, "TILE_ROWS", tile)
    close(surrogate_and_kl(policy, samples.obs, samples.act, samples.adv, params)(other), whole, 1e-12)


@pytest.mark.parametrize("twin", ["numpy", "numba"])
def test_fitting_a_critic_takes_adams_steps_on_the_gradient_of_its_loss_AC1_AC3(twin):
    rng = np.random.default_rng(0)
    critic = ValueNetwork(MLP((3, 4, 1), "tanh", Backend(twin, 1)))
    state, obs, target = critic.init(rng, np.float64), rng.normal(size=(10, 3)), rng.normal(size=10)
    order = np.stack([rng.permutation(10) for _ in range(2)])
    theta, m, v = state.theta.copy(), 0 * state.theta, 0 * state.theta
    for step, rows in enumerate([order[0][:6], order[0][6:], order[1][:6], order[1][6:]], start=1):
        g = -critic.loss_and_gradient(theta, obs[rows], target[rows])[1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta = theta + 0.05 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    fitted, _, _ = critic.fit_adam(state, obs, target, order, 6, 0.05)
    np.testing.assert_allclose(fitted.theta, theta, rtol=1e-9)
    assert fitted.step == 4


def test_the_fitted_critic_is_kept_and_fitted_to_the_returns(monkeypatch):
    agent = TRPO("Pendulum-v1", config=BASE, threads=1)
    seen = []
    original = ValueNetwork.fit_adam
    monkeypatch.setattr(
        ValueNetwork,
        "fit_adam",
        lambda *args, **limits: seen.append((args[3], original(*args, **limits))) or seen[-1][1],
    )
    agent.learn(1)
    ((target, (state, *_)),) = seen
    assert agent.value is state
    # returns of Pendulum are sums of costs: all negative, unlike advantages
    assert target.max() < 0


def test_a_critic_that_diverges_is_not_kept(tmp_path):
    agent = TRPO("Pendulum-v1", config=dataclasses.replace(BASE, vf_learning_rate=1e30), threads=1)
    before = agent.value
    rows = []
    with np.errstate(all="ignore"):
        agent.learn(800, on_update=lambda agent, row: rows.append(row["status"]))
    assert np.isfinite(agent.value.theta).all()
    assert any("critic not finite" in status for status in rows) or agent.value is not before
    agent.save(tmp_path / "agent.npz")
    TRPO.load(tmp_path / "agent.npz")


def test_the_critics_epochs_and_minibatches_follow_the_policys_unless_they_are_given():
    settings = lambda **given: PPO("CartPole-v1", preset="default", **given).config
    assert (settings().vf_epochs, settings().vf_minibatch_size) == (10, 64)
    assert (settings(n_epochs=4).vf_epochs, settings(minibatch_size=32).vf_minibatch_size) == (4, 32)
    assert settings(n_epochs=4, vf_epochs=7).vf_epochs == 7
    assert PPO("CartPole-v1").config.vf_epochs == 20, "a preset's values keep their meaning"
    assert PPO("CartPole-v1", n_epochs=4).config.vf_epochs == 4


def test_the_critics_epochs_follow_on_the_command_line_too(tmp_path):
    flags = ["--n-epochs", "3", "--num-envs", "2", "--n-steps", "8", "--steps", "16", "--hidden", "4"]
    assert main(["train", "ppo", "CartPole-v1", "--out", str(tmp_path / "run"), *flags]) == 0
    assert json.loads((tmp_path / "run/config.json").read_text())["config"]["vf_epochs"] == 3


def test_learning_in_parts_of_one_horizon_is_learning_at_once():
    def learned(parts, **options):
        agent = PPO("CartPole-v1", num_envs=2, n_steps=8, hidden=(4,), schedule="linear", seed=1, threads=1)
        for _ in range(parts):
            agent.learn(64 // parts, progress=False, **options)
        return agent.theta

    whole = learned(1)
    np.testing.assert_array_equal(learned(4, of=64), whole)
    with pytest.warns(UserWarning, match="linear schedules had ended and start again at 50% of a run of 32 steps"):
        assert (learned(4) != whole).any()
    with pytest.warns(UserWarning, match="linear schedules end at step 32 of 64: after it their rates are 0"):
        learned(1, of=32)
    with pytest.raises(ConfigError, match="of: expected an integer ≥ 1, got 0"):
        learned(4, of=0)


def test_a_loop_of_parts_may_overshoot_the_horizon_by_its_rollouts():
    agent = PPO("CartPole-v1", num_envs=4, n_steps=32, hidden=(4,), schedule="linear", threads=1)
    for _ in range(10):
        agent.learn(100, of=1000, progress=False)
    assert agent.steps == 1280


def test_the_last_update_has_a_row_whatever_a_row_covers():
    for algorithm in ("reinforce", "ppo", "a2c"):
        rows = []
        agent = ALGORITHMS[algorithm]("CartPole-v1", num_envs=2, hidden=(4,), threads=1)
        agent.learn(600, every=1000, on_update=lambda agent, row, rows=rows: rows.append(row), progress=False)
        assert [row["steps"] for row in rows] == [agent.steps]


# ---- types and docstrings ------------------------------------------------------------------------------------------


def test_the_types_of_settings_are_those_of_the_configs():
    assert typed_settings.FILE.read_text("utf-8") == typed_settings.text(), "run tests/audit/typed_settings.py"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_help_of_a_config_names_each_setting_with_its_default_and_its_meaning(algorithm):
    config = ALGORITHMS[algorithm].Config
    lines, meanings = inspect.getdoc(config).splitlines(), field_docs(config)
    for field in dataclasses.fields(config):
        (line,) = [line for line in lines if line.strip().startswith(f"{field.name}: ")]
        assert line.endswith(f"= {field.default!r}")
        assert lines[lines.index(line) + 1].strip() == meanings[field.name]


@pytest.mark.parametrize("value", ["sigmoid", "", None, 1, ["tanh"]])
def test_a_setting_with_choices_takes_no_other(value):
    with pytest.raises(ConfigError, match="activation: expected tanh or relu, got"):
        PPOConfig(activation=value)
