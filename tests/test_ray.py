"""DPPO on a Ray cluster of two nodes, on this machine. Skipped where Ray is not installed."""

import json
import os
import random
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import minipg
from minipg import DPPO, PPO
from minipg.cli import main
from minipg.errors import BackendError, EnvironmentFault
from minipg.runtime.engine import Lost

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "minipg-rl[ray]"')

from minipg.runtime.ray_engine import RayEngine, connected, signals_kept, unlocked  # noqa: E402

SMALL = {"num_envs": 2, "n_steps": 16, "hidden": (8,), "n_epochs": 2, "vf_epochs": 2, "minibatch_size": 8,
         "vf_minibatch_size": 8, "seed": 3, "engine": "ray"}  # fmt: skip


@pytest.fixture(scope="session")
def cluster():
    from ray.cluster_utils import Cluster

    here = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}  # for the classes of this file
    with signals_kept():  # a node takes SIGTERM over, too
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        made.add_node(num_cpus=1)
        ray.init(made.address, log_to_driver=False, runtime_env=here)
    yield made
    ray.shutdown()
    made.shutdown()


class Echo:
    """A worker that answers with what it was given."""

    def __init__(self, number):
        if number > 8:
            raise ValueError("no such worker")
        self.number = number

    def about(self, array):
        return self.number, array.flags.writeable, array.nbytes, float(array.sum())

    def pid(self):
        return os.getpid()

    def fail(self):
        raise ValueError("on purpose")


def ask(engine, worker, method, *args):
    engine.submit(worker, method, *args)
    return engine.next()


def test_the_four_calls(cluster):
    engine = RayEngine(Echo, 2)
    assert engine.busy == set()
    large = np.ones(100_000)
    for array in (np.ones(3), large, large):
        assert ask(engine, 1, "about", array) == (1, (1, True, array.nbytes, array.sum()))
    assert len(engine._stored) == 1
    assert ask(engine, 0, "fail") == (0, Lost("raised ValueError: on purpose"))
    (_, pid), _ = ask(engine, 0, "pid"), engine.restart(0)
    assert engine.busy == {0}
    assert engine.next() == (0, None)
    assert ask(engine, 0, "pid")[1] != pid
    engine.close()


def test_a_worker_whose_process_is_killed_is_lost_and_can_be_made_anew(cluster):
    engine = RayEngine(Echo, 1)
    os.kill(ask(engine, 0, "pid")[1], signal.SIGKILL)
    worker, lost = ask(engine, 0, "pid")
    assert worker == 0
    assert isinstance(lost, Lost)
    assert lost.why.startswith("is lost (Actor")
    engine.restart(0)
    assert engine.next() == (0, None)
    engine.close()


def test_a_worker_that_cannot_be_made_is_named(cluster):
    with pytest.raises(EnvironmentFault, match="worker 0 raised ValueError: no such worker while it was made"):
        RayEngine(lambda number: Echo(9), 1)


def test_read_only_arrays_are_taken_without_a_copy():
    array = np.arange(5.0)
    array.flags.writeable = False
    found = unlocked(array)
    assert found.flags.writeable
    assert np.shares_memory(found, array)
    assert unlocked(3) == 3


def test_with_one_worker_on_ray_dppo_is_ppo_to_the_bit_PP5(cluster):
    settings = {**SMALL, "objective": "adaptive-kl", "normalize_obs": True}
    chief = DPPO("Pendulum-v1", workers=1, **settings).learn(150)
    del settings["engine"]
    ppo = PPO("Pendulum-v1", **settings).learn(150)
    for a, b in (
        (chief.theta, ppo.theta),
        *zip(chief.value, ppo.value, strict=True),
        *zip(chief.state, ppo.state, strict=True),
    ):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    chief.close()


def pid_of(agent, worker):
    actor = agent._calls._engine._actors[worker]
    return ray.get(actor.__ray_call__.remote(lambda self: os.getpid()))


def test_killed_workers_are_replaced_and_counted(cluster):
    agent, rng, kills, rows = DPPO("CartPole-v1", **SMALL, workers=2), random.Random(0), [], []

    def on_update(agent, row):
        rows.append(row)
        quiet = row["restarts"] == len(kills) and row["share_0"] == row["share_1"] == 0.5
        if quiet and len(kills) == 3:
            return False
        if quiet:  # at a random moment of the next updates
            pid = pid_of(agent, rng.randrange(2))
            kills.append(pid)
            threading.Timer(0.05 * rng.random(), os.kill, (pid, signal.SIGKILL)).start()
        return len(rows) < 20_000

    agent.learn(10**9, on_update=on_update, progress=False)
    assert rows[-1]["restarts"] == len(kills) == 3
    assert np.isfinite(agent.theta).all()
    agent.close()


def test_a_node_may_be_removed(cluster):
    with signals_kept():
        node = cluster.add_node(num_cpus=2, resources={"leaving": 2})
    agent, rows, removed = DPPO("CartPole-v1", **SMALL, workers=4), [], []

    def on_update(agent, row):
        rows.append(row)
        if len(rows) == 3:
            removed.append(cluster.remove_node(node))
        lost = row["restarts"] > 0 and len(rows) > 5
        return not lost and len(rows) < 20_000

    agent.learn(10**9, on_update=on_update, progress=False)
    assert rows[-1]["restarts"] >= 1  # its workers wait for a core, and the others go on
    assert rows[-1]["share_0"] < 1
    agent.close()


def test_the_example_of_a_cluster_is_one_that_ray_takes():
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    yaml, jsonschema = pytest.importorskip("yaml"), pytest.importorskip("jsonschema")
    example = Path(__file__).parent.parent / "examples/cluster/cluster.yaml"
    jsonschema.validate(yaml.safe_load(example.read_text()), schema)


def test_seeds_are_tasks_and_their_runs_come_back(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["CartPole-v1", "--num-envs", "1", "--n-steps", "32", "--hidden", "8"]
    assert main(["train", "vpg", *flags, "--seeds", "0-1", "--steps", "64", "--jobs", "ray", "--out", "many"]) == 0
    alone = ["train", "vpg", *flags, "--seed", "1", "--steps", "128", "--out", "alone"]
    assert main(["train", "--resume", "many", "--steps", "128", "--jobs", "ray"]) == main(alone) == 0
    found, wanted = minipg.load("many/seed1"), minipg.load("alone")
    assert found.theta.tobytes() == wanted.theta.tobytes()


def test_trials_of_a_search_are_trained_by_actors(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["CartPole-v1", "--num-envs", "1", "--hidden", "8", "--steps", "100", "--seeds-per-trial", "1"]
    assert main(["tune", "a2c", *flags, "--trials", "2", "--jobs", "ray", "--out", "search"]) == 0
    assert ", on Ray, into search" in capsys.readouterr().out
    assert main(["tune", "--resume", "search", "--trials", "3", "--jobs", "ray", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 3


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:1", "Connection refused"), ("ray://127.0.0.1:1", "Connection refused"),
                         ("nowhere", "expected ray://HOST:PORT")],
)  # fmt: skip
def test_a_cluster_that_cannot_be_reached_is_one_line(address, why):
    with pytest.raises(BackendError, match=f"engine ray: no cluster at {address}: .*{why}") as caught:
        connected(address, 1)
    assert "\n" not in str(caught.value)
