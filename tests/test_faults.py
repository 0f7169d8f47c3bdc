"""A faulty environment costs an episode or ends the run with a line that names it; what was learned before is kept."""

import csv
import logging
import os
import re
import subprocess
import sys
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from environments import MISBEHAVIOURS, Choosing, Counting, observation, sync
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorWrapper
from gymnasium.wrappers.vector import DictInfoToList

import minipg
from minipg import MLP, REINFORCE, TRPO, Backend, CategoricalPolicy, ValueNetwork
from minipg.algorithms.advantages import estimate_advantages
from minipg.cli import main
from minipg.envs import LIFE_LOST, guard, make_vector, processes
from minipg.errors import EnvironmentFault
from minipg.rollout import Batch, Collector
from minipg.runs import evaluate
from minipg.runtime import child

SAME, NEXT = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP
SMALL = {"n_steps": 8, "hidden": (4,), "vf_epochs": 1, "threads": 1}
LINUX = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="asks Linux for the files of a process")
PATIENCE = 4.0  # seconds: a busy machine may take one for an honest answer


class Seeded(VectorWrapper):
    """Resets with these seeds, whatever seed is passed."""

    def __init__(self, envs, *seeds):
        super().__init__(envs)
        self.seeds = list(seeds)

    def reset(self, **_):
        return self.env.reset(seed=self.seeds)


@pytest.fixture(scope="module")
def apart():
    envs = make_vector("test/Choosing-v0", 2, "process", PATIENCE)
    yield envs
    envs.close()


VECTORS = {
    "in line": lambda: make_vector("test/Choosing-v0", 2, "gymnasium"),
    "same step": lambda: sync([Choosing(), Choosing()], SAME),
    "next step": lambda: sync([Choosing(), Choosing()], NEXT),
}

# The message where minipg makes the vector, and where the vector is one of Gymnasium's, which stacks what it gets and
# does not name the environment. Compiled environments and EnvPool's do none of this.
RAISED = "raised RuntimeError at step {}: the environment's own bug"
TABLE = {
    "raises": (f"environment 1 {RAISED} (environments.py, line", f"the environment {RAISED}"),
    "raises in reset": (f"environment 1 {RAISED} (environments.py, line", f"the environment {RAISED}"),
    "raises SystemExit": ("environment 1 raised SystemExit at step {}: enough", "raised SystemExit at step {}: enough"),
    "returns four things": ("from environment 1 at step {}: expected a tuple of 5", "raised ValueError at step {}"),
    "observation of another shape": (
        "observation of shape (2,) from environment 1 at step {}: expected shape (3,)",
        "raised ValueError at step {}: all input arrays must have the same shape",
    ),
    "observation of words": ("of <U1 from environment 1 at step {}: expected numbers of float64", "raised"),
    "observation of objects": ("of object from environment 1 at step {}: expected numbers of float64", "raised"),
    "complex observation": ("of complex128 from environment 1 at step {}: expected numbers of float64", "raised"),
    "no observation": ("observation None of object from environment 1 at step {}: expected numbers", "raised"),
    "nan observation": 2 * ("observation nan from environment 1, component 1 at step {}: expected finite numbers",),
    "inf reward": 2 * ("reward -inf from environment 1 at step {}: expected finite numbers",),
    "no reward": ("reward None from environment 1 at step {}: expected a real number", "reward nan from environment 1"),
    "reward in an array": ("reward array([1., 1.]) from environment 1 at step {}: expected a real number", "raised"),
    "reward in words": ("reward 'much' from environment 1 at step {}: expected a real number", "raised ValueError"),
    "terminated in words": ("terminated 'no' from environment 1 at step {}: expected True or False", None),
    "truncated in an array": ("truncated array([False, False]) from environment 1 at step {}: expected True", "raised"),
}  # fmt: skip


@pytest.mark.parametrize("vector", ["in line", "process", "same step", "next step"])
@pytest.mark.parametrize("misbehaviour", TABLE)
def test_a_misbehaviour_is_reported_in_one_line_and_nothing_is_learned_from_it(misbehaviour, vector, request):
    envs = request.getfixturevalue("apart") if vector == "process" else VECTORS[vector]()
    agent = TRPO(Seeded(envs, 0, MISBEHAVIOURS.index(misbehaviour)), **SMALL)
    after = []
    says = TABLE[misbehaviour][vector in ("same step", "next step")]
    if says is None:  # any object is true or false to Gymnasium's vectors
        assert np.isfinite(agent.learn(64).theta).all()
        return
    with pytest.raises(EnvironmentFault) as caught:
        agent.learn(64, on_update=lambda agent, row: after.append((agent.theta.copy(), agent.value.theta.copy())))
    step = {"raises in reset": 22 if vector == "next step" else 20}.get(
        misbehaviour, 24 if vector == "next step" else 22
    )
    assert re.search(re.escape(says.format(step)), str(caught.value))
    assert "\n" not in str(caught.value)
    ((theta, critic),) = after
    assert np.isfinite(theta).all()
    np.testing.assert_array_equal(agent.theta, theta)
    np.testing.assert_array_equal(agent.value.theta, critic)
    assert (agent.updates, agent.steps) == (1, 16)


def test_what_cannot_be_sent_from_its_process_ends_the_run_at_once(apart, caplog):
    agent = TRPO(Seeded(apart, 0, MISBEHAVIOURS.index("cannot be sent")), **SMALL)
    says = "environment 1 returned what cannot be sent from its process at step 22: TypeError: a thing of this process"
    with pytest.raises(EnvironmentFault, match=re.escape(says)):
        agent.learn(64)
    assert (agent.updates, caplog.records) == (1, [])


# ---- processes that die or hang ------------------------------------------------------------------------------------

LOSSES = {
    "ends": "environment 1 ended its process (exit status 7): its episode is dropped, and it is restarted",
    "is killed": "environment 1 was killed by signal 9 (Killed): its episode is dropped, and it is restarted",
    "hangs": f"environment 1 did not answer for {PATIENCE:g} s: its episode is dropped, and it is restarted",
    "answers half": f"environment 1 did not answer for {PATIENCE:g} s: its episode is dropped, and it is restarted",
}


def collected(envs, misbehaviour, steps=24):
    """A rollout of two environments, of which number 1 does this."""
    policy = CategoricalPolicy(MLP((3, 4, 3), "tanh", Backend("numpy", 1)))
    theta = policy.init(np.random.default_rng(0), np.float64)
    seeded = Seeded(envs, 0, MISBEHAVIOURS.index(misbehaviour))
    return Collector(seeded, policy, seed=0, rng=np.random.default_rng(1), dtype=np.float64).collect(theta, steps)


@pytest.mark.parametrize(
    "misbehaviour",
    [pytest.param(m, marks=[LINUX] * (m == "answers half")) for m in LOSSES],
)
def test_a_lost_environment_is_restarted_and_its_episode_is_dropped(misbehaviour, apart, caplog):
    sound = collected(VECTORS["in line"](), "none")
    batch = collected(apart, misbehaviour)
    assert [record.message for record in caplog.records] == [LOSSES[misbehaviour]]
    assert np.argwhere(batch.dropped).tolist() == [[10, 1]]  # in its 11th step
    np.testing.assert_array_equal(batch.valid, ~batch.dropped)
    # the other environment is not affected
    for name in ("obs", "act", "rew", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(batch, name)[:, 0], getattr(sound, name)[:, 0])
    # the lost action was taken in the state before it; after it comes a new episode, with a new seed
    old, new = MISBEHAVIOURS.index(misbehaviour), batch.obs[11, 1, 0]
    np.testing.assert_array_equal(batch.obs[10, 1], observation(old, 1, 0))
    for t in range(11, 24):
        np.testing.assert_array_equal(batch.obs[t, 1], observation(new, *divmod(t - 11, 10)))
    assert new >= len(MISBEHAVIOURS)
    # its first episode ended, the second was lost after no step, the third began with it
    done = batch.terminated | batch.truncated
    assert np.flatnonzero(done[:, 1]).tolist() == [9, 20]
    assert batch.episode_lengths.tolist() == [10] * 4
    expected = [
        batch.rew[rows, n].sum() for n, rows in ((0, slice(10)), (1, slice(10)), (0, slice(10, 20)), (1, slice(11, 21)))
    ]
    np.testing.assert_array_equal(batch.episode_returns, expected)


def test_a_loss_gives_the_same_new_seed_every_time(apart):
    seeds = [collected(apart, "ends").obs[-1, 1, 0] for _ in range(2)]
    assert seeds[0] != seeds[1]  # the second loss gives another seed than the first
    again = make_vector("test/Choosing-v0", 2, "process", PATIENCE)
    assert [collected(again, "ends").obs[-1, 1, 0] for _ in range(2)] == [
        processes_seed(MISBEHAVIOURS.index("ends"), lost) for lost in (1, 2)
    ]
    again.close()


def processes_seed(seed, lost):
    """The seed of environment 1 after it was lost so often."""
    return int(np.random.SeedSequence((seed, 1, lost)).generate_state(1)[0] >> 1)


def a_batch(obs, rew, **changes):
    """A batch of one environment that never ends, with these `changes`."""
    steps, never = len(rew), np.zeros((len(rew), 1), bool)
    batch = Batch(
        obs[:steps, None], np.zeros((steps, 1), np.int64), obs[:steps, None], rew[:, None], never, never, ~never, never,
        never, obs[steps:], np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64),
    )  # fmt: skip
    return batch._replace(**changes)


def test_advantages_end_before_a_lost_step_and_are_bootstrapped_from_where_it_was_taken_PG12():
    rng = np.random.default_rng(0)
    critic = ValueNetwork(MLP((3, 4, 1), "tanh", Backend("numpy", 1)))
    theta = critic.mlp.init(rng, dtype=np.float64)
    obs, rew, dropped = rng.normal(size=(10, 3)), rng.normal(size=9), np.arange(9)[:, None] == 4
    whole = estimate_advantages(critic, theta, a_batch(obs, rew, dropped=dropped, valid=~dropped), 0.9, 0.8)
    parts = [
        estimate_advantages(critic, theta, a_batch(obs[:5], rew[:4]), 0.9, 0.8),
        estimate_advantages(critic, theta, a_batch(obs[5:], rew[5:]), 0.9, 0.8),
    ]
    for name in whole._fields:
        joint = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(getattr(whole, name), joint, rtol=1e-14)


def test_whole_episodes_leave_out_those_that_were_dropped(apart):
    policy = CategoricalPolicy(MLP((3, 4, 3), "tanh", Backend("numpy", 1)))
    theta = policy.init(np.random.default_rng(0), np.float64)
    seeded = Seeded(apart, 0, MISBEHAVIOURS.index("ends"))
    collect = Collector(seeded, policy, seed=0, rng=np.random.default_rng(1), dtype=np.float64)
    batch = collect.collect_episodes(theta, 2, 7)
    assert batch.dropped.sum() == 1
    assert batch.episode_lengths.tolist() == [10] * 4
    assert batch.valid.sum(axis=0).tolist() == [20, 20]
    assert not (batch.valid & batch.dropped).any()


def test_rows_of_a_dropped_episode_are_not_valid_among_whole_ones():
    from minipg.rollout.batch import first_episodes

    rng, at = np.random.default_rng(0), np.arange(9)[:, None]
    batch = a_batch(rng.normal(size=(10, 3)), rng.normal(size=9), terminated=np.isin(at, (1, 7)), dropped=at == 4)
    batch = batch._replace(episode_returns=np.zeros(2), episode_lengths=np.array([2, 3]))
    assert np.flatnonzero(first_episodes(batch, 2).valid).tolist() == [0, 1, 5, 6, 7]


def test_an_environment_that_is_lost_too_often_ends_the_run(monkeypatch, caplog):
    monkeypatch.setattr(processes, "_RESTARTS", 1)
    for name in ("test/DyingAtOnce-v0", "test/DyingInReset-v0"):
        agent = TRPO(name, vec="process", num_envs=1, **SMALL)
        before = agent.theta.copy()
        with pytest.raises(EnvironmentFault, match=r"environment 0 ended its process \(exit status 7\), 2 times since"):
            agent.learn(64)
        agent.envs.close()
        np.testing.assert_array_equal(agent.theta, before)
    assert len(caplog.records) == 2


def test_learning_continues_after_an_interruption_though_processes_have_answered_since(apart, monkeypatch):
    agent = TRPO(Seeded(apart, 0, 0), **SMALL).learn(16)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(16)
    monkeypatch.undo()
    assert agent.steps == 16
    assert agent.learn(16).steps == 32


def test_a_line_is_logged_about_an_environment_in_this_process_that_does_not_answer(monkeypatch, caplog):
    monkeypatch.setattr(guard, "_SILENCE", 0.05)
    monkeypatch.setattr("environments.time.sleep", lambda _, sleep=time.sleep: sleep(0.3))  # in place of an hour
    TRPO(Seeded(VECTORS["in line"](), 0, MISBEHAVIOURS.index("hangs")), **SMALL).learn(32)
    (record,) = caplog.records
    assert record.message.startswith(
        "the environments have not answered for 0.05 s at step 22; Ctrl-C, twice, ends the run"
    )


def test_a_line_is_logged_about_an_evaluation_that_does_not_answer(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(guard, "_SILENCE", 0.05)
    monkeypatch.setattr("environments.time.sleep", lambda _, sleep=time.sleep: sleep(0.3))  # in place of an hour
    REINFORCE("test/Slow-v0", num_envs=1, hidden=(4,), threads=1).save(tmp_path / "agent.npz")
    assert main(["evaluate", str(tmp_path / "agent.npz"), "--episodes", "1"]) == 0
    says = "the environments have not answered for 0.05 s in evaluation; Ctrl-C, once or twice, ends this"
    assert says in [record.message for record in caplog.records]


SCRIPT = """
from minipg import A3C, PPO
{guard}
    {made}, n_steps=8, hidden=(4,)).learn(16)
    print("learned")
"""
WITH_PROCESSES = ['PPO("CartPole-v1", vec="process", num_envs=2', 'A3C("CartPole-v1", interval=16']


@pytest.mark.parametrize("made", WITH_PROCESSES)
@pytest.mark.parametrize("guard", ["if True:", 'if __name__ == "__main__":'])
def test_a_script_without_a_main_guard_gets_one_line_that_names_it(guard, made, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(guard=guard, made=made))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120)
    if "__main__" in guard:
        assert (done.returncode, done.stdout, done.stderr) == (0, "learned\n", "")
        return
    assert done.returncode == 1
    assert "learned" not in done.stdout
    assert done.stderr.count("Traceback") == 1  # the processes print none
    says = "minipg.errors.EnvironmentFault: this run starts processes, and each of them runs the script again: guard"
    assert done.stderr.splitlines()[-1].startswith(says)
    assert done.stderr.splitlines()[-1].endswith('with if __name__ == "__main__":')


@pytest.mark.parametrize("made", WITH_PROCESSES)
def test_a_program_from_standard_input_starts_processes(made):
    program = f"from minipg import A3C, PPO\n{made}, n_steps=8, hidden=(4,)).learn(16)\nprint(__file__)\n"
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "<stdin>\n", "")


class Answering(gym.Env):
    """Every step returns what it is made with."""

    observation_space, action_space = spaces.Box(0, 1, (2,)), spaces.Discrete(2)

    def __init__(self, reward=0.0, terminated=True, info=None):
        self.answer = reward, terminated, False, info or {}

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, act):
        return np.zeros(2, np.float32), *self.answer


@pytest.mark.parametrize("flag", [True, 1, np.True_, np.int8(1), False, 0, np.False_, None, "yes"], ids=repr)
def test_a_lost_life_is_any_kind_of_true(flag):
    envs = make_vector(Answering(terminated=False, info={LIFE_LOST: flag}), 1)
    envs.reset()
    lost = envs.step(np.array([0]))[4].get(LIFE_LOST, [False])[0]
    assert lost == (flag not in (None, "yes") and bool(flag))


@pytest.mark.parametrize(
    "reward",
    [10**30, Fraction(1, 2), Decimal("0.5"), np.float16(0.5), np.array(0.5), True, np.bool_(True), 3],
    ids=repr,
)
def test_every_real_number_is_a_reward(reward):
    envs = make_vector(Answering(reward), 1)
    envs.reset()
    assert envs.step(np.array([0]))[1].tolist() == [float(reward)]


@pytest.mark.parametrize(
    "reward,says",
    [
        (np.array([1.0]), r"reward array\(\[1.\]\) from .*: expected a real number, not an array of shape \(1,\)"),
        (10**400, "reward inf from environment 0 .*: expected finite numbers"),
        (-(10**400), "reward -inf from environment 0 .*: expected finite numbers"),
        (Decimal("sNaN"), r"reward Decimal\('sNaN'\) from environment 0 .*: expected a real number"),
        (1j, "reward 1j from environment 0 .*: expected a real number"), ("1", "expected a real number"),
        ([1.0], r"not an array of shape \(1,\)"), (None, "expected a real number"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_anything_else_is_refused_as_a_reward(reward, says):
    with pytest.raises(EnvironmentFault, match=says):
        TRPO(Answering(reward), **SMALL).learn(8)


@pytest.mark.parametrize("mode", [SAME, NEXT])
def test_infos_that_a_wrapper_made_a_list_are_read_alike(mode):
    plain, listed = (TRPO(wrap(sync([Counting(), Counting()], mode)), **SMALL).learn(64)
                     for wrap in (lambda envs: envs, DictInfoToList))  # fmt: skip
    np.testing.assert_array_equal(listed.theta, plain.theta)
    given = DictInfoToList(sync([Counting(), Counting()], mode))
    assert evaluate(listed, 4, env=given) == evaluate(plain, 4, env=sync([Counting(), Counting()], mode))


class WithInfos(VectorWrapper):
    """Returns these infos."""

    def __init__(self, envs, infos):
        super().__init__(envs)
        self.infos = infos

    def step(self, actions):
        return (*self.env.step(actions)[:4], self.infos)


def test_infos_of_another_kind_are_refused():
    assert TRPO(WithInfos(sync([Counting()], NEXT), None), **SMALL).learn(16).steps == 16
    for infos in ("none", [{}, {}], [None], 3):
        with pytest.raises(
            EnvironmentFault, match=r"infos .* from the vector environment at step 1: expected a dict, or 1"
        ):
            TRPO(WithInfos(sync([Counting()], NEXT), infos), **SMALL).learn(16)


def test_processes_end_with_their_vector():
    envs = make_vector("test/Counting-v0", 2, "process")
    assert not envs._children  # an agent that only predicts needs none
    envs.reset(seed=0)
    running = [child._process for child in envs._children.values()]
    assert all(process.is_alive() for process in running)
    envs.close()
    assert not any(process.is_alive() for process in running)


# ---- the command line ----------------------------------------------------------------------------------------------


def train(env, *flags):
    small = ["--steps", "64", "--num-envs", "1", "--n-steps", "16", "--hidden", "4", "--vf-epochs", "1", "--out", "run"]
    return main(["train", "trpo", env, *small, *flags])


def test_dropped_episodes_are_counted_in_the_metrics_and_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert train("test/Dying-v0", "--vec", "process", "--env-timeout", "30") == 0
    rows = list(csv.DictReader(Path("run/metrics.csv").read_text().splitlines()))
    assert [int(row["dropped"]) for row in rows] == [0, 1, 1, 1]  # in steps 21, 42 and 63
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 3
    assert minipg.load("run").config.env_timeout == 30


def test_an_environment_that_raises_in_a_process_ends_the_run_with_status_2_and_the_agent_saved(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert train("test/Crashing-v0", "--vec", "process") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("minipg: environment 0 raised RuntimeError at step 21: the environment's own bug (")
    assert "minipg train --resume run" in line
    assert minipg.load("run").steps == 16


def test_an_environment_that_raises_while_it_is_closed_undoes_nothing(tmp_path, monkeypatch, caplog, capsys):
    def close(self):
        raise RuntimeError("the environment's own bug")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("environments.Counting.close", close)
    assert train("test/Counting-v0", "--vec", "gymnasium") == 0
    assert main(["train", "--resume", "run", "--steps", "80"]) == 0
    assert main(["evaluate", "run", "--episodes", "1"]) == 0
    assert minipg.load("run").steps == 80
    says = "the environment raised RuntimeError as it was closed: the environment's own bug"
    assert [record.message.startswith(says) for record in caplog.records] == [True] * 3
    assert capsys.readouterr().err == ""


def test_evaluation_counts_whole_episodes_alone_and_only_those_that_end():
    agent = REINFORCE("test/Endless-v0", num_envs=1, hidden=(4,), threads=1)
    with pytest.raises(EnvironmentFault, match="environment 0 has not ended its episode in 30 steps of evaluation"):
        evaluate(agent, 2, max_steps=30)
    lossy, sound = (TRPO(f"test/{name}-v0", vec=vec, num_envs=1, **SMALL)
                    for name, vec in (("Dying", "process"), ("Counting", "gymnasium")))  # fmt: skip
    sound.theta = lossy.theta
    assert evaluate(lossy, 1)["mean_return"] == evaluate(sound, 1)["mean_return"]
    assert evaluate(lossy, 9)["episodes"] == 9
    lossy.envs.close()
