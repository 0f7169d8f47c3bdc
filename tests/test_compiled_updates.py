"""A2C in one call of a kernel is A2C as its own file says it, whoever does the work and however often one looks."""

import copy
import dataclasses
import multiprocessing
import threading
import time

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from minipg import A2C
from minipg.algorithms import a2c
from minipg.algorithms.compiled import CompiledUpdates
from minipg.algorithms.files import words_of
from minipg.envs.compiled import CompiledVectorEnv
from minipg.errors import EnvironmentFault, ShapeError


def cut_short():
    return CompiledVectorEnv("CartPole-v1", 4, max_episode_steps=7, autoreset_mode=AutoresetMode.SAME_STEP)


PENDULUM = {"env": "Pendulum-v1", "normalize_obs": False, "normalize_reward": False}
CASES = {
    "two groups": {},
    "one group": {"num_envs": 3},
    "one environment": {"num_envs": 1},
    "episodes cut short": {"env": cut_short},
    "entropy, traces, a schedule": {"ent_coef": 0.1, "gae_lambda": 0.8, "schedule": "linear", "activation": "relu"},
    "gradients shortened": {"max_grad_norm": 1e-3, "learning_rate": 1e-2},
    "real actions": PENDULUM,
    "σ at its upper end": {**PENDULUM, "log_std_init": 2.0, "ent_coef": 1e4},
    "σ of the state": {**PENDULUM, "state_dependent_std": True},
}


def agent(env="CartPole-v1", **settings):
    return A2C(
        env() if callable(env) else env, **{"hidden": (16, 8), "n_steps": 5, "threads": 1, "seed": 3, **settings}
    )


@pytest.fixture
def plain(monkeypatch):
    """An agent whose updates are made as a2c.py says."""

    def made(**settings):
        one = agent(**settings)
        monkeypatch.setattr(a2c, "in_one_call", lambda other: other is not one)
        return one

    return made


def watched(one, updates):
    rows = []
    one.learn(
        updates * one.config.n_steps * one.config.num_envs, on_update=lambda _, row: rows.append(row), progress=False
    )
    return rows


def unwatched(one, updates):
    return one.learn(updates * one.config.n_steps * one.config.num_envs, progress=False)


def whole(one):
    learnt = {"theta": one.theta, "second": one.state.second, **one.value._asdict()}
    counts = {"recent": np.array(one._recent), "counts": np.array([one.steps, one.updates])}
    return {**learnt, **counts, "noise": words_of(one.streams.acting), **one._collector.place()}


def same(one, other):
    assert whole(one).keys() == whole(other).keys()
    for name, array in whole(one).items():
        np.testing.assert_array_equal(array, whole(other)[name], err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_updates_in_one_call_are_the_plain_ones_PG9_PG12_AC1_AC3(case, plain):
    ours, theirs = agent(**CASES[case]), plain(**CASES[case])
    for told, expected in zip(watched(ours, 12), watched(theirs, 12), strict=True):
        assert told.keys() == expected.keys()
        assert told["status"] == expected["status"] == "ok"
        for name in told.keys() - {"status", "seconds", "steps_per_second"}:
            assert told[name] == pytest.approx(expected[name], rel=2e-3, abs=1e-5, nan_ok=True), name
    assert (ours._compiled is None, theirs._compiled is None) == (False, True)
    for name, array in whole(ours).items():
        np.testing.assert_allclose(array, whole(theirs)[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert ours.recent_episodes > 0 or "Pendulum" in ours.env_id


@pytest.mark.parametrize("case", CASES)
def test_neither_threads_nor_looking_change_a_bit(case):
    unseen = unwatched(agent(**CASES[case]), 60)
    for threads in (2, 3):
        same(unwatched(agent(threads=threads, **CASES[case]), 60), unseen)
        seen = agent(threads=threads, **CASES[case])
        watched(seen, 60)
        same(seen, unseen)


def test_what_is_saved_in_the_midst_goes_on_as_if_it_had_not_been(tmp_path):
    through, saved = unwatched(agent(), 37), unwatched(agent(threads=2), 20)
    saved.save(tmp_path / "midway.npz")
    same(unwatched(A2C.load(tmp_path / "midway.npz"), 17), through)
    same(unwatched(saved, 17), through)


def test_a_copy_goes_on_like_its_original():
    one = unwatched(agent(threads=2), 20)
    other = copy.deepcopy(one)
    same(unwatched(other, 20), unwatched(one, 20))


def test_what_somebody_holds_does_not_change_under_them():
    one = unwatched(agent(), 1)
    held = one.theta, one.state.second, one.value.theta, one._collector.obs
    were = [array.copy() for array in held]
    unwatched(one, 3)
    for array, was in zip(held, were, strict=True):
        np.testing.assert_array_equal(array, was)


def huge_critic(one):
    one.value.theta[:] = 1e38


@pytest.mark.parametrize(
    "settings,before,status",
    [
        ({"learning_rate": 1e38}, None, "step not finite"),
        ({"vf_learning_rate": 1e38}, None, "critic not finite"),
        ({}, huge_critic, "gradient not finite, critic not finite"),
    ],
)
def test_a_step_that_is_not_finite_is_not_taken_and_said(settings, before, status, plain):
    ours, hidden, theirs = agent(**settings), agent(**settings), plain(**settings)
    for one in (ours, hidden, theirs):
        (before or (lambda _: None))(one)
    were = ours.theta.copy(), ours.value.theta.copy()
    rows, expected = watched(ours, 3), watched(theirs, 3)
    assert [row["status"] for row in rows] == [row["status"] for row in expected] == [status] * 3
    for row, other in zip(rows, expected, strict=True):
        assert np.isnan(row["grad_norm"]) == np.isnan(other["grad_norm"])
        assert np.isnan(row["value_loss"]) == np.isnan(other["value_loss"])
    same(unwatched(hidden, 3), ours)
    assert np.isfinite([*ours.theta, *ours.state.second]).all()
    assert ours.value.step == theirs.value.step
    kept = {"step": (True, False), "critic": (False, True), "gradient": (True, True)}[status.split()[0]]
    moved = (ours.theta != were[0]).any(), (ours.value.theta != were[1]).any()
    assert moved == tuple(not stays for stays in kept)


def test_experience_that_is_not_finite_is_not_learnt_from_and_what_was_learnt_before_stays(plain):
    settings = {**PENDULUM, "learning_rate": 1e37}  # finite parameters, and actions that are not
    ours, theirs, faults = agent(**settings), plain(**settings), []
    for one in (ours, theirs):
        with pytest.raises(EnvironmentFault, match="action") as fault:
            unwatched(one, 50)
        faults.append(str(fault.value))
    assert faults[0] == faults[1]
    assert ours.updates >= 1
    assert (ours.updates, ours.steps, ours.value.step) == (theirs.updates, theirs.steps, theirs.value.step)
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-3)
    np.testing.assert_array_equal(words_of(ours.streams.acting), words_of(theirs.streams.acting))
    assert not ours.mid_episode  # the next learning begins new episodes


def test_where_nothing_can_be_learnt_from_nothing_changes(plain):
    faults, theirs = [], plain(**PENDULUM)
    for one in (agent(**PENDULUM), theirs):
        one.theta[:] = np.nan
        if one is not theirs:  # what is left of an earlier call says nothing of this one
            one._compiled = CompiledUpdates(one)
            one._compiled._record[:] = np.nan
        kept = one.value.theta.copy()
        with pytest.raises(EnvironmentFault, match="action") as fault:
            unwatched(one, 50)
        faults.append(str(fault.value))
        np.testing.assert_array_equal(one.value.theta, kept)
        assert (one.steps, one.updates, one.value.step, one.mid_episode) == (0, 0, 0, False)
    assert faults[0] == faults[1]


def test_a_call_of_wide_networks_is_a_short_one():
    assert unwatched(agent(), 1)._compiled.most > 100 > unwatched(agent(hidden=(512, 512)), 1)._compiled.most >= 1
    assert unwatched(agent(num_envs=1, n_steps=1, hidden=(256, 256)), 1)._compiled.most < 200


def test_what_is_changed_between_two_learnings_is_heeded(plain):
    ours, theirs = unwatched(agent(), 10), unwatched(plain(), 10)
    for change in ({"ent_coef": 1.0, "gamma": 0.5}, {"n_steps": 7}, {"learning_rate": 1e-4}):
        for one in (ours, theirs):
            one.config = dataclasses.replace(one.config, **change)
            unwatched(one, 5)
        np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-3, atol=1e-5)
    for one in (ours, theirs):
        one.envs.time_limit = 9
        unwatched(one, 20)
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-3, atol=1e-5)


def test_parameters_of_another_kind_are_those_of_the_plain_path():
    one = unwatched(agent(), 5)
    one.theta = one.theta[:1]
    with pytest.raises(ShapeError, match="theta"):
        unwatched(one, 1)


def test_an_update_of_ones_own_is_made():
    class Own(A2C):
        made = 0

        def _update(self, batch, progress):
            self.made += 1
            return super()._update(batch, progress)

    assert unwatched(Own("CartPole-v1", hidden=(4,), threads=1), 10).made == 10


def test_steps_may_be_a_float():
    assert agent().learn(2e2, progress=False).steps == 200


def test_a_second_thread_takes_tasks_too():
    one, end = agent(threads=2), time.monotonic() + 60
    taken = 0
    while not taken and time.monotonic() < end:
        unwatched(one, 400)
        taken = one._compiled._helper.result(60)
    assert taken


def forked(one, queue):
    queue.put(unwatched(one, 400).theta)


def test_a_forked_child_learns_on_with_threads_of_its_own():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork on this platform")
    one, context = unwatched(agent(threads=2), 20), multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=forked, args=(one, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), unwatched(one, 400).theta)
    child.join(60)


def test_who_is_busy_elsewhere_is_not_waited_for():
    expected, release = unwatched(agent(), 30), threading.Event()
    one = agent(threads=2)
    busy = one.backend.submit(release.wait, 60)
    try:
        same(unwatched(one, 30), expected)
    finally:
        release.set()
    assert busy.result()


def test_environments_whose_arrays_are_new_ones_are_the_ones_that_are_stepped():
    one = unwatched(agent(threads=2), 10)
    one.envs.restore_state(one.envs.save_state())
    same(unwatched(one, 10), unwatched(agent(), 20))


@pytest.mark.parametrize(
    "settings",
    [
        {"normalize_obs": True},
        {"normalize_reward": True},
        {"normalize_advantage": True},
        {"n_steps": 300},
        {"vec": "gymnasium"},
        {"backend": "numpy"},
        {**PENDULUM, "squash": True},
    ],
    ids=str,
)
def test_other_updates_are_the_plain_ones(settings):
    assert unwatched(agent(**settings), 2)._compiled is None
