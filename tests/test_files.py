"""An agent's file holds all of it, is written whole or not at all, and is believed only when it is sound."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest
from environments import Counting, Spacious, sync
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import minipg
from minipg import TRPO
from minipg.errors import AgentFileError, MinipgError, RunFolderError
from minipg.runtime.files import write_json, write_whole
from minipg.runtime.storage import load_arrays, save_arrays

SMALL = {"n_steps": 8, "hidden": (4,), "vf_epochs": 1, "threads": 1}


def small(env="test/Counting-v0", **options):
    return TRPO(env, num_envs=2, normalize_obs=True, normalize_reward=True, seed=5, **SMALL | options)


@pytest.fixture(scope="module")
def agent():
    """An agent after two updates; the tests only read it."""
    return small().learn(32)


@pytest.fixture
def path(agent, tmp_path):
    agent.save(tmp_path / "agent.npz")
    return tmp_path / "agent.npz"


def assert_same_bits(one, other):
    np.testing.assert_array_equal(one.theta, other.theta)
    for name, array in one.value._asdict().items():
        np.testing.assert_array_equal(getattr(other.value, name), array)
    for part in ("normalizer", "scaler"):
        for name, array in getattr(one, part).moments.state().items():
            np.testing.assert_array_equal(getattr(other, part).moments.state()[name], array)


def refused(path, message, load=minipg.load):
    with pytest.raises(AgentFileError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- the round trip ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [TRPO.load, minipg.load])
def test_what_is_loaded_is_what_was_saved_to_the_bit(agent, path, load):
    loaded = load(path)
    assert_same_bits(agent, loaded)
    assert type(loaded) is TRPO
    for name in ("env_id", "config", "seed", "steps", "updates"):
        assert getattr(loaded, name) == getattr(agent, name)
    assert loaded.steps == 32


def test_a_loaded_agent_predicts_the_same(agent, path):
    obs = np.random.default_rng(0).normal(0, 5, (50, 3))
    act, _ = minipg.load(path).predict(obs, deterministic=True)
    np.testing.assert_array_equal(act, agent.predict(obs, deterministic=True)[0])
    assert len(set(act)) > 1


def test_a_loaded_agent_with_reals_for_actions_predicts_the_same(tmp_path):
    envs = sync([Spacious(spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (2,))) for _ in range(2)])
    agent = TRPO(envs, **SMALL).learn(32)
    agent.save(tmp_path / "a.npz")
    obs = np.random.default_rng(0).normal(size=(50, 3))
    act, _ = TRPO.load(tmp_path / "a.npz", envs).predict(obs, deterministic=True)
    np.testing.assert_array_equal(act, agent.predict(obs, deterministic=True)[0])


def test_saving_again_what_was_loaded_gives_the_same_arrays_and_description(path, tmp_path):
    minipg.load(path).save(tmp_path / "again.npz")
    (arrays, meta), (arrays_again, meta_again) = load_arrays(path), load_arrays(tmp_path / "again.npz")
    assert meta == meta_again
    assert list(arrays) == list(arrays_again)
    for name, array in arrays.items():
        np.testing.assert_array_equal(arrays_again[name], array)


@pytest.mark.parametrize("settings", [{"squash": True}, {"state_dependent_std": True}])
def test_a_loaded_agent_has_the_same_kind_of_policy(tmp_path, settings):
    env = Spacious(spaces.Box(-1, 1, (3,)), spaces.Box(-2, 2, (2,)))
    agent = TRPO(env, **SMALL, **settings).learn(16)
    agent.save(tmp_path / "agent.npz")
    loaded = TRPO.load(tmp_path / "agent.npz", env=env, threads=1)
    assert loaded.actor == agent.actor
    obs = np.array([0.5, 0, -0.5], np.float32)
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0])


def test_a_file_from_before_a_setting_existed_loads_with_its_default(agent, path):
    config = load_arrays(path)[1]["config"]
    for setting in ("squash", "state_dependent_std"):
        assert config.pop(setting) is False
    rewrite(path, config=config)
    loaded = TRPO.load(path)
    assert loaded.config == agent.config
    assert_same_bits(agent, loaded)


def test_a_loaded_agent_learns_on(path):
    loaded = minipg.load(path)
    before = loaded.theta.copy()
    loaded.learn(16)
    assert (loaded.steps, loaded.updates) == (48, 3)
    assert (loaded.theta != before).any()


def test_an_agent_file_loads_onto_another_environment_of_the_same_shapes(agent, path):
    for env, count in ((Counting(), 1), (sync([Counting(n) for n in range(3)]), 3)):
        loaded = minipg.load(path, env)
        assert_same_bits(agent, loaded)
        assert loaded.config.num_envs == count
        loaded.learn(24)


def test_a_run_folder_loads_as_the_agent_in_its_newest_checkpoint(agent, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    small().save(tmp_path / "checkpoints" / f"{16:012d}.npz")
    agent.save(tmp_path / "checkpoints" / f"{32:012d}.npz")
    assert_same_bits(agent, minipg.load(tmp_path))
    assert_same_bits(agent, minipg.load(str(tmp_path)))


def test_the_name_of_the_file_is_the_callers(agent, tmp_path):
    agent.save(str(tmp_path / "agent"))
    assert os.listdir(tmp_path) == ["agent"]
    assert_same_bits(agent, TRPO.load(str(tmp_path / "agent")))


# ---- files that are not believed -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(agent, tmp_path_factory):
    """The bytes of a sound file, and a place for unsound ones."""
    path = tmp_path_factory.mktemp("unsound") / "agent.npz"
    agent.save(path)
    return path.read_bytes(), path


@given(st.data())
@settings(max_examples=60)
def test_a_file_cut_short_anywhere_is_refused(whole, data):
    content, path = whole
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refused(path, ".")


@given(st.data())
@settings(max_examples=200)
def test_changed_bytes_are_refused_or_change_nothing(agent, whole, data):
    content, path = bytearray(whole[0]), whole[1]
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        loaded = minipg.load(path)
    except AgentFileError:
        refused(path, ".")
    else:
        assert_same_bits(agent, loaded)


@pytest.mark.parametrize("flip", [1, 8])
def test_no_byte_of_the_archives_directory_is_believed_blindly(agent, whole, flip):
    content, path = whole
    # the directory at the end says how to read all the rest: where it lies, how it is packed, whether it is encrypted
    for place in range(content.index(b"PK\x01\x02"), len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
        try:
            loaded = minipg.load(path)
        except AgentFileError:
            continue
        assert_same_bits(agent, loaded)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_archive_are_refused(whole, content):
    path = whole[1]
    path.write_bytes(content)
    refused(path, ".")


@pytest.mark.parametrize(
    "content", [b"", b"theta = 0\n", b"PK\x03\x04", b"\x93NUMPY", b'{"theta": [0.0]}'],
    ids=["empty", "text", "start of an archive", "start of an array", "JSON"],
)  # fmt: skip
def test_a_foreign_file_is_refused_and_not_called_what_it_is_not(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", r"damaged|cut short|not a minipg agent file")
    with pytest.raises(AgentFileError) as caught:
        minipg.load(tmp_path / "a.npz")
    assert "pickle" not in str(caught.value)


def test_a_single_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    refused(tmp_path / "a.npy", "not a minipg agent file")


def test_an_archive_of_other_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", theta=np.zeros(3))
    refused(tmp_path / "a.npz", "not a minipg agent file")


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "a.npz", "no such file")
    (tmp_path / "run").mkdir()
    with pytest.raises(RunFolderError, match="no checkpoint"):
        minipg.load(tmp_path / "run")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_pickled_is_ever_executed(path, tmp_path):
    arrays, meta = load_arrays(path)
    inside, whole = tmp_path / "inside.npz", tmp_path / "whole.npz"
    save_arrays(inside, {**arrays, "theta": np.array([Bomb(tmp_path / "boom")], object)}, meta)
    whole.write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    refused(inside, "pickle")
    refused(whole, "not a minipg agent file")
    assert not (tmp_path / "boom").exists()


def rewrite(path, arrays=None, without=None, **meta):
    """The agent file at `path` with some of its arrays and some of its description replaced."""
    old_arrays, old_meta = load_arrays(path)
    kept = {name: array for name, array in {**old_arrays, **(arrays or {})}.items() if name != without}
    save_arrays(path, kept, {**old_meta, **meta})


ARRAYS = ["theta", *(f"value.{name}" for name in ("theta", "first", "second", "step")),
          *(f"{part}.{name}" for part in ("obs", "reward") for name in ("count", "mean", "square")),
          *(f"stream.{name}" for name in ("acting", "shuffling", "predicting", "branching")), "recent"]  # fmt: skip


def test_these_are_all_the_arrays(path):
    assert sorted(load_arrays(path)[0]) == sorted(ARRAYS)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_array_is_named(path, name):
    rewrite(path, without=name)
    refused(path, rf"{name} is missing")


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "value.step" and "stream" not in name])
def test_a_number_that_is_not_finite_is_refused_and_its_array_named(path, name, number):
    array = load_arrays(path)[0][name]
    array[-1] = number
    rewrite(path, {name: array})
    refused(path, rf"{name} has numbers that are not finite")


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_of_another_shape_or_type_is_refused_with_both_named(path, name):
    array = load_arrays(path)[0][name]
    for other in (np.zeros((2, 7), array.dtype), array.astype(np.complex64)):
        rewrite(path, {name: other})
        refused(path, rf"{name}: .* expects .* the file has ")


def test_an_agent_of_another_environment_is_refused_by_name(path):
    says = r"trained on the observation space Box\(\(3,\), float\), and CartPole-v1 has Box\(\(4,\), float\)"
    refused(path, says, lambda path: minipg.load(path, "CartPole-v1"))
    rewrite(path, env="CartPole-v1")
    refused(path, says)
    arrays, meta = load_arrays(path)
    save_arrays(path, arrays, {name: value for name, value in meta.items() if name != "spaces"})  # as files of old are
    refused(path, r"theta: CartPole-v1 expects .* another environment")


def test_an_agent_of_other_layers_than_its_description_says_is_refused(path):
    meta = load_arrays(path)[1]
    rewrite(path, config={**meta["config"], "hidden": [5]})
    refused(path, "theta: test/Counting-v0 expects")


@pytest.mark.parametrize("vec", ["auto", "gymnasium", "process"])
@pytest.mark.parametrize("count", [10**4, 10**9])
def test_no_crowd_of_environments_is_made_on_the_word_of_a_file(path, count, vec, monkeypatch):
    rewrite(path, config={**load_arrays(path)[1]["config"], "num_envs": count, "vec": vec})
    monkeypatch.setattr(Counting, "__init__", None)  # none may be made
    with pytest.raises(MinipgError, match="num_envs: expected") as caught:
        minipg.load(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_algorithm_is_refused_by_name(path):
    rewrite(path, algorithm="alphago")
    refused(path, "alphago")
    refused(path, "alphago", TRPO.load)


@pytest.mark.parametrize("version", [0, 1, "2", None])
def test_another_file_format_is_refused_by_number(path, version):
    rewrite(path, format=version)
    refused(path, f"format {version!r}")


DAMAGE = [
    {"config": None}, {"config": {}}, {"config": []}, {"seed": "x"}, {"seed": None}, {"seed": -1}, {"steps": None},
    {"updates": "many"}, {"env": None}, {"env": 7}, {"algorithm": ["trpo"]}, {"algorithm": None},
]  # fmt: skip
CONFIG_DAMAGE = [
    {"hidden": ["a"]}, {"hidden": [4.5]}, {"hidden": 4}, {"hidden": None}, {"num_envs": "2"}, {"num_envs": 2.5},
    {"num_envs": 0}, {"gamma": 2}, {"gamma": "x"}, {"gamma": None}, {"n_steps": 2.5}, {"no_such_field": 1},
    {"activation": 3}, {"activation": "gelu"},
]  # fmt: skip


@pytest.mark.parametrize("meta", DAMAGE, ids=str)
def test_a_description_that_cannot_be_is_refused(path, meta):
    rewrite(path, **meta)
    refused(path, ".")


@pytest.mark.parametrize("setting", CONFIG_DAMAGE, ids=str)
def test_settings_that_cannot_be_are_refused(path, setting):
    rewrite(path, config={**load_arrays(path)[1]["config"], **setting})
    refused(path, ".")


@pytest.mark.parametrize("meta", [[], "text", 1, None])
def test_a_description_that_is_not_an_object_is_refused(path, meta):
    save_arrays(path, load_arrays(path)[0], meta)
    refused(path, "not a minipg agent file")


def test_an_agent_on_an_instance_asks_for_it_when_loaded(tmp_path):
    TRPO(Counting(), **SMALL).save(tmp_path / "a.npz")
    with pytest.raises(MinipgError, match="Counting"):
        minipg.load(tmp_path / "a.npz")
    assert minipg.load(tmp_path / "a.npz", Counting()).steps == 0


# ---- written whole or not at all -----------------------------------------------------------------------------------


def failing(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "os.open", "np.savez"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(agent, path, monkeypatch, call):
    before = path.read_bytes()
    module, name = call.split(".")
    monkeypatch.setattr({"os": os, "np": np}[module], name, failing)
    with pytest.raises((OSError, MinipgError), match="No space left"):
        small().save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_write_that_is_interrupted_leaves_the_old_file_and_nothing_else(path):
    def half(file):
        file.write(b"half")
        raise KeyboardInterrupt

    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 1\n}\n'
    assert os.listdir(tmp_path) == ["a.json"]


def test_an_agent_that_is_refused_leaves_its_file_as_it_was(path):
    rewrite(path, format=1)
    before = path.read_bytes()
    refused(path, "format")
    assert path.read_bytes() == before


@pytest.mark.parametrize("end", [b"", b"f" * 64])
def test_a_large_file_without_a_right_checksum_is_never_held_in_memory(end, tmp_path):
    with open(tmp_path / "agent.npz", "wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate((1 << 26) - len(end))
        file.seek(0, 2)
        file.write(end)
    tracemalloc.start()
    with pytest.raises(AgentFileError, match="its checksum is not right"):
        minipg.load(tmp_path / "agent.npz")
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()
