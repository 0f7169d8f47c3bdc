"""Work spread over threads gives the same bits, never waits for a busy thread, and survives a fork."""

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl

from minipg import Backend
from minipg.errors import MinipgError
from minipg.runtime.backend import MOST_TILES, TILE_ROWS
from minipg.runtime.compiling import announce_compiling
from minipg.runtime.threads import Helpers, OneBlasThread


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads):
    assert Backend("numpy", threads).map(lambda x: x * x, range(100)) == [x * x for x in range(100)]
    assert Backend("numpy", threads).map(lambda x: x, []) == []


@pytest.mark.parametrize(
    "rows", [0, 1, TILE_ROWS, 2 * TILE_ROWS - 1, 2 * TILE_ROWS, 5 * TILE_ROWS - 3, 8 * TILE_ROWS + 1, 100_000]
)
def test_few_tiles_cover_every_row_once_in_order(rows):
    tiles = Backend("numpy", 2).map_rows(lambda rows: rows, rows)
    assert [i for tile in tiles for i in range(tile.start, tile.stop)] == list(range(rows))
    assert len(tiles) <= MOST_TILES
    assert len(tiles) > 1 or rows < 2 * TILE_ROWS
    assert len(tiles) < 2 or min(tile.stop - tile.start for tile in tiles) > 0.9 * TILE_ROWS


def test_a_busy_helper_is_not_waited_for():
    backend, release = Backend("numpy", 2), threading.Event()

    def meanwhile():
        try:
            return backend.map(lambda x: x + 1, list(range(10)))
        finally:
            release.set()

    first, second = backend.both(meanwhile, lambda: release.wait(20))
    assert first == list(range(1, 11))
    assert second is True


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_any_tile_reaches_the_caller(threads):
    backend = Backend("numpy", threads)
    for bad in range(6):
        with pytest.raises(ZeroDivisionError):
            backend.map(lambda x, bad=bad: 1 / (x - bad), list(range(6)))
    for f, g in ((lambda: 1 / 0, lambda: 1), (lambda: 1, lambda: 1 / 0)):
        with pytest.raises(ZeroDivisionError):
            backend.both(f, g)


def blas_threads():
    return [lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]


@pytest.mark.usefixtures("two_blas_threads")
def test_blas_keeps_to_one_thread_inside_and_is_as_before_afterwards():
    with OneBlasThread():
        pass
    before = blas_threads()
    assert set(before) == {2}
    with OneBlasThread():
        assert set(blas_threads()) == {1}
        with OneBlasThread():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
    with pytest.raises(ValueError, match="out"), OneBlasThread():
        raise ValueError("out")
    assert blas_threads() == before


class Failing:
    """A way to wait that fails, as where there is no memory to compile it."""

    @staticmethod
    def finish_and_wait(done, posted, value):
        raise MemoryError


class Late:
    """A way to wait that takes no notice of new jobs."""

    @staticmethod
    def finish_and_wait(done, posted, value):
        done[0] = 1
        time.sleep(1e-4)


def result(job):
    """The job's result, within a minute."""
    until = time.monotonic() + 60
    while not job.over:
        assert time.monotonic() < until, "the job was lost"
        time.sleep(1e-5)
    return job.result()


@pytest.mark.parametrize("waiting", [None, Failing, Late, Backend("numba", 2).kernels("_spin_wait")])
def test_no_job_is_lost_however_helpers_wait(waiting):
    helpers = Helpers(2)
    for n in range(200):
        jobs = [helpers.submit(waiting, pow, k, 2) for k in range(n % 7)]
        if n % 3:
            time.sleep(1e-4)
        assert [result(job) for job in jobs] == [k * k for k in range(n % 7)]
    failing = helpers.submit(waiting, pow, 0, -1)
    with pytest.raises(ZeroDivisionError):
        result(failing)
    assert result(helpers.submit(waiting, pow, 2, 3)) == 8


AT_THE_END = """
import atexit
from minipg import Backend
atexit.register(lambda: print(Backend("numba", 2).both(lambda: 1, lambda: 2), Backend("numba", 2).map(abs, [-1, 2])))
"""


def test_the_end_of_the_interpreter_has_no_helpers_and_needs_none():
    run = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split("\n")[0] == "(1, 2) [1, 2]", run.stderr


KERNELS = """
import numba

@numba.njit(cache=True)
def double(x):
    return 2 * x

@numba.njit(cache=True)
def triple(x):
    return 3 * x
"""


def test_compiling_is_announced_once_and_never_for_kernels_from_the_cache(tmp_path):
    path, said = tmp_path / "some_kernels.py", []
    path.write_text(KERNELS)

    def run():
        """In a module that is new to the process, as its kernels are at the start of a program."""
        said.clear()
        spec = importlib.util.spec_from_file_location("some_kernels", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with announce_compiling(said.append):
            assert (module.double(2), module.triple(2)) == (4, 6)
        return len(said), sum(len(kernel.stats.cache_hits) for kernel in (module.double, module.triple))

    assert run() == (1, 0)
    assert run() == (0, 2)


def in_child(queue):
    queue.put(Backend("numpy", 2).map(lambda x: 2 * x, list(range(50))))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_process_maps_after_its_parent_did(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this platform")
    Backend("numpy", 2).map(lambda x: x, list(range(50)))
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == [2 * x for x in range(50)]
    child.join(60)


def test_many_python_threads_may_compute_at_once():
    from minipg import MLP

    mlp = MLP((8, 32, 4), "tanh", Backend("numba", 2))
    theta, obs = mlp.init(np.random.default_rng(0)), np.random.default_rng(1).normal(size=(2000, 8))
    expected = mlp.forward(theta, obs).out
    results = [None] * 6

    def work(i):
        results[i] = mlp.forward(theta, obs).out

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_an_unknown_backend_and_no_thread_are_named():
    with pytest.raises(MinipgError, match="unknown backend 'nunba'; did you mean numba"):
        Backend("nunba")
    with pytest.raises(MinipgError, match="threads: expected an integer ≥ 1, got 0"):
        Backend("numba", 0)


ONE_UPDATE = """
import hashlib, minipg
agent = minipg.ALGORITHMS["{}"]("CartPole-v1", seed=0, n_steps=64, threads=1).learn(1)
print(hashlib.sha256(agent.theta.tobytes() + agent.value.theta.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("name", ["a2c", pytest.param("trpo", marks=pytest.mark.slow)])
def test_code_from_the_cache_computes_the_bits_of_the_process_that_compiled_it(name, tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", ONE_UPDATE.format(name)], env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    )
    assert first.stdout == second.stdout != ""
