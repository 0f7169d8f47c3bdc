"""Agents and run folders that version 0.1.0 wrote at commit 9701a9e load, evaluate and continue.

tests/data/9701a9e holds agent files (trained on 96 steps, `agent.save`), run folders (224 of 200 planned steps,
`minipg train`), and expected.json: what that version's agents compute.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import minipg
from minipg.cli import main
from minipg.runs import RunFolder

FOLDER = Path(__file__).parent / "data/9701a9e"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_agent_computes_what_it_did(name):
    agent, expected = minipg.load(FOLDER / name, threads=1), EXPECTED[name]
    assert (agent.env_id, agent.steps, agent.updates) == tuple(expected[key] for key in ("env", "steps", "updates"))
    size = agent.observations.size
    obs = np.linspace(-1, 1, 8 * size).reshape(8, size).astype(np.float32)
    rows = obs if agent.normalizer is None else agent.normalizer(obs)
    params = agent.policy.model.forward(agent.theta, rows).params
    np.testing.assert_allclose(params, expected["params"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_agent_is_evaluated(name, capsys):
    assert main(["evaluate", str(FOLDER / name), "--episodes", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["mean_return"] == pytest.approx(EXPECTED[name]["mean_return"], rel=0.02)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith(".npz")])
def test_an_old_agent_learns_on_in_the_middle_of_its_episodes(name, tmp_path):
    agent = minipg.load(FOLDER / name, threads=1)
    before = agent.theta.copy()
    assert agent.mid_episode
    agent.learn(64)
    assert (agent.steps, agent.updates) == (160, EXPECTED[name]["updates"] + 2)
    assert np.isfinite(agent.theta).all()
    assert (agent.theta != before).any()
    agent.save(tmp_path / "agent.npz")
    np.testing.assert_array_equal(minipg.load(tmp_path / "agent.npz").theta, agent.theta)


@pytest.mark.parametrize("name", ["ppo", "a2c", "trpo"])
def test_an_old_run_continues(name, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(FOLDER / name, run)
    before = RunFolder(run).rows()
    assert main(["train", "--resume", str(run)]) == 0
    assert "is finished: 224 of 200 steps" in capsys.readouterr().out
    assert main(["train", "--resume", str(run), "--steps", "1000"]) == 0
    folder = RunFolder.existing(run)
    rows = folder.rows()
    assert rows[: len(before)] == before
    assert len(rows) > len(before)
    assert int(rows[-1]["steps"]) == minipg.load(run).steps >= 1000
    assert folder.config()["steps"] == 1000
    assert folder.curve.exists()


def test_a_file_of_another_format_is_refused_with_what_is_read(tmp_path):
    from minipg.algorithms.agent_file import FILE_FORMAT
    from minipg.errors import AgentFileError
    from minipg.runtime.storage import load_arrays, save_arrays

    arrays, meta = load_arrays(FOLDER / "ppo.npz")
    save_arrays(tmp_path / "agent.npz", arrays, {**meta, "format": 99})
    with pytest.raises(AgentFileError, match=f"file format 99, this version reads .*{FILE_FORMAT}"):
        minipg.load(tmp_path / "agent.npz")
