"""Vine sampling (TR-13): what branches estimate, what they share, and that the main trajectory is unchanged by them."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from cases import close, seeds
from environments import Counting, Ending, Matching, observation, reward, sync
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import strategies as st

from minipg import MLP, TRPO, Backend, CategoricalPolicy, TRPOConfig, categorical, gaussian
from minipg.algorithms import trpo
from minipg.algorithms.advantages import Samples
from minipg.algorithms.trpo import update
from minipg.envs import make_vector
from minipg.envs.compiled import CompiledVectorEnv
from minipg.envs.snapshots import snapshots_of
from minipg.errors import ConfigError, EnvironmentFault
from minipg.objective import policy_gradient, surrogate_and_kl
from minipg.policy import policy_for
from minipg.rollout import Collector, ObservationNormalizer, RewardScaler
from minipg.rollout.vine import Follower, branch_advantages, branching, collect_with_branches
from minipg.runs import evaluate
from minipg.theory.finite_mdp import (
    action_values,
    finite_mdp,
    local_objective,
    softmax_policy,
    start_value,
    values,
    visits,
)
from minipg.theory.strategies import mdps_with_policies

REFERENCE = Backend("numpy", 1)
SAME, NEXT = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP


class Saved(Counting):
    """A Counting environment whose state can be saved."""

    def save_state(self):
        """Its number and counters."""
        return self.number, self.episode, self.time

    def restore_state(self, saved):
        """The inverse."""
        self.number, self.episode, self.time = saved


class Drifting(gym.Env):
    """A random walk that the action shifts; the reward is the place. All randomness is the environment's own."""

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.time = self.np_random.normal(), 0
        return np.array([self.place]), {}

    def step(self, act):
        self.place, self.time = self.place + float(act[0]) + self.np_random.normal(), self.time + 1
        return np.array([self.place]), self.place, False, self.time == 12, {}

    def save_state(self):
        """Place, time, and the state of the random numbers."""
        return self.place, self.time, self.np_random.bit_generator.state

    def restore_state(self, saved):
        """The inverse."""
        self.place, self.time, self.np_random.bit_generator.state = saved


class SavedMatching(Matching):
    """A Matching environment whose state can be saved."""

    def save_state(self):
        """Context, time, and the state of the random numbers."""
        return self.context, self.time, self.np_random.bit_generator.state

    def restore_state(self, saved):
        """The inverse."""
        self.context, self.time, self.np_random.bit_generator.state = saved


class Tabular(gym.Env):
    """A finite MDP with deterministic transitions; episodes end by a time limit alone."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, mdp, start=0):
        self.mdp, self.first, self.time = mdp, start, 0
        self.observation_space, self.action_space = (spaces.Discrete(n) for n in mdp.rewards.shape)

    def reset(self, *, seed=None, options=None):
        self.state, self.time = self.first, 0
        return self.state, {}

    def step(self, act):
        paid = self.mdp.rewards[self.state, act]
        self.state, self.time = int(self.mdp.transitions[self.state, act].argmax()), self.time + 1
        return self.state, paid, False, self.time == 5, {}

    def save_state(self):
        """State and time."""
        return self.state, self.time

    def restore_state(self, saved):
        """The inverse."""
        self.state, self.time = saved


def small_collector(envs, dtype=np.float32, backend=REFERENCE, hidden=(4,), **options):
    """A collector with a small random policy, and its θ."""
    space = envs.single_action_space
    inputs = spaces.flatdim(envs.single_observation_space)
    discrete = isinstance(space, spaces.Discrete)
    family = categorical(int(space.n), backend) if discrete else gaussian(space.shape[0], backend)
    policy = policy_for(family, (inputs, *hidden))
    theta = policy.init(np.random.default_rng(0), dtype)
    theta = theta + 0.3 * np.random.default_rng(1).normal(size=len(theta)).astype(dtype)
    collector = Collector(envs, policy, seed=3, rng=np.random.default_rng(2), dtype=dtype, **options)
    return collector, theta


# ---- what the rows estimate ----------------------------------------------------------------------------------------


@given(mdps_with_policies())
def test_with_every_action_the_rows_give_the_local_objective_exactly_TR2_TR13(case):
    mdp, pi, new = case.mdp, case.pi, case.other
    pi = 0.9 * pi + 0.1 / pi.shape[1]  # r is where π is positive
    adv = branch_advantages(action_values(mdp, pi).T, pi.T)
    by_state = ((new / pi).T * adv).mean(axis=0)  # the mean over a state's rows
    gain = local_objective(mdp, pi, new) - start_value(mdp, pi)
    close(visits(mdp, pi) @ by_state, gain, 1e-12, scale=np.abs(mdp.rewards).max() / (1 - mdp.gamma) ** 2 + 1)


@given(seeds, st.integers(2, 3), st.integers(2, 3))
def test_with_drawn_actions_the_rows_are_unbiased_at_every_policy_TR13(seed, branches, actions):
    rng = np.random.default_rng(seed)
    pi, new, q = rng.dirichlet(np.ones(actions)), rng.dirichlet(np.ones(actions)), rng.normal(size=actions)
    mean = 0.0
    for drawn in itertools.product(range(actions), repeat=branches):
        drawn = list(drawn)
        adv = branch_advantages(q[drawn][:, None], None)[:, 0]
        mean += np.prod(pi[drawn]) * (new[drawn] / pi[drawn] * adv).mean()
    close(mean, (new - pi) @ q, 1e-12, scale=1)


@given(seeds, st.integers(2, 5))
def test_the_self_normalised_estimator_is_the_mean_of_r_adv_over_that_of_r_TR13(seed, branches):
    rng = np.random.default_rng(seed)
    q, r = rng.normal(size=branches), rng.uniform(0.5, 2, branches)
    adv = branch_advantages(q[:, None], None)[:, 0]
    close((r * q).sum() / r.sum(), q.mean() + (branches - 1) / branches * (r * adv).mean() / r.mean(), 1e-12, scale=1)
    close(adv.sum(), 0, 1e-12, scale=branches)


@given(seeds, st.integers(1, 4), st.integers(1, 6))
def test_few_actions_are_all_tried_once_and_many_are_drawn_TR13(seed, actions, states):
    rng, distribution = np.random.default_rng(seed), categorical(actions, REFERENCE)
    params = rng.normal(size=(states, actions))
    every = branching(distribution, params, max(actions, 2), rng)
    np.testing.assert_array_equal(every.act, np.repeat(np.arange(actions)[:, None], states, axis=1))
    close(every.probability, softmax_policy(params).T, 1e-12)
    if actions > 2:
        drawn = branching(distribution, params, 2, np.random.default_rng(5))
        noise = distribution.noise(np.random.default_rng(5), (2, states), np.float64)
        assert drawn.probability is None
        for m in range(2):
            np.testing.assert_array_equal(drawn.act[m], distribution.sample(params, noise[m]))


def certain(seed, states=4, actions=3):
    """A random MDP with certain transitions."""
    rng = np.random.default_rng(seed)
    moves = np.eye(states)[rng.integers(states, size=(states, actions))]
    return finite_mdp(moves, rng.normal(size=(states, actions)), np.eye(states)[0], 0.9)


@given(seeds)
def test_where_branches_are_exact_so_are_the_surrogate_and_its_gradient_TR2_TR13(seed):
    mdp, rng = certain(seed), np.random.default_rng(seed)
    (states, actions), envs = mdp.rewards.shape, sync([Tabular(mdp, start) for start in (0, 1)])
    policy = CategoricalPolicy(MLP((states, actions), "tanh", REFERENCE))
    theta, other = rng.normal(size=(2, policy.layout.size))
    everywhere = np.eye(states)
    pi, new = (softmax_policy(policy.forward(t, everywhere).params) for t in (theta, other))
    V, Q = values(mdp, pi), action_values(mdp, pi)
    collect = Collector(envs, policy, seed=0, rng=rng, dtype=np.float64)
    settings = TRPOConfig(n_steps=8, gamma=0.9, vine_states=7, vine_branches=3, vine_length=1)
    # one step and then the exact V: Q̂ is Q
    vine = collect_with_branches(collect, snapshots_of(envs), theta, lambda obs: obs @ V, settings, rng).branches
    at = vine.obs[:7].argmax(axis=1)
    assert vine.steps == len(vine.obs) == 21
    close(vine.q.reshape(actions, 7), Q[at].T, 1e-12)
    old = policy.forward(theta, vine.obs).params
    value, kl = surrogate_and_kl(policy, vine.obs, vine.act, vine.adv, old)(other)
    close(value, ((new - pi) * Q).sum(axis=1)[at].mean(), 1e-10)
    close(kl, (pi * np.log(pi / new)).sum(axis=1)[at].mean(), 1e-10)
    g = policy_gradient(policy, theta, policy.forward(theta, vine.obs), vine.act, vine.adv)
    by_logits = pi * (Q - (pi * Q).sum(axis=1, keepdims=True))  # Σ_a ∇π(a|s) Q(s,a)
    expected = policy.vjp(theta, policy.forward(theta, everywhere[at]), by_logits[at]) / 7
    close(g, expected, 1e-10, scale=np.abs(Q).max())
    _, info = update(policy, theta, Samples(*vine[:4], vine.q, old), settings)
    assert info.status == "ok"
    assert info.kl <= settings.max_kl


# ---- the rewards of a branch -----------------------------------------------------------------------------------------

V_WEIGHTS = np.array([1.0, 0.5, -0.25])


def V(obs):
    """The value function of these tests, linear in the observation."""
    return obs @ V_WEIGHTS + 2


def slow_q(collector, theta, place, act, noise, script, gamma):
    """Q̂ of one branch from the rules of a Counting environment: place is (number, episode, time)."""
    number, episode, time = place
    length, terminated, _ = script[episode % len(script)]
    q, policy = 0.0, collector.policy
    for t in range(len(noise) + 1):
        if t > 0:
            params = policy.forward(theta, observation(number, episode, time)[None]).params
            act = policy.distribution.sample(params, noise[t - 1][None])[0]
        q += gamma**t * reward(number, episode, time, act)
        time += 1
        if time == length:
            break
    over = time == length and terminated
    return q + (0 if over else gamma ** (t + 1) * V(observation(number, episode, time)))


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([(True, False), (False, True), (True, True)])), min_size=1,
             max_size=4),
    st.sampled_from([SAME, NEXT]), st.integers(1, 3), st.integers(1, 5), st.sampled_from([0.0, 0.9, 1.0]), seeds,
)  # fmt: skip
def test_a_branch_sums_rewards_to_its_end_and_bootstraps_unless_it_terminated_TR13(
    ends, mode, n_envs, length, gamma, seed
):
    script = tuple(Ending(n, *how) for n, how in ends)
    envs = sync([Saved(n, script) for n in range(n_envs)], mode)
    collector, theta = small_collector(envs, np.float64)
    states, places = [], []

    def before_step(t):
        for n, env in enumerate(envs.envs):
            if not collector._resetting[n]:
                states.append(snapshots_of(envs).save(n))
                places.append((n, env.episode, env.time))

    collector.collect(theta, 5, before_step)
    rng = np.random.default_rng(seed)
    act, noise = rng.integers(3, size=(2, len(places))), rng.random((length - 1, len(places)))
    before = [env.save_state() for env in envs.envs]
    follower = Follower(collector, snapshots_of(envs), theta, V, gamma)
    q, steps = follower.returns(states, act, noise)
    for m, (k, place) in itertools.product(range(2), enumerate(places)):
        close(q[m, k], slow_q(collector, theta, place, act[m, k], noise[:, k], script, gamma), 1e-12)
    left = [min(length, script[episode % len(script)].length - time) for _, episode, time in places]
    assert steps == 2 * sum(left)
    assert [env.save_state() for env in envs.envs] == before


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_a_compiled_branch_has_the_rewards_of_the_environment_itself_TR13(name):
    answers = []
    for vec in ("compiled", "gymnasium"):
        envs = make_vector(name, 3, vec)
        collector, theta = small_collector(envs)
        settings = TRPOConfig(n_steps=30, vine_states=12, vine_branches=3, vine_length=25)
        value = lambda obs: obs.sum(axis=1)
        answers.append(
            collect_with_branches(collector, snapshots_of(envs), theta, value, settings, np.random.default_rng(0))
        )
    np.testing.assert_array_equal(answers[0].obs, answers[1].obs)
    vine, other = (batch.branches for batch in answers)
    np.testing.assert_array_equal(vine.act, other.act)
    assert vine.steps == other.steps
    np.testing.assert_allclose(vine.q, other.q, rtol=1e-5)


def test_a_time_limit_cuts_a_branch_and_the_critic_gives_the_rest_TR13():
    envs = CompiledVectorEnv("Pendulum-v1", 2, max_episode_steps=6)
    collector, theta = small_collector(envs)
    states = []
    collector.collect(theta, 5, lambda t: states.append(snapshots_of(envs).save(0)))
    follower = Follower(collector, snapshots_of(envs), theta, lambda obs: np.full(len(obs), 1e6, np.float32), 0.5)
    q, steps = follower.returns(states, np.zeros((1, 5, 1), np.float32), np.zeros((9, 5, 1), np.float32))
    assert steps == 6 + 5 + 4 + 3 + 2
    np.testing.assert_allclose(q[0], 1e6 * 0.5 ** np.arange(6.0, 1, -1), rtol=1e-2)


# ---- common random numbers --------------------------------------------------------------------------------------


def worlds(name, count=3):
    """Environments of the given kind, all of which can save their state."""
    if name == "drifting":
        return sync([Drifting() for _ in range(count)])
    if name == "compiled, one by one":
        return sync([gym.make("minipg:minipg/Pendulum-v1") for _ in range(count)])
    if name == "stacked":  # a wrapper with a memory, changed in place
        return sync([gym.wrappers.FrameStackObservation(gym.make("CartPole-v1"), 3) for _ in range(count)])
    package, env_id, vec = name
    if package:
        module = pytest.importorskip(package)
    if package == "ale_py":
        gym.register_envs(module)
        return sync([gym.make(env_id, repeat_action_probability=0.0) for _ in range(count)])
    return make_vector(env_id, count, vec)


KINDS = [
    "drifting", "compiled, one by one", "stacked", ("", "CartPole-v1", "compiled"), ("", "Pendulum-v1", "compiled"),
    ("", "Acrobot-v1", "compiled"), ("", "MountainCarContinuous-v0", "compiled"), ("", "CartPole-v1", "gymnasium"),
    ("", "Pendulum-v1", "gymnasium"), ("mujoco", "Hopper-v5", "auto"), ("mujoco", "Ant-v5", "auto"),
    ("mujoco", "Reacher-v5", "auto"), ("ale_py", "ALE/Breakout-v5", ""),
]  # fmt: skip
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind if isinstance(kind, str) else "-".join(kind[1:]))


@each
def test_branches_with_the_same_action_are_the_same_to_the_bit_TR13(kind):
    envs = worlds(kind)
    collector, theta = small_collector(envs, backend=Backend("numba", 1))
    states, seen = [], []
    collector.collect(
        theta, 9, lambda t: (states.append(snapshots_of(envs).save(t % 3)), seen.append(collector.obs[t % 3]))
    )
    rng, distribution = np.random.default_rng(0), collector.policy.distribution
    act = distribution.sample(
        collector.policy.forward(theta, np.stack(seen)).params, distribution.noise(rng, (9,), np.float32)
    )
    noise = distribution.noise(rng, (7, 9), np.float32)
    follower = Follower(collector, snapshots_of(envs), theta, lambda obs: obs.sum(axis=1), 0.99)
    q, _ = follower.returns(states, np.stack([act, act, act]), noise)
    np.testing.assert_array_equal(q[1], q[0])
    np.testing.assert_array_equal(q[2], q[0])
    again, _ = follower.returns(states, act[None], noise)
    np.testing.assert_array_equal(again[0], q[0])
    envs.close()


def test_between_branches_of_a_state_nothing_but_their_actions_differs_TR13():
    envs = sync([Drifting() for _ in range(2)])
    collector, theta = small_collector(envs, np.float64)
    theta[:-1] = 0  # actions depend on the noise alone
    states = []
    collector.collect(theta, 4, lambda t: states.append(snapshots_of(envs).save(0)))
    noise = 0.1 * np.random.default_rng(0).normal(size=(4, 4, 1))
    follower = Follower(collector, snapshots_of(envs), theta, lambda obs: 0 * obs[:, 0], 1.0)
    q, _ = follower.returns(states, np.array([0.25, 0.75])[:, None, None] * np.ones((1, 4, 1)), noise)
    np.testing.assert_allclose(q[1] - q[0], 5 * 0.5, rtol=1e-12)  # half a step further in all five places


# ---- the main trajectory -----------------------------------------------------------------------------------


def parts_of(batch):
    """Every array of a rollout, without the branches."""
    return [getattr(batch, name) for name in batch._fields if name != "branches"]


@each
@pytest.mark.parametrize("scaled", [False, True])
def test_a_rollout_with_branches_has_the_bits_of_one_without_TR13(kind, scaled):
    def rollouts(branches):
        envs = worlds(kind)
        inputs = spaces.flatdim(envs.single_observation_space)
        extras = {"normalizer": ObservationNormalizer(inputs, REFERENCE), "scaler": RewardScaler(3, 0.9, REFERENCE)}
        collector, theta = small_collector(envs, **(extras if scaled else {}))
        settings, rng = TRPOConfig(n_steps=14, vine_states=5, vine_branches=2, vine_length=6), np.random.default_rng(0)
        value = lambda obs: obs.sum(axis=1)
        for _ in range(3):
            if branches:
                batch = collect_with_branches(collector, snapshots_of(envs), theta, value, settings, rng)
                assert np.isfinite(batch.branches.q).all()
            else:
                batch = collector.collect(theta, 14)
            yield from parts_of(batch)
            if scaled:
                yield from (*collector.normalizer.moments.state().values(), *collector.scaler.moments.state().values())
                yield collector.scaler.running.copy()
        envs.close()

    for a, b in zip(rollouts(True), rollouts(False), strict=True):
        np.testing.assert_array_equal(a, b)


@each
def test_a_restored_state_continues_to_the_same_bits(kind):
    envs = worlds(kind)
    envs.reset(seed=4)
    envs.action_space.seed(0)
    tell = [envs.action_space.sample() for _ in range(12)]
    for act in tell[:4]:
        envs.step(act)
    snapshots = snapshots_of(envs)
    states = [snapshots.save(n) for n in range(3)]
    lived = [[np.array(part) for part in envs.step(act)[:4]] for act in tell[4:]]
    for order in ([0, 1, 2], [2, 0, 1]):  # in its own environment, and in another's
        snapshots.begin([states[n] for n in order])
        for act, now in zip(tell[4:], lived, strict=True):
            again = snapshots.step(act[order], np.ones(3, bool))
            if now[2].any() or now[3].any():
                break
            for a, b in zip(again, now, strict=True):
                np.testing.assert_array_equal(np.asarray(a), b[order])
    envs.close()


def test_branches_use_the_statistics_without_updating_them_TR13():
    envs = sync([Saved(n) for n in range(2)])
    normalizer, scaler = ObservationNormalizer(3, REFERENCE), RewardScaler(2, 0.9, REFERENCE)
    collector, theta = small_collector(envs, np.float64, normalizer=normalizer, scaler=scaler)
    states = []
    collector.collect(theta, 6, lambda t: states.append((envs.envs[0].save_state(), snapshots_of(envs).save(0))))
    deviation = np.sqrt(scaler.moments.square[0] / scaler.moments.count[0])
    follower = Follower(collector, snapshots_of(envs), theta, lambda obs: obs @ V_WEIGHTS, 0.5)
    q, _ = follower.returns([s for _, s in states], np.zeros((1, 6), np.int64), np.zeros((0, 6)))
    for k, ((_, episode, time), _) in enumerate(states):
        length, terminated, _ = envs.envs[0].script[episode % 6]
        after = normalizer(observation(0, episode, time + 1)[None])[0] @ V_WEIGHTS
        over = terminated and time + 1 == length
        close(q[0, k], reward(0, episode, time, 0) / deviation + (0 if over else 0.5 * after), 1e-12, scale=1)


def test_states_are_chosen_uniformly_and_none_of_those_that_only_reset_TR13():
    envs = sync([Saved(n, (Ending(1, True, False),)) for n in range(2)], NEXT)
    collector, theta = small_collector(envs, np.float64)
    settings = TRPOConfig(n_steps=6, vine_states=3, vine_branches=3, vine_length=2)
    rng, chosen = np.random.default_rng(0), []
    for _ in range(300):
        vine = collect_with_branches(collector, snapshots_of(envs), theta, V, settings, rng).branches
        assert (vine.obs[:, 2] == 0).all()
        assert len(vine.obs) % 3 == 0
        assert vine.steps == len(vine.obs)
        np.testing.assert_array_equal(vine.obs[: len(vine.obs) // 3], vine.obs[-len(vine.obs) // 3 :])
        chosen += vine.obs[: len(vine.obs) // 3, 0].tolist()
    assert 0.45 < np.mean(chosen) < 0.55


# ---- what goes wrong -----------------------------------------------------------------------------------------------


class Stuck(gym.Wrapper):
    """A wrapper with something that cannot be copied."""

    def __init__(self, env):
        super().__init__(env)
        self.handle = (i for i in range(3))


@pytest.mark.parametrize(
    "env,what",
    [(lambda: "test/Counting-v0", "Counting"), (lambda: Counting(), "Counting"),
     (lambda: gym.vector.SyncVectorEnv([Counting], autoreset_mode=SAME), "Counting"),
     (lambda: gym.wrappers.vector.RecordEpisodeStatistics(make_vector("CartPole-v1", 2)), "RecordEpisode")],
)  # fmt: skip
def test_an_environment_without_saved_states_is_refused_and_the_message_lists_those_that_have_them(env, what):
    with pytest.raises(ConfigError, match=f"sampling: vine needs .*compiled.*MuJoCo.*save_state.* got .*{what}"):
        TRPO(env(), sampling="vine", threads=1)


def test_sticky_actions_are_refused():
    pytest.importorskip("ale_py")
    with pytest.raises(ConfigError, match=r"ALE without sticky actions.* got .*repeat_action_probability 0\.25"):
        TRPO("ALE/Breakout-v5", sampling="vine", num_envs=1, hidden=(2,), threads=1)


def test_a_wrapper_that_cannot_be_copied_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"got Stuck .*generator"):
        TRPO(Stuck(gym.make("CartPole-v1")), sampling="vine", threads=1, n_steps=8).learn(1)


def test_environments_in_processes_are_refused():
    with pytest.raises(ConfigError, match=r"sampling: .* got ProcessVectorEnv"):
        TRPO("CartPole-v1", sampling="vine", vec="process", num_envs=1)


def test_one_branch_is_too_few():
    with pytest.raises(ConfigError, match=r"vine_branches: expected an integer ≥ 2"):
        TRPOConfig(vine_branches=1)


@pytest.mark.parametrize("fault,what", [("reward", "reward nan"), ("crash", "RuntimeError at step 1 of a branch: bug")])
def test_a_fault_in_a_branch_is_named_and_the_environments_are_restored(fault, what):
    class Bad(Saved):
        armed = False

        def step(self, act):
            obs, paid, *rest = super().step(act)
            if self.armed and self.time > 1:
                if fault == "crash":
                    raise RuntimeError("bug")
                paid = np.nan
            return obs, paid, *rest

    envs = sync([Bad(0, (Ending(9, True, False),))])
    collector, theta = small_collector(envs, np.float64)
    follower = Follower(collector, snapshots_of(envs), theta, V, 0.9)
    state = snapshots_of(envs).save(0)
    collector.collect(theta, 3)
    envs.envs[0].armed = True
    with pytest.raises(EnvironmentFault, match=what):
        follower.returns([state], np.zeros((1, 1), np.int64), np.zeros((3, 1)))
    assert envs.envs[0].time == 3


# ---- training ------------------------------------------------------------------------------------------------------

SMALL = {"sampling": "vine", "num_envs": 2, "n_steps": 64, "hidden": (8,), "vf_epochs": 2, "vine_states": 10,
         "vine_branches": 3, "vine_length": 8}  # fmt: skip


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_the_same_seed_gives_the_same_bits_whatever_the_number_of_threads(env):
    agents = [TRPO(env, seed=3, threads=threads, **SMALL).learn(1500) for threads in (1, 2)]
    np.testing.assert_array_equal(agents[0].theta, agents[1].theta)
    np.testing.assert_array_equal(agents[0].value.theta, agents[1].value.theta)
    assert (agents[0].theta != TRPO(env, seed=4, threads=1, **SMALL).learn(1500).theta).any()


@pytest.mark.parametrize("solver", ["conjugate-gradient", "dual"])
def test_the_steps_of_branches_are_steps(solver):
    rows = []
    agent = TRPO("Pendulum-v1", threads=1, solver=solver, **SMALL)
    agent.learn(1000, on_update=lambda agent, row: rows.append(row))
    assert [row["steps"] for row in rows] == [(k + 1) * (128 + 10 * 3 * 8) for k in range(3)]
    assert agent.steps == rows[-1]["steps"]
    assert {row["status"] for row in rows} <= {"ok", "line search"}


def test_the_first_trajectory_is_that_of_single_paths():
    seen = [TRPO("CartPole-v1", threads=1, **{**SMALL, "sampling": how}) for how in ("vine", "single-path")]
    for a, b in zip(*(parts_of(agent._collect(agent._new_collector())) for agent in seen), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_critic_learns_from_the_trajectory_and_the_policy_from_the_branches(monkeypatch):
    rows = {}
    natural, fit = trpo.update, trpo.fit_critic
    monkeypatch.setattr(trpo, "update", lambda *args: rows.update(policy=len(args[2].obs)) or natural(*args))
    monkeypatch.setattr(
        trpo, "fit_critic", lambda *args, **options: rows.update(critic=len(args[2].obs)) or fit(*args, **options)
    )
    TRPO("Pendulum-v1", threads=1, **SMALL).learn(1)
    assert rows == {"policy": 30, "critic": 128}


def test_vine_sampling_solves_cartpole_within_300_000_simulated_steps():
    agent = TRPO("CartPole-v1", sampling="vine", seed=0, threads=1).learn(290_000)
    assert agent.steps <= 300_000
    assert evaluate(agent, 20, 0, True)["mean_return"] >= 475


def test_vine_sampling_steps_mujoco():
    pytest.importorskip("mujoco")
    rows = []
    agent = TRPO("InvertedPendulum-v5", threads=1, normalize_obs=True, normalize_reward=True, **SMALL)
    agent.learn(1500, on_update=lambda agent, row: rows.append(row))
    assert all(row["status"] == "ok" for row in rows)
    assert np.isfinite(agent.theta).all()


@pytest.mark.parametrize("space", [spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3), spaces.Box(-1, 1, (2, 1))])
def test_vine_sampling_takes_any_action_and_observation_space(space):
    envs, rows = sync([SavedMatching(space, mixed=True) for _ in range(2)]), []
    agent = TRPO(envs, threads=1, squash=isinstance(space, spaces.Box), **SMALL)
    agent.learn(1500, on_update=lambda agent, row: rows.append(row))
    assert all(row["status"] == "ok" for row in rows)
    assert np.isfinite(agent.theta).all()


def test_a_saved_agent_learns_on(tmp_path):
    TRPO("CartPole-v1", threads=1, **SMALL).learn(300).save(tmp_path / "agent.npz")
    agent = TRPO.load(tmp_path / "agent.npz", threads=1)
    assert agent.config.sampling == "vine"
    assert np.isfinite(agent.learn(300).theta).all()
