"""Kernels are compiled by one process where several need them, and a first run by two that share the work."""

import ast
import dataclasses
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from minipg.kernels.cpu import _cache, mlp
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher

from minipg import A2C, ALGORITHMS, Backend
from minipg.algorithms.precompile import _made_up, compile_update, without_environments
from minipg.cli import main
from minipg.runs import precompile
from minipg.runs.precompile import compiling_in_two_processes
from minipg.runtime.compiling import when_compiling, working_time

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


class Kept:
    """A dispatcher whose compiling takes no time, and its cache."""

    targetctx = mlp.forward.targetctx

    def __init__(self):
        self.cache = _cache.KernelCache(halved)
        self.compile = lambda signature: time.monotonic()
        self.compile_once = _cache.by_one_process(self, self.cache)


def halved(x):
    return x / 2


@pytest.fixture
def held():
    """The lock of this kernel, held by another open file."""
    fcntl, cache = pytest.importorskip("fcntl"), _cache.KernelCache(halved)
    with cache.alone():
        pass
    (lock,) = Path(cache.cache_path).glob(f"{Path(__file__).stem}.halved-*.lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_kernel_that_is_compiled_inside_another_waits_for_no_process(held):
    # the holder of the compiler's lock must not wait for a process that may be waiting for that lock
    start = time.monotonic()
    with global_compiler_lock:
        assert Kept().compile_once("it") - start < 10


def test_a_process_that_is_stopped_while_it_compiles_keeps_others_for_a_while_only(held, monkeypatch):
    monkeypatch.setattr(_cache, "PATIENCE", 0.2)
    start, worked = time.monotonic(), working_time()
    assert Kept().compile_once("it") - start >= 0.2
    assert working_time() - worked < 0.1, "waiting for a process that compiles is no work"


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock(monkeypatch):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork on this platform")
    cache = _cache.KernelCache(halved)
    with cache.alone():
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
    start = time.monotonic()
    with cache.alone():
        assert time.monotonic() - start < 10
    child.kill()
    child.join()


def test_without_a_place_for_locks_kernels_are_compiled_all_the_same(monkeypatch, tmp_path):
    kept = Kept()
    monkeypatch.setattr(kept.cache, "_cache_path", str(tmp_path / "nowhere"))
    assert kept.compile_once("it")


def test_an_index_never_names_code_that_is_not_there_yet(tmp_path, monkeypatch):
    files = _cache._Files(str(tmp_path), "kernel", "stamp")
    files.save("one signature", "its code")
    files.save("another", "another's code")

    def killed(*_):
        raise KeyboardInterrupt

    for step in ("_save_data", "_save_index"):
        with monkeypatch.context() as patch:
            patch.setattr(files, step, killed)
            with pytest.raises(KeyboardInterrupt):
                files.save("a third", "a third's code")
        assert files.load("a third") is None
    assert (files.load("one signature"), files.load("another")) == ("its code", "another's code")


def test_code_of_other_sources_is_never_taken_for_that_of_these_and_is_removed(tmp_path, monkeypatch):
    before, now = (_cache._Files(str(tmp_path), "kernel", stamp) for stamp in ("before", "now"))
    now.save("it", "now's code")
    with monkeypatch.context() as patch:
        patch.setattr(before, "_save_index", lambda _: None)  # killed, or refused
        before.save("it", "code from before")
    assert now.load("it") in ("now's code", None)
    now.save("it", "now's code")
    before.save("it", "code from before")
    now.save("it", "now's code")
    assert len(list(tmp_path.glob("*.nbc"))) == 1


def test_what_another_process_has_kept_meanwhile_stays(tmp_path, monkeypatch):
    here, there = (_cache._Files(str(tmp_path), "kernel", "stamp") for _ in range(2))
    save_data = here._save_data

    def slowly(*args):
        there.save("theirs", "their code")
        save_data(*args)

    monkeypatch.setattr(here, "_save_data", slowly)
    here.save("ours", "our code")
    assert (here.load("ours"), here.load("theirs")) == ("our code", "their code")


def test_two_signatures_never_share_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache.zlib, "crc32", lambda _: 7)
    files = _cache._Files(str(tmp_path), "kernel", "stamp")
    for key in ("one", "another", "one"):
        files.save(key, key * 2)
    assert (files.load("one"), files.load("another")) == ("oneone", "anotheranother")


def signatures():
    """Every kernel's name and the types that it has been compiled for."""
    return {
        (name, kernel.__name__, signature)
        for name, module in list(sys.modules.items())
        if name.startswith("minipg.kernels.cpu")
        for kernel in vars(module).values()
        if isinstance(kernel, Dispatcher) and kernel.__module__ == name
        for signature in kernel.signatures
    }


LEFT_TO_COMPILE = """
import pickle
from test_precompile import ALGORITHMS, compile_update, signatures, without_environments
left = set()
for name in ("a2c", "ppo", "trpo"):  # none of them has an update whose kernels are all another one's
    agent = ALGORITHMS[name](ENV, n_steps=16, num_envs=2, hidden=(4,), threads=2)
    compile_update(pickle.loads(pickle.dumps(without_environments(agent))))
    compiled = signatures()
    agent.learn(1, progress=False)
    left |= {"rollout" if ".classic_control." in module else kernel for module, kernel, _ in signatures() - compiled}
print(left)
"""


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_after_an_update_on_made_up_experience_only_what_no_update_calls_is_left_to_compile(env):
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-c", f"ENV = {env!r}{LEFT_TO_COMPILE}"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    left, statistics, waiting = ast.literal_eval(run.stdout), {"merge", "standardize"}, {"spin_wait", "finish_and_wait"}
    assert "rollout" in left
    # a rollout that is not in the cache yet compiles its parts, and `act`, in this process
    assert left <= {"rollout", "act", "explained_variance"} | statistics | waiting


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("name", sorted({*ALGORITHMS} - {"dpg", "ddpg", "td3"}))
def test_the_update_that_compiles_has_the_types_of_a_rollout_and_leaves_the_agent_alone(name, env):
    agent = ALGORITHMS[name](env, n_steps=16, threads=2)
    twin = pickle.loads(pickle.dumps(without_environments(agent)))
    made_up, real = _made_up(twin), agent._collect(agent._new_collector())
    for field, one, other in zip(real._fields, made_up, real, strict=True):
        assert numba.typeof(one) == numba.typeof(other), field
    before = {part: array.copy() for part, array in agent.whole_state().arrays.items()}
    compile_update(twin)
    assert twin.backend.threads == twin.actor.backend.threads == twin.critic.mlp.backend.threads == 1
    assert any((agent.theta != twin.theta).tolist()), "an update that changes nothing has not been through its kernels"
    after = agent.whole_state().arrays
    assert all(np.array_equal(before[part], after[part]) for part in before)


def compile_something(dispatcher=mlp.forward):
    with event.trigger_event("numba:compile", data={"dispatcher": dispatcher}):
        pass


@pytest.fixture
def started(monkeypatch):
    """The processes that are started, in order."""
    processes, popen = [], subprocess.Popen

    def start(*args, **options):
        processes.append(popen(*args, **options))
        return processes[-1]

    monkeypatch.setattr(precompile.subprocess, "Popen", start)
    return processes


def test_a_run_that_compiles_has_a_second_process_which_ends_with_it(started, monkeypatch):
    agent = ALGORITHMS["a2c"]("CartPole-v1", threads=2)
    with compiling_in_two_processes(agent):
        compile_something(numba.njit(halved))  # not one of minipg's: the second process would not compile it
        assert not started
        compile_something()
        compile_something()
        (process,) = started
        assert process.wait(timeout=120) == 0, "it compiles all kernels"
    with compiling_in_two_processes(agent):
        compile_something()
        assert started[1].poll() is None
    assert started[1].returncode is not None

    alone = dataclasses.replace(agent.backend, threads=1)
    monkeypatch.setattr(agent, "backend", alone)
    with compiling_in_two_processes(agent):
        compile_something()
    monkeypatch.setattr(agent, "backend", Backend("numpy", 2))
    with compiling_in_two_processes(agent):
        compile_something()
    assert len(started) == 2


def test_a_run_of_the_command_line_compiles_in_two_processes(monkeypatch, tmp_path):
    copied = []
    monkeypatch.setattr(precompile, "without_environments", lambda agent: copied.append(agent))
    learn = A2C.learn

    def compiles(agent, *args, **options):
        compile_something()
        return learn(agent, *args, **options)

    monkeypatch.setattr(A2C, "learn", compiles)
    train = ["train", "a2c", "CartPole-v1", "--steps", "40", "--threads", "2", "--out", str(tmp_path / "run")]
    assert main(train) == 0
    assert len(copied) == 1


def test_the_second_process_runs_nothing_from_the_folder_it_is_in(started, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pickle.py").write_text("from pathlib import Path; Path('ran').touch()")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    agent = ALGORITHMS["a2c"]("CartPole-v1", threads=2)
    with compiling_in_two_processes(agent):
        compile_something()
        assert started[0].wait(timeout=120) == 0
    assert not (tmp_path / "ran").exists()


def test_a_loop_that_numba_lifts_out_of_another_function_is_ignored():
    with when_compiling(lambda: None, kept=True):
        compile_something(object())


def test_an_agent_that_cannot_be_copied_trains_without_a_second_process(monkeypatch):
    agent = ALGORITHMS["a2c"]("CartPole-v1", threads=2)
    agent.note = lambda: None  # which cannot be pickled
    with compiling_in_two_processes(agent):
        compile_something()
