"""TensorBoard events, read back by TensorBoard's own reader."""

import math

import pytest

from minipg import PPO
from minipg.cli import main
from minipg.runs import TensorBoard, in_turn

pytest.importorskip("tensorboard", reason="pip install '.[tensorboard]'")


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_every_number_of_a_row_is_a_scalar_in_its_group_and_nan_is_none(tmp_path):
    rows, board = [], TensorBoard(tmp_path)
    PPO("CartPole-v1", num_envs=2, n_steps=8, hidden=(4,)).learn(
        64, on_update=in_turn(lambda agent, row: rows.append(row), board), progress=False
    )
    board.close()
    found = events(tmp_path)
    groups = dict.fromkeys(("batch_return", "mean_return", "mean_length", "episodes", "dropped"), "rollout")
    groups |= {"value_loss": "critic", "explained_variance": "critic"}
    groups |= {"update": "time", "seconds": "time", "steps_per_second": "time"}
    numbers = [name for name, value in rows[0].items() if isinstance(value, int | float) and name != "steps"]
    for name in numbers:
        expected = [(row["steps"], pytest.approx(row[name])) for row in rows if not math.isnan(row[name])]
        tag = f"{groups.get(name, 'policy')}/{name}"
        assert (
            [(event.step, event.value) for event in found.Scalars(tag)] == expected
            if expected
            else tag not in (found.Tags()["scalars"])
        )


def test_the_settings_are_hyperparameters_once_in_a_run_and_its_continuation(tmp_path):
    from tensorboard.plugins.hparams import metadata

    run = tmp_path / "run"
    small = ["--num-envs", "2", "--n-steps", "8", "--hidden", "4", "--clip-range", "0.1", "--tensorboard"]
    assert main(["train", "ppo", "CartPole-v1", *small, "--steps", "32", "--out", str(run)]) == 0
    assert main(["train", "--resume", str(run), "--steps", "64"]) == 0
    found = events(run)
    (start,) = found.Tensors(metadata.SESSION_START_INFO_TAG)
    assert start.step == 0
    content = found.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    settings = metadata.parse_session_start_info_plugin_data(content).hparams
    assert settings["clip_range"].number_value == 0.1
    assert settings["algorithm"].string_value == "ppo"
    assert settings["normalize_obs"].WhichOneof("kind") == "bool_value"
    assert settings["target_kl"].string_value == "inf"
    assert [event.step for event in found.Scalars("time/update")] == [16, 32, 48, 64]
