"""DPPO: what a chief and its workers owe PPO, and what they do with answers that come late or never."""

import copy
import dataclasses
import heapq
import os
import pickle
import signal
import sys
import types

import gymnasium as gym
import numpy as np
import pytest
from cases import given_kinds, policies
from environments import Counting
from hypothesis import strategies as st
from minipg.kernels.arguments import Acted, SurrogateTerms

from minipg import DPPO, MLP, PPO, DPPOConfig, ValueNetwork
from minipg.algorithms import dppo
from minipg.algorithms.optimizers import mean
from minipg.algorithms.surrogate_epochs import surrogate_gradient
from minipg.errors import BackendError, ConfigError, EnvironmentFault
from minipg.runtime.engine import Lost

SMALL = {"num_envs": 2, "n_steps": 16, "hidden": (8,), "n_epochs": 2, "vf_epochs": 3, "minibatch_size": 8,
         "vf_minibatch_size": 16, "seed": 3}  # fmt: skip


class Simulated:
    """An engine whose calls take `cost(worker, method)` of a simulated time, so that the order of answers is known.

    `lost`: pairs of a worker and the number of its call that has no answer. `calls`: (worker, method, version) of each.
    """

    def __init__(self, make, workers, cost=lambda worker, method: 1.0, lost=()):
        self.workers, self.busy, self.now = workers, set(), 0.0
        self._make, self._objects = make, [make(k) for k in range(workers)]
        self._cost, self._lost, self._events, self.calls = cost, set(lost), [], []

    def submit(self, worker, method, *args):
        assert worker not in self.busy, "one call in flight a worker"
        self.busy.add(worker)
        self.calls.append((worker, method, args[0]))
        lost = (worker, sum(call[0] == worker for call in self.calls)) in self._lost
        answer = Lost("fell over") if lost else getattr(self._objects[worker], method)(*args)
        self._after(self._cost(worker, method), worker, answer)

    def _after(self, cost, worker, answer):
        heapq.heappush(self._events, (self.now + cost, len(self.calls), worker, answer))

    def next(self, timeout=None):
        self.now, _, worker, answer = heapq.heappop(self._events)
        self.busy.discard(worker)
        return worker, answer

    def restart(self, worker):
        self.busy.add(worker)
        self._objects[worker] = self._make(worker)
        self._after(5.0, worker, None)

    def close(self):
        """Nothing runs."""


@pytest.fixture
def simulated(monkeypatch):
    """DPPO on a simulated engine: a function of the engine's options and the agent's settings → agent, engine."""

    def make(env="CartPole-v1", engine=None, **settings):
        made = []
        new = lambda config, make: made.append(Simulated(make, config.workers, **engine or {})) or made[-1]
        monkeypatch.setattr(dppo, "_engine", new)
        agent = DPPO(env, **{**SMALL, **settings})
        agent._calls = agent._new_calls()
        return agent, made[0]

    return make


def same(ppo, chief):
    """Whether every number that learning changes is the same, to the bit."""
    arrays = lambda agent: [
        agent.theta, *agent.value, *agent.state, agent.steps, list(agent._recent),
        *(moments for part in (agent.normalizer, agent.scaler) if part for moments in part.moments.arrays),
    ]  # fmt: skip
    return all(
        np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(arrays(ppo), arrays(chief), strict=True)
    )


VARIANTS = {
    "adaptive": {},
    "clip with a target": {"objective": "clip", "target_kl": 2e-4, "n_epochs": 9, "vf_epochs": 20, "ent_coef": 0.01},
    "schedules": {"objective": "clip", "schedule": "linear", "clip_schedule": "linear", "vf_clip_range": 0.2},
    "no critic": {"vf_epochs": 0, "max_grad_norm": np.inf},
    "raw advantages": {"objective": "kl", "normalize_advantage": False},
    "squashed": {"env": "Pendulum-v1", "squash": True, "normalize_obs": True, "normalize_reward": True},
    "Gymnasium's": {"env": "Pendulum-v1", "vec": "gymnasium", "log_std_init": 2.0, "learning_rate": 0.1},
    "NumPy": {"backend": "numpy"},
}


def both(engine, env="CartPole-v1", **variant):
    settings = {**SMALL, "objective": "adaptive-kl", **variant}
    with_workers = DPPO(env, workers=1, engine=engine, **settings)
    return PPO(env, **settings).learn(150, of=300), with_workers.learn(150, of=300)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_with_one_worker_dppo_is_ppo_to_the_bit_PP5(variant):
    assert same(*both("threads", **variant))


def test_with_one_worker_in_a_process_dppo_is_ppo_to_the_bit_PP5():
    ppo, chief = both("processes", env="Pendulum-v1", normalize_obs=True)
    assert same(ppo, chief)
    assert same(ppo.learn(64, of=300), chief.learn(64, of=300))  # the worker is kept
    chief.close()


@given_kinds(
    policies(rows=st.just(8)), st.sampled_from([2, 4]), st.sampled_from([(np.float32, 1e-6), (np.float64, 1e-12)])
)
def test_the_mean_of_the_workers_gradients_is_that_of_the_union_PP5(case, workers, precision):
    dtype, tolerance = precision
    policy, (theta, v, obs, adv) = case.policy, (a.astype(dtype) for a in (case.theta, case.v, case.obs, case.adv))
    act = case.act if policy.distribution.discrete else case.act.astype(dtype)
    acted, shares = Acted(obs, act, adv, policy.forward(theta, obs).params), np.split(np.arange(8), workers)
    moved, terms = policy.project(theta + dtype(0.01) * v), SurrogateTerms(0.2, 1.0, 0.1)
    critic = ValueNetwork(MLP((obs.shape[1], 4, 1), "tanh", policy.backend))
    value, target = critic.init(np.random.default_rng(0), dtype).theta, adv
    for gradient in (
        lambda rows: surrogate_gradient(policy, moved, acted, terms, rows).gradient,
        lambda rows: critic.minibatch_gradient(value, obs, target, target, rows)[0],
    ):
        parts, union = [gradient(share) for share in shares], gradient(np.arange(8))
        assert np.linalg.norm(mean(parts) - union) <= tolerance * max(map(np.linalg.norm, parts))


def test_a_step_goes_along_the_mean_of_all_gradients_which_is_clipped_after_it_PP5(simulated):
    agent, engine = simulated(workers=3, n_epochs=1, minibatch_size=32, vf_epochs=0, max_grad_norm=1e-3)
    theta, calls = agent.theta, agent._calls
    seen, all_ = [], calls.all
    calls.all = lambda method, *args: seen.append((method, all_(method, *args))) or seen[-1][1]
    agent.learn(96)
    g = np.mean([policy.gradient for policy, _ in seen[0][1].values()], axis=0)
    assert [method for method, _ in seen] == ["gradient", "measure"]
    np.testing.assert_allclose(agent.state.first, 0.1 * g * 1e-3 / np.linalg.norm(g), rtol=1e-4, atol=1e-9)
    assert not np.array_equal(agent.theta, theta)
    assert engine.calls[0][1] == "collect"


def test_workers_have_environments_and_batches_of_their_own(simulated):
    agent, engine = simulated(workers=3)
    agent.learn(96)
    obs = [worker._samples.obs for worker in engine._objects]
    assert not any(np.array_equal(a, b) for a, b in ((obs[0], obs[1]), (obs[0], obs[2]), (obs[1], obs[2])))
    assert (agent.updates, agent.steps) == (1, 3 * 32)


def learn(agent, updates):
    rows = []
    agent.learn(10**9, on_update=lambda agent, row: rows.append(row) or len(rows) < updates, progress=False)
    return rows


def test_two_runs_of_one_seed_are_the_same_bits_without_drops(simulated):
    agents = [simulated(workers=3)[0] for _ in range(2)]
    assert [len(learn(agent, 3)) for agent in agents] == [3, 3]
    assert same(*agents)


def slow(worker, factor):
    return {"cost": lambda k, method: factor if k == worker else 1.0}


def test_a_step_waits_for_W_minus_D_and_later_gradients_are_never_applied_PP5(simulated, monkeypatch):
    agent, engine = simulated(engine=slow(1, 3.5), workers=3, drop=1)
    calls, answered = agent._calls, []
    every = calls.all

    def checked(method, *args):
        answers = every(method, *args)
        for k, answer in answers.items():  # what this worker computes at this θ: an answer to an earlier call is not it
            again = getattr(engine._objects[k], method)(0, *args).content
            assert str(answer) == str(again)
            assert all(
                np.array_equal(a.gradient, b.gradient)
                for a, b in zip(answer, again, strict=True)
                if hasattr(a, "gradient")
            )
        answered.append(len(answers))
        return answers

    monkeypatch.setattr(calls, "all", checked)
    rows = learn(agent, 4)
    assert {*answered} == {2}
    assert rows[-1]["drops_1"] > 0 == rows[-1]["drops_0"] == rows[-1]["drops_2"]
    assert rows[-1]["share_1"] < rows[-1]["share_0"]
    assert sum(rows[-1][f"share_{k}"] for k in range(3)) == pytest.approx(1)


def test_every_answer_is_used_or_counted_as_dropped_once(simulated):
    agent, engine = simulated(engine=slow(2, 2.5), workers=3, drop=1)
    used, calls = [0] * 3, agent._calls
    accept = calls._accept

    def counting(worker, version, content):
        before = calls.drops[worker]
        accept(worker, version, content)
        used[worker] += calls.drops[worker] == before

    calls._accept = counting
    learn(agent, 5)
    submitted = [sum(call[0] == k for call in engine.calls) for k in range(3)]
    in_flight = [k in engine.busy for k in range(3)]
    assert [u + d + f for u, d, f in zip(used, calls.drops, in_flight, strict=True)] == submitted
    assert calls.drops[2] > 0 == calls.drops[0] == calls.drops[1]


def test_one_slow_worker_of_three_costs_no_time_with_one_drop(simulated):
    agent, engine = simulated(engine=slow(0, 10.0), workers=3, drop=1)
    learn(agent, 6)
    slowed = engine.now
    agent, engine = simulated(workers=2)
    learn(agent, 6)
    assert slowed <= engine.now / 0.8
    agent, engine = simulated(engine=slow(0, 10.0), workers=3)
    learn(agent, 6)
    assert engine.now > 5 * slowed


def test_a_batch_that_arrives_amid_an_update_joins_it_and_one_after_it_is_discarded(simulated):
    first = {"cost": lambda k, method: 3.5 if (k, method) == (2, "collect") else 1 - k / 10}
    agent, _ = simulated(engine=first, workers=3, drop=1)
    (row,) = learn(agent, 1)
    assert (row["drops_2"], agent.steps) == (0, 96)
    assert 0 < row["share_2"] < row["share_1"]
    never = {"cost": lambda k, method: 25.0 if (k, method) == (2, "collect") else 1.0}
    agent, engine = simulated(engine=never, workers=3, drop=1)
    rows = learn(agent, 4)
    assert (rows[0]["share_2"], rows[0]["drops_2"], rows[-1]["drops_2"]) == (0, 0, 1)
    assert {method for k, method, _ in engine.calls if k == 2} == {"collect"}


def test_a_lost_worker_begins_anew_with_other_environments_and_its_share_is_missing(simulated, caplog):
    agent, engine = simulated(engine={"lost": [(1, 3)]}, workers=2)
    rows = learn(agent, 3)
    assert "worker 1 fell over" in caplog.text
    assert [row["restarts"] for row in rows] == [1, 1, 1]
    assert rows[0]["share_1"] < 0.5 == rows[-1]["share_1"]
    worker = engine._objects[1]
    assert worker._agent.seed not in (agent.seed, dppo._seed_of(agent.seed, 0, 1, 0))
    assert worker._agent.seed == dppo._seed_of(agent.seed, 0, 1, 1)


@pytest.mark.parametrize("drop", [0, 1])
@pytest.mark.parametrize("call", range(1, 9))
def test_every_call_may_be_lost_even_of_all_workers_at_once(simulated, call, drop):
    agent, _ = simulated(engine={"lost": [(0, call), (1, call)]}, workers=2, drop=drop)
    rows = learn(agent, 3)
    assert len(rows) == 3
    assert rows[-1]["restarts"] == 2
    assert np.isfinite(agent.theta).all()


@pytest.mark.parametrize("calls", [range(3, 20), range(4, 60, 2)], ids=["every call", "every gradient"])
def test_after_eleven_losses_in_a_row_the_worker_is_named_and_the_parameters_are_kept(simulated, calls):
    agent, _ = simulated(engine={"lost": [(1, call) for call in calls]}, workers=2)
    with pytest.raises(EnvironmentFault, match="worker 1 fell over, 11 times in a row"):
        learn(agent, 30)
    assert agent._calls is None
    assert np.isfinite(agent.theta).all()


class Failing(Counting):
    def step(self, act):
        if self.episode == 2:
            raise RuntimeError("its own bug")
        return super().step(act)


def test_an_environment_that_raises_in_a_worker_is_the_error_of_the_run():
    agent = DPPO(Failing, **{**SMALL, "engine": "threads", "vec": "gymnasium"})
    theta = agent.theta
    with pytest.raises(EnvironmentFault, match=r"worker [01]: .*its own bug"):
        agent.learn(1000)
    assert agent.theta is theta
    assert agent._calls is None


def killed(agent, worker):
    child = agent._calls._engine._children[worker]._process
    os.kill(child.pid, signal.SIGKILL)


def test_a_killed_process_is_replaced_and_the_run_goes_on(caplog):
    agent = DPPO("CartPole-v1", **SMALL, workers=2)
    rows = []

    def on_update(agent, row):
        rows.append(row)
        if len(rows) == 3:
            killed(agent, 1)
        return len(rows) < 4 or not (rows[-1]["restarts"] and rows[-1]["share_1"] == 0.5)

    agent.learn(10**9, on_update=on_update, progress=False)
    agent.close()
    assert rows[-1]["restarts"] == 1
    assert "worker 1 was killed by signal 9" in caplog.text


def test_statistics_count_the_rows_of_every_worker_once(simulated):
    agent, engine = simulated("Pendulum-v1", workers=3, normalize_obs=True, normalize_reward=True)
    learn(agent, 2)
    # two updates of 16 steps of 2 environments, and the first observations of each
    assert agent.normalizer.moments.count[0] == 3 * 2 * (1 + 2 * 16)
    assert agent.scaler.moments.count[0] == 3 * 2 * 2 * 16
    assert engine.workers == 3


def test_a_saved_agent_continues_with_new_episodes_and_other_seeds(tmp_path):
    agent = DPPO("CartPole-v1", **SMALL, engine="threads").learn(128, of=300)
    agent.save(tmp_path / "agent.npz")
    loaded = DPPO.load(tmp_path / "agent.npz")
    assert same(agent, loaded)
    assert loaded.learn(64, of=300).steps == agent.steps + 64
    seeds = [[worker._agent.seed for worker in one._calls._engine._objects] for one in (agent, loaded)]
    assert seeds[0][0] == agent.seed
    assert not {*seeds[0]} & {*seeds[1]}


def test_workers_follow_a_callback_that_replaces_the_config():
    """With one worker DPPO is PPO, whatever the callback sets."""

    def change(agent, row):
        agent.config = dataclasses.replace(agent.config, n_epochs=4, gamma=0.5, minibatch_size=5, n_steps=24)

    settings = {**SMALL, "objective": "adaptive-kl"}
    chief = DPPO("CartPole-v1", workers=1, engine="threads", **settings).learn(150, of=300, on_update=change)
    assert same(PPO("CartPole-v1", **settings).learn(150, of=300, on_update=change), chief)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda agent: pickle.loads(pickle.dumps(agent))])
def test_a_copy_of_an_agent_that_has_learned_starts_workers_of_its_own(copied):
    agent = DPPO("CartPole-v1", **SMALL, engine="threads").learn(64)
    other = copied(agent)
    assert same(agent, other)
    assert other.learn(64).steps == agent.steps + 64
    assert agent.learn(64).steps == other.steps
    assert agent._calls is not other._calls


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drop": 2}, "drop: expected an integer from 0 to workers − 1 = 1, got 2"),
        ({"drop": -1}, "drop: expected an integer"),
        ({"workers": 0}, "workers: expected an integer from 1"),
        ({"vec": "process"}, "vec: expected any but process"),
        ({"vf_optimizer": "lbfgs"}, "vf_optimizer: expected adam"),
        ({"engine": "mpi"}, "engine: expected processes, threads or ray"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        DPPOConfig(**settings)


def test_an_instance_of_an_environment_cannot_be_shared_but_its_policy_can_be_asked():
    agent = DPPO(gym.make("CartPole-v1"), **{**SMALL, "num_envs": 1})
    assert agent.predict(np.zeros(4))[0] in (0, 1)
    with pytest.raises(ConfigError, match="each worker makes its own"):
        agent.learn(10)


def test_the_device_is_refused_in_a_line():
    agent = DPPO("CartPole-v1", **SMALL)
    object.__setattr__(agent.backend, "on_host", False)
    with pytest.raises(ConfigError, match="expected numba or numpy"):
        agent.learn(10)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "Ray is not installed: pip install"),
        (types.SimpleNamespace(__version__="2.9.3"), "expected Ray .* got 2.9.3"),
    ],
)
def test_a_ray_that_is_missing_or_too_old_is_one_line(monkeypatch, module, message):
    monkeypatch.setitem(sys.modules, "ray", module)
    with pytest.raises(BackendError, match=f"engine ray: {message}"):
        DPPO("CartPole-v1", **SMALL, engine="ray").learn(10)


@pytest.mark.slow
def test_dppo_learns_cartpole_and_with_a_drop_too():
    for settings in ({}, {"workers": 3, "drop": 1}):
        agent = DPPO("CartPole-v1", seed=0, engine="threads", **settings).learn(100_000)
        assert np.mean([episode[0] for episode in agent._recent]) > 475
