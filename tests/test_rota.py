"""By a rota, several threads come to what one alone comes to: every task once, and after those that it waits for."""

import threading

import numba
import numpy as np
import pytest
from minipg.kernels.cpu._rota import announce, begin, end, finish, first, is_done, is_free, is_open, post, size_for

KINDS, ROUNDS, POSTS = 4, 400, 60


@numba.njit(nogil=True)
def work(leads, way, rounds, rota, numbers, done):
    """Two tasks make new numbers of old ones, and two more the old ones of the next round.   way: 0 or 1, which first.

    Products modulo a prime tell one order from any other. done (POSTS · ROUNDS, KINDS): how often each task was.
    """
    if leads:
        announce(rota, 1)
        post(rota, rounds)
    number = first(rota)
    while leads or is_open(rota):
        if number < end(rota):
            for i in range(KINDS):
                kind = i ^ way
                a, b, last = (2, 3, number - 1) if kind < 2 else (0, 1, number)
                while is_free(rota, kind, number):
                    if is_done(rota, a, last) and is_done(rota, b, last) and begin(rota, kind, number):
                        numbers[kind] = (numbers[a] * (kind + 3) + numbers[b] * 7 + number) % 1_000_003
                        done[number, kind] += 1
                        finish(rota, kind)
            number += 1
        elif leads:
            break
    if leads:
        for kind in range(KINDS):
            while not is_done(rota, kind, number - 1):
                pass


def worked(followers):
    rota, numbers = np.zeros(size_for(KINDS), np.int64), np.arange(KINDS)
    done, found = np.zeros((POSTS * ROUNDS, KINDS), np.int64), []
    opened = threading.Event()

    def follow(way):
        opened.wait(60)
        work(False, way, 0, rota, numbers, done)

    threads = [threading.Thread(target=follow, args=(n % 2,)) for n in range(1, followers + 1)]
    for thread in threads:
        thread.start()
    try:
        for n in range(POSTS):
            work(True, 0, ROUNDS, rota, numbers, done)
            assert (done[: (n + 1) * ROUNDS] == 1).all()  # when who leads returns, all is done, and nothing twice
            assert (done[(n + 1) * ROUNDS :] == 0).all()
            found.append(numbers.copy())
            opened.set()
    finally:
        close(rota)
        opened.set()
        for thread in threads:
            thread.join()
    return np.array(found)


@numba.njit
def close(rota):
    announce(rota, 0)


@pytest.mark.parametrize("followers", [1, 3])
def test_whoever_else_works_by_a_rota_it_comes_to_the_same(followers):
    np.testing.assert_array_equal(worked(followers), worked(0))
