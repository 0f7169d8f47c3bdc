"""Masks of allowed actions: no other action is ever taken, by any algorithm, however the environment says them."""

import dataclasses
import json
import logging

import environments
import gymnasium as gym
import numpy as np
import pytest
from environments import Choosy, ChoosyByMethod, TicTacToe, sync
from gymnasium import spaces

import minipg
from minipg import A2C, A3C, DPPO, NPG, PPO, REINFORCE, TRPO, VPG, Backend
from minipg.envs import describe, repeatable
from minipg.errors import ConfigError, EnvironmentFault, ShapeError
from minipg.policy import MaskedPolicy
from minipg.rollout.normalizer import ObservationNormalizer
from minipg.runs import evaluate
from minipg.runtime.storage import load_arrays, save_arrays

SMALL = {"num_envs": 2, "n_steps": 32, "hidden": (8,), "seed": 3, "threads": 1}
SEVERAL = spaces.MultiDiscrete([3, 4], start=[1, 0])
MASKS = {  # an environment, and its choices
    "infos": (Choosy, (5,)),
    "a method": (ChoosyByMethod, (5,)),
    "a method inside a wrapper": (lambda: gym.wrappers.TimeLimit(ChoosyByMethod(), 4), (5,)),
    "the observation": (lambda: Choosy(way="obs"), (5,)),
    "infos, from 7 on": (lambda: Choosy(spaces.Discrete(3, start=7)), (3,)),
    "several choices": (lambda: Choosy(SEVERAL), (3, 4)),
    "several choices, a method": (lambda: ChoosyByMethod(SEVERAL), (3, 4)),
    "several choices, the observation": (lambda: Choosy(SEVERAL, way="obs"), (3, 4)),
}
each = pytest.mark.parametrize("make,choices", MASKS.values(), ids=MASKS)


def chosen(masks, choices, act):
    """The number in the mask (…, D) of every choice of act (…,) or (…, K)."""
    starts = np.cumsum(choices) - choices
    return np.take_along_axis(masks, act.reshape(*masks.shape[:-1], len(choices)) + starts, -1)


@each
@pytest.mark.parametrize("normalize", [False, True])
def test_the_mask_comes_first_and_only_allowed_actions_are_taken_DI9(make, choices, normalize):
    agent = PPO(make, normalize_obs=normalize, **SMALL).learn(128, progress=False)
    batch = agent._collect(agent._new_collector())
    masks = batch.obs[..., : sum(choices)]
    assert isinstance(agent.actor, MaskedPolicy)
    assert agent.observations.masks == choices
    assert set(np.unique(masks)) == {0, 1}
    assert 0.3 < masks.mean() < 0.8
    assert chosen(masks, choices, batch.act).all()


ALGORITHMS = [
    (TRPO, {}), (TRPO, {"sampling": "vine", "vine_states": 3, "vine_length": 4}), (TRPO, {"solver": "dual"}), (PPO, {}),
    (A2C, {}), (REINFORCE, {}), (VPG, {}), (NPG, {}), (A3C, {"workers": 2}), (DPPO, {"workers": 2}),
]  # fmt: skip


@pytest.mark.parametrize(
    "algorithm,more", ALGORITHMS, ids=[f"{kind.name} {[*more.values()]}" for kind, more in ALGORITHMS]
)
@pytest.mark.parametrize("env", [Choosy, lambda: ChoosyByMethod(SEVERAL)], ids=["discrete", "multi-discrete"])
def test_every_algorithm_learns_without_a_forbidden_action(algorithm, more, env):
    names = {field.name for field in dataclasses.fields(algorithm.Config)}
    small = {name: value for name, value in SMALL.items() if name in names or name in {"seed", "threads"}}
    agent = algorithm(env, normalize_obs=True, **small, **more).learn(300, progress=False)
    assert agent.masked
    assert agent.steps >= 300


@each
def test_a_saved_agent_is_loaded_evaluated_and_continued(make, choices, tmp_path):
    agent = TRPO(make, normalize_obs=True, **SMALL).learn(128, progress=False)
    agent.save(tmp_path / "agent.npz")
    again = TRPO.load(tmp_path / "agent.npz", make)
    assert again.observations.masks == choices
    assert evaluate(again, 4)["mean_return"] == evaluate(agent, 4)["mean_return"]
    again.learn(128, progress=False)


def test_the_command_line_trains_resumes_evaluates_and_films(tmp_path, capsys):
    from minipg.cli import main

    run, film = tmp_path / "run", tmp_path / "film.gif"
    small = ["--n-steps", "32", "--num-envs", "2", "--hidden", "8"]
    assert main(["train", "ppo", "test/Choosy-v0", *small, "--steps", "256", "--out", str(run)]) == 0
    assert main(["train", "--resume", str(run), "--steps", "512"]) == 0
    assert main(["evaluate", str(run), "--episodes", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["episodes"] == 3
    assert main(["evaluate", str(run), "--episodes", "1", "--render", str(film)]) == 0
    assert film.stat().st_size > 0


def test_environments_in_processes_have_masks_too():
    for env in ("test/Choosy-v0", ChoosyByMethod):
        agent = PPO(env, vec="process", **SMALL)
        try:
            assert agent.observations.masks == (5,)
            agent.learn(64, progress=False)
        finally:
            agent.envs.close()


def test_an_instance_is_masked_and_others_like_it_can_be_made():
    env = gym.make("test/Choosy-v0")
    agent = PPO(env, **{**SMALL, "num_envs": 1}).learn(64, progress=False)
    assert agent.masked
    assert describe(env)["recipe"]["id"] == "test/Choosy-v0"
    assert repeatable(env).wrappers == ()
    assert evaluate(agent, 2)["episodes"] == 2


@each
def test_predict_takes_a_mask_as_a_part_or_beside_the_observation(make, choices):
    agent = PPO(make, normalize_obs=True, **SMALL).learn(64, progress=False)
    rng, own = np.random.default_rng(0), "a" in agent.observations.space.spaces
    for _ in range(50):
        only = [rng.integers(n) for n in choices]
        mask = np.concatenate([np.eye(n, dtype=np.int8)[k] for n, k in zip(choices, only, strict=True)])
        obs = rng.normal(size=3).astype(np.float32)
        whole = {"action_mask": mask, ("a" if own else "observation"): obs}
        beside = {"a": obs} if own else obs
        for deterministic in (False, True):
            given = agent.predict(whole, deterministic), agent.predict(beside, deterministic, action_masks=mask)
            for act, _ in given:
                assert (np.ravel(act) - np.ravel(agent.actions.space.start) == only).all()
    with pytest.raises(ShapeError, match="an allowed action in every choice"):
        agent.predict({**whole, "action_mask": 0 * mask})


def test_predict_of_an_agent_without_masks_takes_none():
    agent = PPO("CartPole-v1", **SMALL)
    with pytest.raises(ConfigError, match="action_masks: expected none"):
        agent.predict(np.zeros(4), action_masks=[1, 1])


class Wrong(Choosy):
    """From its third step on, its mask is `mask`."""

    mask_of_now = 0

    def _info(self):
        return {"action_mask": self.mask_of_now} if self.time >= 3 else super()._info()


@pytest.mark.parametrize("mask,says", [
    (np.zeros(5, int), r"action mask \[0 0 0 0 0\] from environment 0 at step .*: expected an allowed action"),
    (np.ones(4, int), "action mask .* from environment 0 at step .*: expected 5 numbers, 1 for an allowed action"),
    (None, "action mask None from environment 0 at step .*: expected 5 numbers"),
    ([1, 1, 1, 1, 2], "expected 5 numbers, 1 for an allowed action and 0 for any other"),
    ("all", "expected 5 numbers"),
])  # fmt: skip
def test_a_mask_that_is_wrong_is_the_environments_fault(mask, says, monkeypatch):
    monkeypatch.setattr(Wrong, "mask_of_now", mask)
    with pytest.raises(EnvironmentFault, match=says):
        PPO(Wrong, **SMALL).learn(64, progress=False)


def test_the_last_mask_of_an_episode_may_allow_nothing(monkeypatch):
    class Ending(Choosy):
        def _info(self):
            return {"action_mask": 0 * self.mask} if self.time == self.length else super()._info()

    PPO(Ending, **SMALL).learn(64, progress=False)


def test_masks_may_be_ignored_and_nothing_is_looked_for():
    agent = PPO(Choosy, mask_actions=False, **SMALL)
    assert not agent.masked
    with pytest.raises(EnvironmentFault, match="forbidden"):
        agent.learn(64, progress=False)


def test_a_file_from_before_masks_is_loaded_without_them(tmp_path):
    agent = PPO("test/Choosy-v0", mask_actions=False, **SMALL)
    agent.save(tmp_path / "agent.npz")
    arrays, meta = load_arrays(tmp_path / "agent.npz")
    del meta["config"]["mask_actions"]
    save_arrays(tmp_path / "old.npz", arrays, meta)
    old = PPO.load(tmp_path / "old.npz")
    assert not old.masked
    np.testing.assert_array_equal(old.theta, agent.theta)
    with pytest.raises(ConfigError, match="mask_actions: load keeps that of the file"):
        PPO.load(tmp_path / "old.npz", mask_actions=True)


def test_a_given_vector_with_masks_in_its_infos_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING, "minipg"):
        agent = PPO(sync([Choosy(), Choosy()]), **SMALL)
        assert not agent.masked
        with pytest.raises(EnvironmentFault, match="forbidden"):
            agent.learn(64, progress=False)
    assert "masks of allowed actions are in the infos and are not read" in caplog.text


def test_a_given_vector_with_masks_in_its_observations_is_masked():
    assert PPO(sync([Choosy(way="obs"), Choosy(way="obs")]), **SMALL).learn(128, progress=False).masked


def test_an_environment_of_another_kind_is_not_looked_at():
    class Watched(environments.Counting):
        resets = 0

        def reset(self, **options):
            Watched.resets += 1
            return super().reset(**options)

    PPO(lambda: Watched(action_space=spaces.Box(-1, 1, (2,))), **SMALL)
    assert Watched.resets == 0


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_passes_no_action_of_probability_zero_DI9(backend, dtype):
    rng, d = np.random.default_rng(0), minipg.distribution.categorical(7, Backend(backend, 1))
    for _ in range(300):
        logits = rng.normal(size=(64, 7), scale=3).astype(dtype)
        forbidden = rng.random((64, 7)) < 0.6
        forbidden[np.arange(64), rng.integers(7, size=64)] = False
        logits[forbidden] = -1e9
        for uniform in (0, np.nextafter(dtype(1), dtype(0)), 1):  # 1 is out of range, as rounding makes it
            act = d.sample(logits, np.full(64, uniform, dtype))
            assert not forbidden[np.arange(64), act].any()


def test_statistics_leave_the_mask_as_it_is():
    normalizer = ObservationNormalizer(4, Backend("numpy", 1), mask=2)
    obs = np.array([[1, 0, 5, 7], [1, 1, 6, 9], [0, 1, 9, 9]], float)
    normalizer.update(obs)
    np.testing.assert_array_equal(normalizer(obs)[:, :2], obs[:, :2])
    assert abs(normalizer(obs)[:, 2:].mean()) < 1e-12


@pytest.mark.parametrize("algorithm", [PPO, TRPO])
def test_tic_tac_toe_is_learnt_without_a_forbidden_move(algorithm):
    agent = algorithm(TicTacToe, seed=0, num_envs=16, n_steps=64, gamma=1.0).learn(12_000, progress=False)
    assert evaluate(agent, 100)["mean_return"] > 0.3  # a random player's is −0.01
