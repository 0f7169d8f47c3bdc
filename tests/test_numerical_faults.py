"""With any numbers from an environment, parameters stay finite, and an update without a step gives its reason."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from minipg import ALGORITHMS, Backend
from minipg.errors import EnvironmentFault

TINY = {"hidden": (4,), "threads": 1, "num_envs": 2, "n_steps": 16}
ADAM = {"vf_epochs": 2, "vf_minibatch_size": 8}
SHORT = {"vine_states": 4, "vine_branches": 3, "vine_length": 3}
VARIANTS = {
    "reinforce": ("reinforce", ADAM),
    "reinforce, return": ("reinforce", {"weight": "return", "baseline": "none"}),
    "reinforce, discounted": ("reinforce", {"weight": "discounted", "baseline": "average"}),
    "vpg": ("vpg", ADAM),
    "a2c": ("a2c", {}),
    "npg": ("npg", ADAM),
    "npg, fixed": ("npg", {"step_rule": "fixed", **ADAM}),
    "trpo": ("trpo", ADAM),
    "trpo, lbfgs": ("trpo", {"vf_optimizer": "lbfgs", "vf_epochs": 3}),
    "trpo, as it comes": ("trpo", {"normalize_advantage": False, **ADAM}),
    "trpo, no damping": ("trpo", {"damping": 0.0, **ADAM}),
    "vpg, as it comes": ("vpg", {"normalize_advantage": False, **ADAM}),
    "trpo, dual": ("trpo", {"solver": "dual", "n_epochs": 2, "minibatch_size": 8, **ADAM}),
    "trpo, vine": ("trpo", {"sampling": "vine", **SHORT, **ADAM}),
    "trpo, normalised": ("trpo", {"normalize_obs": True, "normalize_reward": True, **ADAM}),
    **{f"ppo, {objective}": ("ppo", {"objective": objective, "n_epochs": 2, "minibatch_size": 8, **ADAM})
       for objective in ("unclipped", "clip", "kl", "adaptive-kl")},
}  # fmt: skip


class Plain(gym.Env):
    """The reward is `pay` times the action's first component plus a thousandth of the time.

    `same_pay` makes the reward constant, `same_obs` the observation. An episode takes `length` steps, 0 is endless.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, actions=None, pay=1.0, length=5, same_pay=False, same_obs=False):
        self.action_space, self.observation_space = actions or spaces.Discrete(3), spaces.Box(-9, 9, (2,), np.float64)
        self.pay, self.length, self.same_pay, self.same_obs = pay, length, same_pay, same_obs
        self.time = 0

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return self.shown(), {}

    def shown(self):
        return np.array([1.0, 0.0 if self.same_obs else np.sin(self.time)])

    def step(self, act):
        paid = self.pay * (1 if self.same_pay else float(np.ravel(act)[0]) + self.time / 1000)
        self.time += 1
        return self.shown(), paid, self.time == self.length, False, {}

    def save_state(self):
        return self.time

    def restore_state(self, time):
        self.time = time


def bits(**options):
    return Plain(spaces.MultiBinary(2), **options)


def choices(**options):
    return Plain(spaces.MultiDiscrete([2, 3]), **options)


def reals(**options):
    return Plain(spaces.Box(-1, 1, (2,)), **options)


def vector(make, num_envs, **options):
    mode = gym.vector.AutoresetMode.SAME_STEP
    return gym.vector.SyncVectorEnv([lambda: make(**options)] * num_envs, autoreset_mode=mode)


def extreme(agent):
    """The last bias moved far out: probabilities of 0 and 1."""
    outputs = agent.actor.mlp.sizes[-1]
    network = agent.theta[: agent.actor.mlp.layout.size]
    network[-outputs:] = np.resize([1e4, -1e4], outputs)


SQUASHED, STATES = {"squash": True}, {"state_dependent_std": True}
# an environment, its options, the settings, and what is done to the agent before it learns
TROUBLES = {
    "constant rewards": (Plain, {"same_pay": True}, {}, None),
    "constant observations": (Plain, {"same_obs": True}, {}, None),
    "all advantages equal": (Plain, {"same_pay": True, "same_obs": True}, {"gamma": 0.0}, None),
    "rewards of zero": (Plain, {"pay": 0.0}, {}, None),
    "rewards of 1e12": (Plain, {"pay": 1e12}, {}, None),
    "rewards of -1e12": (reals, {"pay": -1e12}, {}, None),
    "rewards of 1e-12": (Plain, {"pay": 1e-12}, {}, None),
    "one-step episodes": (Plain, {"length": 1}, {}, None),
    "episodes that never end": (Plain, {"length": 0}, {}, None),
    "one environment": (Plain, {}, {"num_envs": 1}, None),
    "a batch of one": (Plain, {"length": 1}, {"num_envs": 1, "n_steps": 1, "gamma": 1.0}, None),
    "a batch of one real action": (reals, {"length": 1}, {"num_envs": 1, "n_steps": 1}, None),
    "probabilities of 0 and 1": (Plain, {}, {}, extreme),
    "bits that are certain": (bits, {}, {}, extreme),
    "choices that are certain": (choices, {}, {}, extreme),
    "means far outside": (reals, {}, {}, extreme),
    "squashed means far outside": (reals, {}, SQUASHED, extreme),
    "σ at its lower end": (reals, {}, {"log_std_init": -20.0}, None),
    "σ at its upper end": (reals, {}, {"log_std_init": 2.0}, None),
    "squashed, σ at its lower end": (reals, {}, {"log_std_init": -20.0, **SQUASHED}, None),
    "squashed, σ at its upper end": (reals, {}, {"log_std_init": 2.0, **SQUASHED}, None),
    "σ of the state at its lower end": (reals, {}, {"log_std_init": -20.0, **STATES}, None),
    "σ of the state at its upper end": (reals, {}, {"log_std_init": 2.0, **STATES}, None),
    "σ of the state far outside": (reals, {}, STATES, extreme),
    "σ at its lower end and rewards of 1e12": (reals, {"pay": 1e12}, {"log_std_init": -20.0}, None),
}


# every gradient may be zero
NOTHING_TO_LEARN = {
    "all advantages equal", "rewards of zero", "a batch of one", "a batch of one real action", "bits that are certain",
}  # fmt: skip
REASONS = {
    "ok", "line search", "zero gradient", "conjugate gradient: iterations", "conjugate gradient: curvature",
    "step not finite", "gradient not finite", "target KL",
}  # fmt: skip
REFERENCE = ("reinforce", "a2c", "trpo", "trpo, dual", "ppo, clip")  # on NumPy too


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize(
    "variant,backend",
    [*((v, "numba") for v in VARIANTS), *(pytest.param(v, "numpy", marks=pytest.mark.slow) for v in REFERENCE)],
)
def test_parameters_stay_finite_and_an_update_without_a_step_says_why(variant, backend, trouble, monkeypatch):
    name, own = VARIANTS[variant]
    make, options, settings, before = TROUBLES[trouble]
    settings = {**TINY, **own, **settings}
    agent = ALGORITHMS[name](vector(make, settings["num_envs"], **options), backend=backend, **settings)
    if before is not None:
        before(agent)
    start, rows = agent.theta.copy(), []
    if name == "reinforce" and trouble == "episodes that never end":
        monkeypatch.setattr("minipg.rollout.collector._ENDLESS", 50)
        with pytest.raises(EnvironmentFault, match="whole episodes have to end"):
            agent.learn(10)
        np.testing.assert_array_equal(agent.theta, start)
        return
    agent.learn(3 * settings["num_envs"] * settings["n_steps"], on_update=lambda agent, row: rows.append(row))
    assert all(np.isfinite(array).all() for array in (agent.theta, *agent.value, *(agent.state or ())))
    statuses = {row["status"] for row in rows}
    assert statuses <= REASONS
    assert trouble in NOTHING_TO_LEARN or statuses != {"ok"} or (agent.theta != start).any()


REPLAY = {"batch_size": 4, "learning_starts": 8, "buffer_size": 100}
DETERMINISTIC = {
    "dpg": ("dpg", ADAM), "dpg, no damping": ("dpg", {"damping": 0.0, **ADAM}),
    "dpg, plain": ("dpg", {"direction": "plain", **ADAM}), "dpg, no noise": ("dpg", {"action_noise_std": 0.0, **ADAM}),
    "ddpg": ("ddpg", REPLAY), "td3": ("td3", REPLAY),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("trouble", [name for name in TROUBLES if "σ" not in name and name[:4] not in ("bits", "choi")])
@pytest.mark.parametrize("variant", DETERMINISTIC)
def test_parameters_of_a_deterministic_policy_stay_finite_too(variant, trouble):
    name, own = DETERMINISTIC[variant]
    _, options, settings, before = TROUBLES[trouble]
    known = ALGORITHMS[name].Config.__dataclass_fields__
    settings = {key: value for key, value in {**TINY, **own, **settings}.items() if key in {*known, "threads"}}
    agent = ALGORITHMS[name](vector(reals, settings["num_envs"], **options), **settings)
    if before is not None:
        before(agent)
    start, rows = agent.theta.copy(), []
    agent.learn(96, on_update=lambda agent, row: rows.append(row))
    state = [np.asarray(part) for part in (agent.theta, *agent.value, *agent.state)]
    assert all(np.isfinite(part).all() for part in state)
    assert {row["status"] for row in rows} <= {"ok", "collecting", "step not finite", "critic not finite"}
    nothing = trouble in NOTHING_TO_LEARN or before is extreme or variant == "dpg, no noise"
    assert nothing or "ok" not in {row["status"] for row in rows} or (agent.theta != start).any()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_gradient_whose_square_overflows_is_shortened_all_the_same_AC3(backend):
    g, out = np.array([3e25, -4e25], np.float32), np.empty(2, np.float32)
    Backend(backend, 1).kernels("optimizer").clip_global_norm(g, 0.5, out)
    np.testing.assert_allclose(out, [0.3, -0.4], rtol=1e-6)
