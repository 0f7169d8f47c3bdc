"""A first run is compiled by two processes: each kernel by one of them, and the run's numbers are the same."""

import dataclasses
import os
import pickle
import subprocess
import sys
import time

import numba
import numpy as np
import pytest
from minipg.kernels.cpu import _jit
from numba.core import event

from minipg import ALGORITHMS
from minipg.algorithms.rehearsal import _made_up, rehearse, understudy
from minipg.runs import rehearsal
from minipg.runs.rehearsal import compiled_by_two

RACE = """
import sys, time
from pathlib import Path
from minipg.kernels.cpu import _jit
from numba.core import event

class Listener(event.Listener):
    def on_start(self, _): print("compiles")
    def on_end(self, _): time.sleep(0.3)

event.register("numba:compile", Listener())

@_jit.jit
def double(x):
    return 2 * x

Path(sys.argv[1]).touch()
while len(list(Path(sys.argv[1]).parent.glob("ready*"))) < 3:
    time.sleep(0.001)
print(double(21))
"""


def test_of_processes_that_need_a_kernel_at_once_one_compiles_it(tmp_path):
    script = tmp_path / "race.py"
    script.write_text(RACE)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    racers = [
        subprocess.Popen([sys.executable, script, tmp_path / f"ready{n}"], env=environment, stdout=subprocess.PIPE)
        for n in range(3)
    ]
    assert sorted(racer.communicate()[0].split() for racer in racers) == [[b"42"], [b"42"], [b"compiles", b"42"]]


def test_a_kernel_compiled_inside_another_waits_for_nobody():
    # it is under the compiler's lock by then: who holds that must not wait for who may be waiting for it
    calls = []

    def compile(signature):
        calls.append(signature)
        if signature == "outer":
            once("inner")

    once = _jit._by_one_process(compile, _jit.Path(__file__))
    once("outer")
    assert calls == ["outer", "inner"]
    assert not _jit._compiling.now


def test_a_process_that_is_stopped_while_it_compiles_keeps_others_for_a_while_only(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    source = tmp_path / "kernels.py"
    source.touch()
    monkeypatch.setattr(_jit, "_PATIENCE", 0.2)
    compile = _jit._by_one_process(lambda signature: time.monotonic(), source)
    with source.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        began = time.monotonic()
        assert compile("it") - began >= 0.2


def test_without_locks_kernels_are_compiled_all_the_same(tmp_path):
    assert _jit._by_one_process(lambda signature: signature, tmp_path / "nothing.py")("it") == "it"


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_rehearsal_has_what_a_rollout_has_and_leaves_the_agent_alone(name, env):
    agent = ALGORITHMS[name](env, n_steps=16, threads=2)
    twin = pickle.loads(pickle.dumps(understudy(agent)))
    made_up, real = _made_up(twin), agent._collect(agent._new_collector())
    for field, one, other in zip(real._fields, made_up, real, strict=True):
        assert numba.typeof(one) == numba.typeof(other), field
    before = {part: array.copy() for part, array in agent.whole_state().arrays.items()}
    rehearse(twin)
    assert twin.backend.threads == twin.actor.backend.threads == twin.critic.mlp.backend.threads == 1
    assert any((agent.theta != twin.theta).tolist()), "an update that changes nothing has not been through its kernels"
    after = agent.whole_state().arrays
    assert all(np.array_equal(before[part], after[part]) for part in before)


def compile_something():
    with event.trigger_event("numba:compile", data={}):
        pass


def test_a_run_that_compiles_has_a_second_process_which_ends_with_it(monkeypatch):
    begun, popen = [], subprocess.Popen

    def begin(*args, **options):
        begun.append(popen(*args, **options))
        return begun[-1]

    monkeypatch.setattr(rehearsal.subprocess, "Popen", begin)
    agent = ALGORITHMS["a2c"]("CartPole-v1", threads=2)
    with compiled_by_two(agent):
        assert not begun
        compile_something()
        compile_something()
        (process,) = begun
        while process.poll() is None and time.sleep(0.05) is None:
            pass
        assert process.returncode == 0, "it rehearses to its end"
    with compiled_by_two(agent):
        compile_something()
        assert begun[1].poll() is None
    assert begun[1].returncode is not None

    alone = dataclasses.replace(agent.backend, threads=1)
    monkeypatch.setattr(agent, "backend", alone)
    with compiled_by_two(agent):
        compile_something()
    assert len(begun) == 2


def test_an_agent_that_cannot_be_copied_trains_without_a_second_process(monkeypatch):
    agent = ALGORITHMS["a2c"]("CartPole-v1", threads=2)
    agent.note = lambda: None  # which no other process could read
    with compiled_by_two(agent):
        compile_something()
