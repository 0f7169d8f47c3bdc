"""A2C and PPO in one call of a kernel are what their own files say, whoever works and however often one looks."""

import copy
import dataclasses
import math
import multiprocessing
import signal
import threading
import time

import numba
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from minipg.kernels.cpu import _address
from minipg.kernels.cpu._jit import task

from minipg import A2C, PPO
from minipg.algorithms.agent_file import words_of
from minipg.algorithms.compiled import CompiledAgent
from minipg.algorithms.compiled_updates import CompiledUpdates, groups_of, in_groups
from minipg.algorithms.surrogate import Surrogate
from minipg.envs.compiled import CompiledVectorEnv
from minipg.errors import EnvironmentFault, ShapeError


def cut_short():
    return CompiledVectorEnv("CartPole-v1", 4, max_episode_steps=7, autoreset_mode=AutoresetMode.SAME_STEP)


PENDULUM = {"env": "Pendulum-v1", "normalize_obs": False, "normalize_reward": False}
AC = {"algorithm": A2C, "n_steps": 5, "schedule": "constant"}
PP = {
    "algorithm": PPO, "n_steps": 24, "n_epochs": 3, "vf_epochs": 2, "minibatch_size": 40, "vf_minibatch_size": 29,
    "schedule": "constant", "clip_schedule": "constant",
}  # fmt: skip
CASES = {
    "a2c": AC,
    "a2c, one group": {**AC, "num_envs": 3},
    "a2c, one environment": {**AC, "num_envs": 1},
    "a2c, episodes cut short": {**AC, "env": cut_short},
    "a2c, entropy, traces, a schedule": {
        **AC, "ent_coef": 0.1, "gae_lambda": 0.8, "schedule": "linear", "activation": "relu",
    },
    "a2c, gradients shortened": {**AC, "max_grad_norm": 1e-3, "learning_rate": 1e-2},
    "a2c, real actions": {**AC, **PENDULUM},
    "a2c, σ at its upper end": {**AC, **PENDULUM, "log_std_init": 2.0, "ent_coef": 1e4},
    "a2c, σ of the state": {**AC, **PENDULUM, "state_dependent_std": True},
    "ppo": PP,
    "ppo, one environment": {**PP, "num_envs": 1},
    "ppo, episodes cut short": {**PP, "env": cut_short},
    "ppo, more than a tile": {**PP, "n_steps": 80, "minibatch_size": 200, "vf_minibatch_size": 160},
    "ppo, unclipped": {**PP, "objective": "unclipped", "normalize_advantage": False, "max_grad_norm": math.inf},
    "ppo, a penalty": {**PP, "objective": "kl", "ent_coef": 0.01, "activation": "relu", "learning_rate": 1e-2},
    "ppo, a penalty that adapts": {**PP, "objective": "adaptive-kl", "learning_rate": 3e-3},
    "ppo, ended early": {**PP, "target_kl": 1e-4, "learning_rate": 1e-2, "gae_lambda": 0.5},
    "ppo, limits that end": {
        **PP, "schedule": "linear", "clip_schedule": "linear", "vf_clip_range": 0.1, "clip_range": 0.01,
    },
    "ppo, real actions": {**PP, **PENDULUM},
    "ppo, σ of the state": {**PP, **PENDULUM, "state_dependent_std": True},
}  # fmt: skip
EACH = pytest.mark.parametrize("kind", [AC, PP], ids=["a2c", "ppo"])


def agent(algorithm=A2C, env="CartPole-v1", **settings):
    return algorithm(env() if callable(env) else env, **{"hidden": (16, 8), "threads": 1, "seed": 3, **settings})


@pytest.fixture
def plain(monkeypatch):
    """An agent whose updates are made as its algorithm's file says."""
    plain, compilable = [], CompiledAgent._compilable

    def made(**settings):
        plain.append(agent(**settings))
        return plain[-1]

    monkeypatch.setattr(CompiledAgent, "_compilable", lambda one: one not in plain and compilable(one))
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
    learnt = {"theta": one.theta, **one.value._asdict(), **{f"own {k}": v for k, v in one.state._asdict().items()}}
    counts = {"recent": np.array(one._recent), "counts": np.array([one.steps, one.updates])}
    streams = {name: words_of(stream) for name, stream in one.streams._asdict().items()}
    return {**learnt, **counts, **streams, **one._collector.place()}


def same(one, other):
    assert whole(one).keys() == whole(other).keys()
    for name, array in whole(one).items():
        np.testing.assert_array_equal(array, whole(other)[name], err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_updates_in_one_call_are_the_plain_ones_PG9_PG12_AC1_AC3_PP1_PP2_PP3_PP4(case, plain):
    ours, theirs = agent(**CASES[case]), plain(**CASES[case])
    for told, expected in zip(watched(ours, 12), watched(theirs, 12), strict=True):
        assert told.keys() == expected.keys()
        assert told["status"] == expected["status"]
        for name in told.keys() - {"status", "seconds", "steps_per_second"}:
            assert told[name] == pytest.approx(expected[name], rel=2e-3, abs=1e-5, nan_ok=True), name
    assert (ours._compiled is None, theirs._compiled is None) == (False, True)
    for name, array in whole(ours).items():
        np.testing.assert_allclose(array, whole(theirs)[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert ours.recent_episodes > 0 or "Pendulum" in ours.env_id
    assert (told["status"] == "ok") == ("early" not in case)


@pytest.mark.parametrize("case", CASES)
def test_neither_threads_nor_looking_change_a_bit(case):
    unseen = unwatched(agent(**CASES[case]), 60)
    for threads in (2, 3):
        same(unwatched(agent(threads=threads, **CASES[case]), 60), unseen)
        seen = agent(threads=threads, **CASES[case])
        watched(seen, 60)
        same(seen, unseen)


@EACH
def test_what_is_saved_in_the_midst_goes_on_as_if_it_had_not_been(kind, tmp_path):
    through, saved = unwatched(agent(**kind), 37), unwatched(agent(threads=2, **kind), 20)
    saved.save(tmp_path / "midway.npz")
    same(unwatched(kind["algorithm"].load(tmp_path / "midway.npz"), 17), through)
    same(unwatched(saved, 17), through)


@EACH
def test_a_copy_goes_on_like_its_original(kind):
    one = unwatched(agent(threads=2, **kind), 20)
    other = copy.deepcopy(one)
    same(unwatched(other, 20), unwatched(one, 20))


@EACH
def test_what_somebody_holds_does_not_change_under_them(kind):
    one = unwatched(agent(**kind), 1)
    held = one.theta, one.state.second, one.value.theta, one.value.first, one._collector.obs
    were = [array.copy() for array in held]
    unwatched(one, 3)
    for array, was in zip(held, were, strict=True):
        np.testing.assert_array_equal(array, was)


def huge_critic(one):
    one.value.theta[:] = 1e38


@pytest.mark.parametrize(
    "settings,before,status,moved",
    [
        ({**AC, "learning_rate": 1e38}, None, "step not finite", (False, True)),
        ({**AC, "vf_learning_rate": 1e38}, None, "critic not finite", (True, False)),
        (AC, huge_critic, "gradient not finite, critic not finite", (False, False)),
        ({**PP, "learning_rate": 1e38}, None, "step not finite", (False, True)),
        ({**PP, "vf_learning_rate": 1e38}, None, "critic not finite", (True, False)),
        (PP, huge_critic, "step not finite", (False, False)),
    ],
)
def test_a_step_that_is_not_finite_is_not_taken_and_said(settings, before, status, moved, plain):
    ours, hidden, theirs = agent(**settings), agent(**settings), plain(**settings)
    for one in (ours, hidden, theirs):
        (before or (lambda _: None))(one)
    were = ours.theta.copy(), ours.value.theta.copy()
    rows, expected = watched(ours, 3), watched(theirs, 3)
    assert [row["status"] for row in rows] == [row["status"] for row in expected] == [status] * 3
    for row, other in zip(rows, expected, strict=True):
        assert {name for name, told in row.items() if told != told} == {n for n, told in other.items() if told != told}
        assert all(row[name] == other[name] for name in ("policy_steps", "beta") if name in row)
    same(unwatched(hidden, 3), ours)
    assert all(np.isfinite(array).all() for array in (ours.theta, *ours.state))
    for name, array in whole(ours).items():
        np.testing.assert_allclose(array, whole(theirs)[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert moved == ((ours.theta != were[0]).any(), (ours.value.theta != were[1]).any())


@pytest.mark.parametrize("asked", ["far", "near", "watched"])
@EACH
def test_experience_that_is_not_finite_is_not_learnt_from_and_what_was_learnt_before_stays(kind, asked, plain):
    settings = {**kind, **PENDULUM, "learning_rate": 1e37}  # finite parameters, and actions that are not
    if kind is PP:
        settings |= {"n_epochs": 1, "minibatch_size": 1000, "learning_rate": 3e37, "hidden": (16, 512)}
    ours, theirs, faults = agent(**settings), plain(**settings), []
    with pytest.raises(EnvironmentFault, match="action"):
        unwatched(first := agent(**settings), 50)
    for one in (ours, theirs):
        with pytest.raises(EnvironmentFault, match="action") as fault:
            # near: the fault meets the last update that was asked for
            (watched if asked == "watched" else unwatched)(one, first.updates + 1 if asked == "near" else 50)
        faults.append(str(fault.value))
    assert faults[0] == faults[1]
    assert ours.updates >= 1
    assert (ours.updates, ours.steps, ours.value.step) == (theirs.updates, theirs.steps, theirs.value.step)
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-3)
    for stream, other in zip(ours.streams, theirs.streams, strict=True):
        np.testing.assert_array_equal(words_of(stream), words_of(other))
    assert not ours.mid_episode  # the next learning begins new episodes


@EACH
def test_whoever_is_interrupted_while_it_compiles_compiles_again(kind, monkeypatch):
    one, address_of = agent(**kind), _address.address_of
    interrupts = iter([None, KeyboardInterrupt, None])

    def interrupted(*of):
        if (stop := next(interrupts, None)) is not None:
            raise stop
        return address_of(*of)

    monkeypatch.setattr(_address, "address_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unwatched(one, 1)
    assert one.steps == 0
    same(unwatched(one, 3), unwatched(agent(**kind), 3))


def test_who_is_interrupted_before_it_is_told_what_was_learnt_has_learnt_nothing(monkeypatch):
    one = unwatched(agent(**PP), 2)
    before = one.theta, one.state, one.value, one.steps, one.updates
    monkeypatch.setattr(Surrogate, "worth", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        unwatched(one, 5)
    assert all(now is was for now, was in zip((one.theta, one.state, one.value), before[:3], strict=True))
    assert (one.steps, one.updates) == before[3:]


@task
def broken(which, k, inputs):
    inputs[9].reshape(inputs[9].size + 1)


@EACH
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("which", range(4))
def test_a_task_that_raises_an_error_is_not_taken_for_done(kind, threads, which):
    one = unwatched(agent(threads=threads, **kind), 2)
    theta, compiled = one.theta.copy(), one._compiled
    number = numba.typeof(0)
    compiled._addresses[which] = _address.address_of(broken, (number, number, numba.typeof(compiled._inputs)))
    with pytest.raises(RuntimeError, match="kernel"):
        unwatched(one, 2)
    np.testing.assert_array_equal(one.theta, theta)


@EACH
def test_what_somebody_changed_on_the_agent_is_left_to_the_plain_updates(kind):
    one = unwatched(agent(num_envs=4, **kind), 1)
    one.config = dataclasses.replace(one.config, num_envs=2)
    assert not one._compilable()
    other = unwatched(agent(**kind), 1)
    other.envs = agent(**kind).envs
    assert not other._compilable()
    standardized = agent(normalize_obs=True, **kind)
    standardized.config = dataclasses.replace(standardized.config, normalize_obs=False)
    assert not standardized._compilable()


@EACH
def test_where_nothing_can_be_learnt_from_nothing_changes(kind, plain):
    faults, theirs = [], plain(**kind, **PENDULUM)
    for one in (agent(**kind, **PENDULUM), theirs):
        one.theta[:] = np.nan
        if one is not theirs:  # what is left of an earlier call says nothing of this one
            one._compiled = CompiledUpdates(one, one._in_kernels.own(one))
            one._compiled.compile()
            one._compiled._record[:] = np.nan
        kept = one.value.theta.copy()
        with pytest.raises(EnvironmentFault, match="action") as fault:
            unwatched(one, 50)
        faults.append(str(fault.value))
        np.testing.assert_array_equal(one.value.theta, kept)
        assert (one.steps, one.updates, one.value.step, one.mid_episode) == (0, 0, 0, False)
    assert faults[0] == faults[1]


def test_a_call_of_wide_networks_is_a_short_one():
    most = lambda **settings: unwatched(agent(**settings), 1)._compiled.most
    assert most(**AC) > 100 > most(**AC, hidden=(512, 512)) >= 1
    assert most(**{**AC, "num_envs": 1, "n_steps": 1}, hidden=(256, 256)) < 2000
    assert most(**PP) > 20 > most(**PP, hidden=(512, 512)) >= 1
    assert most(**PP, objective="adaptive-kl") == 1


@EACH
def test_what_is_changed_between_two_learnings_is_heeded(kind, plain):
    ours, theirs = unwatched(agent(**kind), 10), unwatched(plain(**kind), 10)
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
    one = unwatched(agent(**AC), 5)
    one.theta = one.theta[:1]
    with pytest.raises(ShapeError, match="theta"):
        unwatched(one, 1)


@EACH
def test_an_update_of_ones_own_is_made(kind):
    class Own(kind["algorithm"]):
        made = 0

        def _update(self, batch, progress):
            self.made += 1
            return super()._update(batch, progress)

    assert unwatched(agent(**{**kind, "algorithm": Own}), 10).made == 10


def test_steps_may_be_a_float():
    assert agent(**AC).learn(2e2, progress=False).steps == 200


@EACH
def test_a_second_thread_takes_tasks_too(kind):
    one, end = agent(threads=2, **kind), time.monotonic() + 60
    taken = 0
    while not taken and time.monotonic() < end:
        unwatched(one, 50)
        taken = one._compiled._helper.result(60)
    assert taken


def forked(one, queue):
    queue.put(unwatched(one, 100).theta)


@EACH
def test_a_forked_child_learns_on_with_threads_of_its_own(kind):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork on this platform")
    one, context = unwatched(agent(threads=2, **kind), 20), multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=forked, args=(one, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), unwatched(one, 100).theta)
    child.join(60)


@EACH
def test_who_is_busy_elsewhere_is_not_waited_for(kind):
    expected, release = unwatched(agent(**kind), 30), threading.Event()
    one = agent(threads=2, **kind)
    busy = one.backend.submit(release.wait, 60)
    try:
        same(unwatched(one, 30), expected)
    finally:
        release.set()
    assert busy.result()


def test_environments_whose_arrays_are_new_ones_are_the_ones_that_are_stepped():
    one = unwatched(agent(threads=2, **AC), 10)
    one.envs.restore_state(one.envs.save_state())
    same(unwatched(one, 10), unwatched(agent(**AC), 20))


@pytest.mark.parametrize(
    "settings",
    [
        *({**kind, **settings} for kind in (AC, PP) for settings in (
            {"normalize_obs": True}, {"normalize_reward": True}, {"vec": "gymnasium"}, {"backend": "numpy"},
            {**PENDULUM, "squash": True},
        )),
        {**AC, "normalize_advantage": True},
        {**AC, "n_steps": 300},
        {**PP, "vf_optimizer": "lbfgs"},
        {**PP, "vf_epochs": 0},
    ],
    ids=str,
)  # fmt: skip
def test_other_updates_are_the_plain_ones(settings):
    assert unwatched(agent(**settings), 2)._compiled is None


@pytest.mark.parametrize("envs,steps", [(1, 5), (3, 2), (4, 3), (8, 5)])
def test_rows_in_groups_are_those_of_the_batch(envs, steps):
    batch, groups = np.arange(steps * envs).reshape(steps, envs), groups_of(envs)
    grouped = np.concatenate([part.reshape(-1) for part in np.split(batch, groups, axis=1)])
    np.testing.assert_array_equal(grouped[in_groups(envs, steps)], batch.reshape(-1))
