"""A3C: alone it is A2C, its trace can be repeated, and no worker takes the others with it."""

import copy
import dataclasses
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import environments  # noqa: F401  (registers the environments)
import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minipg
from minipg import A2C, A3C, Backend
from minipg.algorithms.trace import Trace
from minipg.cli import main
from minipg.errors import ConfigError, EnvironmentFault
from minipg.rollout.normalizer import Moments, merged
from minipg.runs.metrics import MetricsReader
from minipg.runtime import engine
from minipg.runtime.engine import ProcessEngine, ThreadEngine

SMALL = {
    "seed": 3, "num_envs": 2, "n_steps": 5, "hidden": (8,), "schedule": "linear", "ent_coef": 0.01,
    "learning_rate": 1e-2, "vf_learning_rate": 1e-2, "gae_lambda": 1.0,
}  # fmt: skip
ON_THREADS = {**SMALL, "engine": "threads", "interval": 400}
NORMALIZED = {"normalize_obs": True, "normalize_reward": True}


def parts(agent):
    """Everything that learning changes."""
    moments = [one.moments.state() for one in (agent.normalizer, agent.scaler) if one is not None]
    arrays = [agent.theta, agent.state.second, agent.value.theta, agent.value.second, *map(np.array, agent._recent)]
    return [*arrays, *(array for state in moments for array in state.values())]


def same(a, b):
    return len(parts(a)) == len(parts(b)) and all(map(np.array_equal, parts(a), parts(b)))


@pytest.mark.parametrize("settings", [{}, NORMALIZED])
@pytest.mark.parametrize("where", ["threads", "processes"])
@pytest.mark.parametrize("env", ["CartPole-v1", "test/Uneven-v0"])
def test_one_worker_is_a2c_to_the_bit_AC2(env, where, settings):
    plain = A2C(env, **SMALL, **settings).learn(800, of=800)
    alone = A3C(env, **{**ON_THREADS, **settings, "engine": where}, workers=1).learn(800, of=800)
    assert (alone.steps, alone.updates, alone.value.step) == (800, 2, plain.updates)
    assert same(plain, alone)


@pytest.mark.parametrize("settings", [{}, NORMALIZED])
def test_a_trace_repeated_by_one_thread_gives_the_same_bits_AC2(settings):
    workers = 3
    traced = A3C("CartPole-v1", **ON_THREADS, **settings, workers=workers)
    traced.trace = Trace()
    traced.learn(1200, of=1200)
    events = traced.trace.events
    assert {number for number, _ in events} == set(range(workers))
    repeated = A3C("CartPole-v1", **ON_THREADS, **settings, workers=workers)
    repeated.trace = Trace(events)
    repeated.learn(1200, of=1200)
    assert repeated.steps == traced.steps >= 1200
    assert same(traced, repeated)


def repeating(events, env="CartPole-v1", **settings):
    """The rows of metrics and the agent after these events."""
    agent, rows = A3C(env, **{**ON_THREADS, **settings}), []
    agent.trace = Trace(events)
    agent.learn(1, on_update=lambda _, row: rows.append(row))
    return rows, agent


def test_staleness_counts_the_steps_of_others_between_a_copy_and_its_step_AC2():
    a, b = 0, 1
    rows, agent = repeating(
        [(a, "copy"), (b, "copy"), (a, "apply"), (a, "copy"), (a, "apply"), (b, "apply"), (a, "report"), (b, "report")]
    )
    (row,) = rows
    assert (row["staleness"], row["stalest"]) == (2 / 3, 2)
    assert (row["steps_0"], row["steps_1"]) == (20, 10)
    assert agent.steps == 30


def test_a_stale_worker_steps_from_the_shared_parameters_along_the_gradient_at_its_copy_AC2():
    a, b = 0, 1
    reports = [(a, "report"), (b, "report")]
    begun = A3C("CartPole-v1", **ON_THREADS)
    in_turn = repeating([(b, "copy"), (b, "apply"), (a, "copy"), (a, "apply"), *reports])[1]
    stale = repeating([(b, "copy"), (a, "copy"), (b, "apply"), (a, "apply"), *reports])[1]
    alone = repeating([(a, "copy"), (a, "apply"), *reports])[1]
    of_b = repeating([(b, "copy"), (b, "apply"), *reports])[1]
    assert not np.array_equal(stale.theta, in_turn.theta)  # its gradient was taken elsewhere
    # RMSProp's squares are a sum over the gradients, and those of a stale worker are the same as if it were alone
    decay = np.float32(begun.config.rms_decay)
    for squares in (lambda agent: agent.state.second, lambda agent: agent.value.second):
        np.testing.assert_allclose(squares(stale), decay * squares(of_b) + squares(alone), rtol=1e-5, atol=1e-12)


def test_workers_see_different_episodes_and_others_after_they_were_made_anew():
    agent = A3C("CartPole-v1", **ON_THREADS, workers=2)
    agent.start()
    for worker in (0, 1):
        agent._engine.restart(worker)
        agent._engine.next()
    made = [*agent._engine._objects, *(agent._engine._make(number) for number in (0, 1))]
    for worker in made:
        worker.begin(0, 1, {}, agent.config)
    firsts = [worker.collector.obs.tobytes() for worker in made]
    assert len(set(firsts)) == len(firsts)


def test_statistics_reach_every_worker_and_come_back_as_one():
    agent = A3C("CartPole-v1", **ON_THREADS, **NORMALIZED, workers=2).learn(1200, of=1200)
    rows = agent.steps + 2 * agent.config.num_envs  # and the first observations of every worker
    assert agent.normalizer.moments.count == rows
    assert agent.scaler.moments.count == agent.steps


def test_an_interval_counts_what_all_workers_did():
    events = [(number, moment) for _ in range(4) for number in (0, 1) for moment in ("copy", "apply")]
    events += [(number, "report") for number in (0, 1)]
    (row,), agent = repeating(events, "test/Counting-v0", num_envs=1)
    lengths = [3, 4, 1, 2, 1, 5, 3]  # of the episodes that end within 20 steps
    assert (row["steps_0"], row["steps_1"], agent.steps, row["episodes"]) == (20, 20, 40, 2 * len(lengths))
    assert sorted(length for _, length in agent._recent) == sorted(2 * lengths)


@given(st.integers(0, 2**32), st.integers(0, 20), st.lists(st.integers(0, 20), min_size=2, max_size=4))
def test_statistics_of_several_workers_are_those_of_all_their_rows(seed, before, counts):
    rng = np.random.default_rng(seed)

    def moments(*blocks):
        found = Moments(2, Backend("numpy"))
        for block in blocks:
            found.merge(block)
        return {"obs": found.state()}

    first, *others = (rng.normal(3, 2, (count, 2)) for count in (before, *counts))
    found = merged(moments(first), [moments(first, block) for block in others])["obs"]
    expected = moments(first, *others)["obs"]
    assert found["count"] == expected["count"]
    for name in ("mean", "square"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-9)


class Failing(gym.Env):
    """Raises, or ends its process, at step 30 of its life, if it was the first one made in this folder."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, folder, how, always=False):
        self.how, self.steps = how, 0
        place = Path(folder) / "made"
        self.fails = always or not place.exists()
        place.touch()

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.fails and self.steps > 30:
            if self.how == "raises":
                raise ValueError("the sensor is gone")
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros(1, np.float32), 1.0, self.steps % 10 == 0, False, {}


def failing(folder, how, always=False):
    """A function that makes the environment; the first two calls are the agent's and that of its spaces."""
    (folder / "made").touch()

    def make():
        return Failing(folder, how, always)

    return make


@pytest.mark.parametrize(("how", "where"), [("raises", "threads"), ("raises", "processes"), ("dies", "processes")])
def test_a_worker_that_is_lost_is_named_and_made_anew_and_the_others_go_on(how, where, tmp_path, caplog):
    make = failing(tmp_path, how)
    agent = A3C(make, **{**ON_THREADS, "engine": where, "num_envs": 1, "interval": 200}, workers=2)
    agent.start()
    (tmp_path / "made").unlink()  # the next one that is made fails
    agent._engine.restart(1)
    rows = []
    agent.learn(2000, on_update=lambda _, row: rows.append(row))
    assert agent.steps >= 2000
    (record,) = caplog.records
    reason = "raised .*the sensor is gone" if how == "raises" else r"was killed by signal 9 \(Killed\)"
    assert re.fullmatch(f"worker 1 {reason}.*: it is made anew, with new episodes", record.message)
    assert np.isfinite(agent.theta).all()


def test_a_worker_that_is_lost_again_and_again_ends_the_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(engine, "RESTARTS", 2)
    agent = A3C(failing(tmp_path, "raises", always=True), **{**ON_THREADS, "num_envs": 1}, workers=1)
    theta = agent.theta.copy()
    with pytest.raises(EnvironmentFault, match=r"worker 0 raised .*the sensor is gone.*, 3 times in a row"):
        agent.learn(400)
    assert len(caplog.records) == 2
    np.testing.assert_array_equal(agent.theta, theta)


class Paying(gym.Env):
    """Pays what is larger than any square in float32."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self):
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), 1e14 if self.steps == 12 else 1.0, False, self.steps % 10 == 0, {}


def test_a_gradient_that_is_not_finite_is_not_applied_and_said(monkeypatch):
    def infinite(agent, number):
        samples = experience(agent)
        return samples._replace(adv=samples.adv * np.float32(np.inf), ret=samples.ret * np.float32(np.inf))

    from minipg.algorithms import a3c

    experience = a3c.Worker.experience
    monkeypatch.setattr(a3c.Worker, "experience", lambda worker: infinite(worker, 0))
    agent = A3C("CartPole-v1", **ON_THREADS, workers=2)
    before, rows = parts(agent), []
    agent.learn(400, on_update=lambda _, row: rows.append(row))
    assert re.fullmatch(r"\d+ gradients not finite", rows[0]["status"])
    assert np.isnan(rows[0]["grad_norm"])
    for old, new in zip(before, parts(agent)[: len(before)], strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_interrupt_leaves_the_agent_as_it_was_and_learning_goes_on(monkeypatch):
    agent = A3C("CartPole-v1", **ON_THREADS, workers=2).learn(400)
    before = parts(agent)

    def interrupt(self, timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadEngine, "next", interrupt)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(400)
    assert all(map(np.array_equal, before, parts(agent)))
    monkeypatch.undo()
    assert agent.learn(400).steps >= 800


def test_what_workers_cannot_share_is_refused():
    with pytest.raises(ConfigError, match="got an instance: each worker makes its own"):
        A3C(gym.make("CartPole-v1"))
    with pytest.raises(ConfigError, match="vec: expected auto, compiled, gymnasium or envpool, got 'process'"):
        A3C("CartPole-v1", vec="process")
    with pytest.raises(ConfigError, match="engine: expected processes or threads, got 'ray'"):
        A3C("CartPole-v1", engine="ray")
    for workers in (0, 1.5):
        with pytest.raises(ConfigError, match="workers"):
            A3C("CartPole-v1", workers=workers)


RUN = ["CartPole-v1", "--steps", "4000", "--hidden", "8", "--interval", "1000"]


def test_a_run_says_that_it_cannot_be_repeated_and_goes_on_after_a_stop(tmp_path, capfd):
    folder = tmp_path / "run"
    assert main(["train", "a3c", *RUN, "--out", str(folder)]) == 0
    said = capfd.readouterr().out
    assert "2 workers, engine processes, without a lock: the same seed gives other bits in every run" in said
    assert main(["train", "--resume", str(folder), "--steps", "6000"]) == 0
    said = capfd.readouterr().out
    assert "new episodes begin: each worker starts its own, and they interleave anew" in said
    agent = minipg.load(folder)
    assert type(agent) is A3C
    assert agent.steps >= 6000
    assert agent.predict(np.zeros(4, np.float32))[0] in (0, 1)
    assert main(["plot", str(folder), "--output", str(tmp_path / "sheet.png")]) == 0
    assert main(["evaluate", str(folder), "--episodes", "1"]) == 0


def test_a_run_goes_on_with_more_and_with_fewer_workers(tmp_path, capfd):
    folder = tmp_path / "run"
    assert main(["train", "a3c", *RUN, "--engine", "threads", "--out", str(folder)]) == 0
    for steps, workers in ((6000, 3), (8000, 1)):
        assert main(["train", "--resume", str(folder), "--steps", str(steps), "--workers", str(workers)]) == 0
    columns = MetricsReader(folder / "metrics.csv").columns()
    assert columns["steps"][-1] >= 8000
    assert [np.isfinite(columns[f"steps_{k}"]).sum() for k in range(3)] == [8, 6, 2]
    assert main(["plot", str(folder), "--output", str(tmp_path / "sheet.png")]) == 0


def children_of(pid):
    """The processes of this command line's workers."""
    return [
        int(one) for one in subprocess.run(["pgrep", "-s", str(pid)], capture_output=True, text=True).stdout.split()
    ]


def test_no_process_is_left_after_the_run_was_killed(tmp_path):
    command = [
        sys.executable,
        "-m",
        "minipg",
        "train",
        "a3c",
        RUN[0],
        "--steps",
        "100000000",
        "--out",
        tmp_path / "run",
    ]
    run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    table = tmp_path / "run" / "metrics.csv"
    until = time.monotonic() + 120
    while not (table.exists() and table.stat().st_size) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(children_of(run.pid)) > 2
    run.kill()
    run.wait()
    while children_of(run.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not children_of(run.pid)


class Adding:
    """A worker that counts its calls."""

    def __init__(self, number):
        self.number, self.calls = number, 0

    def add(self, one):
        self.calls += one
        return self.number, self.calls

    def fail(self):
        raise ValueError("two\nlines")


@pytest.mark.parametrize("kind", [ThreadEngine, ProcessEngine])
def test_an_engine_gives_one_answer_for_every_call_and_makes_lost_workers_anew(kind):
    workers = kind(Adding, 3)
    for number in range(3):
        workers.submit(number, "add", 2)
    assert workers.busy == {0, 1, 2}
    assert sorted(workers.next() for _ in range(3)) == [(0, (0, 2)), (1, (1, 2)), (2, (2, 2))]
    assert not workers.busy
    assert workers.next(0.01) is None
    workers.submit(1, "fail")
    assert workers.next() == (1, engine.Lost("raised ValueError: two lines"))
    workers.restart(1)
    assert workers.next() == (1, None)
    workers.submit(1, "add", 1)
    assert workers.next() == (1, (1, 1))
    workers.close()


def test_workers_follow_a_callback_that_replaces_the_config():
    thetas = []

    def stop_moving(agent, row):
        thetas.append(agent.theta)
        agent.config = dataclasses.replace(agent.config, learning_rate=1e-30)

    A3C("CartPole-v1", **ON_THREADS, workers=2).learn(1200, of=1200, on_update=stop_moving)
    first, *others = thetas
    assert len(others) == 2
    for theta in others:
        np.testing.assert_array_equal(theta, first)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda agent: pickle.loads(pickle.dumps(agent))])
@pytest.mark.parametrize("where", ["threads", "processes"])
def test_a_copy_of_an_agent_that_has_learned_starts_workers_of_its_own(where, copied):
    agent = A3C("CartPole-v1", **{**ON_THREADS, "engine": where}, workers=1).learn(400)
    other = copied(agent)
    assert same(agent, other)
    assert other.learn(400, of=1200).steps == 800
    assert agent.steps == 400
    assert agent.learn(400, of=1200).steps == 800
    assert agent._engine is not other._engine
