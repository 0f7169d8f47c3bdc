"""Threads that spin between Fisher products: the same bits, every tile once, and no wait for a busy thread."""

import multiprocessing
import threading

import numba
import numpy as np
import pytest
import threadpoolctl
from minipg.kernels.cpu._task_queue import SIZE, all_done, finish, post, take

from minipg import MLP, Backend, CategoricalPolicy, GaussianPolicy, fisher_operator
from minipg.errors import ShapeError
from minipg.objective import policy_gradient
from minipg.runtime.backend import TILE_ROWS
from minipg.runtime.fisher_threads import FisherThreads


def problem(kind, rows, threads, dtype=np.float32, hidden=16):
    policy, rng = kind(MLP((3, hidden, 2), "tanh", Backend("numba", threads))), np.random.default_rng(rows)
    theta, obs = policy.init(rng, dtype), rng.normal(size=(rows, 3)).astype(dtype)
    vs = rng.normal(size=(6, len(theta))).astype(dtype)
    return policy, theta, policy.forward(theta, obs), vs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, TILE_ROWS, 3 * TILE_ROWS + 5, 9 * TILE_ROWS])
@pytest.mark.parametrize("kind", [CategoricalPolicy, GaussianPolicy])
def test_any_number_of_threads_gives_the_bits_of_one_TR9(kind, rows, dtype):
    policy, theta, tape, vs = problem(kind, rows, 1, dtype)
    scale = 1e-5 if dtype is np.float32 else 1e-13
    reference = kind(MLP(policy.mlp.sizes, "tanh", Backend("numpy", 1)))
    plain = [policy.fisher_product(theta, tape, v) / dtype(rows) + dtype(0) * v for v in vs]
    for Fv, v in zip(plain, vs, strict=True):
        expected = fisher_operator(reference, theta, reference.forward(theta, tape.mlp.obs))(v)
        np.testing.assert_allclose(Fv, expected, rtol=0, atol=scale * np.abs(expected).max())
    for threads in (1, 2, 3, 5):
        policy, theta, tape, vs = problem(kind, rows, threads, dtype)
        product = fisher_operator(policy, theta, tape)
        for v, expected in zip(vs, plain, strict=True):
            np.testing.assert_array_equal(product(v), expected)


@numba.njit(nogil=True)
def work_through(is_caller, board, done):
    """The work of a thread at a queue of tiles, without the mathematics: count every tile that it takes."""
    if is_caller:
        post(board, done.shape[0])
    while True:
        tile = take(board)
        if tile >= 0:
            done[tile] += 1
            finish(board)
        elif not is_caller or all_done(board):
            return


def test_every_tile_is_taken_once_however_many_threads_take_tiles():
    board, done, rounds = np.zeros(SIZE, np.int64), np.zeros(1000, np.int64), 300
    over = threading.Event()

    def follow():
        while not over.is_set():
            work_through(False, board, done)

    followers = [threading.Thread(target=follow) for _ in range(3)]
    for thread in followers:
        thread.start()
    try:
        for n in range(rounds):
            work_through(True, board, done)
            assert (done == n + 1).all()  # when the leading thread returns, every tile is done, none twice
    finally:
        over.set()
        for thread in followers:
            thread.join()


def test_a_thread_that_is_busy_elsewhere_is_not_waited_for():
    policy, theta, tape, vs = problem(CategoricalPolicy, 5 * TILE_ROWS, 2)
    release = threading.Event()
    busy = policy.backend.submit(release.wait, 60)
    try:
        product = fisher_operator(policy, theta, tape)
        np.testing.assert_array_equal(
            product(vs[0]), policy.fisher_product(theta, tape, vs[0]) / np.float32(len(tape.params))
        )
    finally:
        release.set()
    busy.wait(None)
    assert busy.result()


def in_child(queue):
    policy, theta, tape, vs = problem(CategoricalPolicy, 5 * TILE_ROWS, 2)
    queue.put(fisher_operator(policy, theta, tape)(vs[0]))


def test_a_forked_child_has_helpers_of_its_own():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork on this platform")
    policy, theta, tape, vs = problem(CategoricalPolicy, 5 * TILE_ROWS, 2)
    expected, context = fisher_operator(policy, theta, tape)(vs[0]), multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), expected)
    child.join(60)


def blas_threads():
    return {lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"}


@pytest.mark.usefixtures("two_blas_threads")
def test_blas_keeps_to_one_thread_inside_a_product(monkeypatch):
    policy, theta, tape, vs = problem(CategoricalPolicy, 3 * TILE_ROWS, 1)
    product, seen = FisherThreads(policy.backend, policy.spec, theta, tape.forward_pass), []
    share = product._share
    monkeypatch.setattr(product, "_share", lambda *inputs: seen.append(blas_threads()) or share(*inputs))
    product(vs[0])
    assert seen == [{1}]
    assert blas_threads() == {2}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("twin", ["numpy", "numba"])
def test_of_no_rows_products_and_gradients_are_not_numbers_rather_than_errors(twin):
    policy = CategoricalPolicy(MLP((3, 4, 2), "tanh", Backend(twin, 2)))
    theta, none = policy.init(np.random.default_rng(0), np.float64), np.zeros((0, 3))
    tape, act, adv = policy.forward(theta, none), np.zeros(0, np.int64), np.zeros(0)
    assert np.isnan(fisher_operator(policy, theta, tape)(theta)).all()
    assert np.isnan(policy_gradient(policy, theta, tape, act, adv)).all()


def test_a_vector_of_another_length_is_named_and_the_next_product_is_right():
    policy, theta, tape, vs = problem(GaussianPolicy, 3 * TILE_ROWS, 2)
    product = fisher_operator(policy, theta, tape)
    expected = product(vs[0])
    with pytest.raises(ShapeError, match="v: expected shape"):
        product(vs[0][:-1])
    np.testing.assert_array_equal(product(vs[0]), expected)
