"""What an algorithm's file says is what runs, and the same seed gives the same bits however it is run."""

import numpy as np
import pytest

import minipg
from minipg import ALGORITHMS
from minipg.algorithms import a2c, ppo
from minipg.cli import main
from minipg.envs.compiled import CompiledVectorEnv

FILES = {"a2c": a2c, "ppo": ppo}
STEPS = 1024


def by_the_command_line(name, folder):
    """θ after a run of the command line on compiled CartPole."""
    flags = ["--steps", str(STEPS), "--num-envs", "4", "--n-steps", "32", "--hidden", "8", "--out", str(folder)]
    assert main(["train", name, "CartPole-v1", *flags]) == 0
    agent = minipg.load(folder)
    assert type(agent.envs) is CompiledVectorEnv
    assert agent.updates == STEPS / 128
    return agent.theta


def planted(change, monkeypatch, name):
    """The calls of `update` in the file of an algorithm, each changed by `change(update, policy, theta, …)`."""
    update, calls = FILES[name].update, []
    monkeypatch.setattr(FILES[name], "update", lambda *inputs: calls.append(inputs) or change(update, *inputs))
    return calls


@pytest.mark.parametrize("name", FILES)
def test_a_sign_changed_in_update_changes_a_run_of_the_command_line(name, monkeypatch, tmp_path):
    before = by_the_command_line(name, tmp_path / "before")

    def downhill(update, policy, theta, state, samples, *rest):
        return update(policy, theta, state, samples._replace(adv=-samples.adv), *rest)

    calls = planted(downhill, monkeypatch, name)
    assert (by_the_command_line(name, tmp_path / "after") != before).any()
    assert len(calls) == STEPS / 128


@pytest.mark.parametrize("name", FILES)
def test_an_update_that_moves_nothing_leaves_a_run_of_the_command_line_where_it_began(name, monkeypatch, tmp_path):
    def nowhere(update, policy, theta, state, *rest):
        return theta, state, update(policy, theta, state, *rest)[2]

    planted(nowhere, monkeypatch, name)
    theta = by_the_command_line(name, tmp_path / "run")
    np.testing.assert_array_equal(theta, ALGORITHMS[name]("CartPole-v1", hidden=(8,)).theta)


# enough rows that values and rollouts go to two threads
SMALL = {"seed": 3, "num_envs": 8, "n_steps": 160, "hidden": (8,), "vf_epochs": 2, "n_epochs": 2,
         "schedule": "constant",
         "clip_schedule": "constant"}  # fmt: skip


def made(name, env, **options):
    known = {*ALGORITHMS[name].Config.__dataclass_fields__, "seed", "threads"}
    settings = {key: value for key, value in {**SMALL, **options}.items() if key in known}
    return ALGORITHMS[name](env, **{"threads": 1, **settings})


def looking(agent, row):
    """A callback that looks at everything and draws an action."""
    agent.whole_state()
    agent.predict(agent.envs.single_observation_space.sample())


def resumed(name, env, folder, steps, **options):
    agent = made(name, env, **options).learn(steps // 2)
    agent.save(folder / "agent.npz")
    return minipg.load(folder / "agent.npz", threads=options.get("threads", 1)).learn(steps - agent.steps)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("name", ["a2c", "ppo", "trpo", "npg"])
def test_the_same_seed_gives_the_same_bits_on_any_threads_with_any_callback_and_resumed(name, env, tmp_path):
    steps = 4 * SMALL["num_envs"] * SMALL["n_steps"]
    plain = made(name, env).learn(steps)
    assert type(plain.envs) is CompiledVectorEnv
    agents = {
        "again": made(name, env).learn(steps),
        "two threads": made(name, env, threads=2).learn(steps),
        "looked at": made(name, env).learn(steps, on_update=looking),
        "looked at now and then, on two threads": made(name, env, threads=2).learn(steps, on_update=looking, every=3),
        "with a display": made(name, env).learn(steps, progress=True),
        "in two calls": made(name, env).learn(steps // 2).learn(steps // 2),
        "resumed": resumed(name, env, tmp_path, steps),
        "resumed on two threads": resumed(name, env, tmp_path, steps, threads=2),
    }
    expected = plain.whole_state()
    for how, agent in agents.items():
        found = agent.whole_state()
        assert {**found.meta, "seconds": None} == {**expected.meta, "seconds": None}, how
        assert set(found.arrays) == set(expected.arrays), how
        drawn = {"stream.predicting"} if "looked at" in how else set()
        for part in set(expected.arrays) - drawn:
            np.testing.assert_array_equal(found.arrays[part], expected.arrays[part], err_msg=f"{how}: {part}")
    other = made(name, env, seed=4).learn(steps).whole_state().arrays
    assert (other["theta"] != expected.arrays["theta"]).any()
