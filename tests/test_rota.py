"""By a rota, several threads come to what one alone comes to: every task once, and after those that it builds on."""

import threading
import time

import numba
import numpy as np
import pytest
from minipg.kernels.cpu._rota import announce, begin, end, finish, first, is_done, is_free, is_open, size_for
from minipg.kernels.cpu._task_queue import post

KINDS, ROUNDS, POSTS, ENOUGH = 4, 400, 60, 3000


@numba.njit(nogil=True)
def work(leads, way, rounds, rota, numbers, done, mine):
    """Two tasks make new numbers of old ones, and two more the old ones of the next round.   way: 0 or 1, which first.

    Products modulo a prime tell one order from any other. done (ROUNDS, KINDS): how often each task was; mine (1,): how
    many this thread did.
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
                        done[number - first(rota), kind] += 1
                        mine[0] += 1
                        finish(rota, kind)
            number += 1
        elif leads:
            break
    if leads:
        for kind in range(KINDS):
            while not is_done(rota, kind, number - 1):
                pass


@numba.njit
def close(rota):
    announce(rota, 0)


def worked(followers, posts=POSTS):
    """The numbers after each of so many posts, or of more, until each of the followers has done enough."""
    rota, numbers, found = np.zeros(size_for(KINDS), np.int64), np.arange(KINDS), []
    done, did = np.zeros((ROUNDS, KINDS), np.int64), np.zeros((followers + 1, 1), np.int64)
    work(True, 0, 1, rota, numbers, done, did[0])  # from here on it is open, and compiled
    threads = [
        threading.Thread(target=work, args=(False, n % 2, 0, rota, numbers, done, did[n]))
        for n in range(1, followers + 1)
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    try:
        while len(found) < posts or (did[1:] < ENOUGH).any():
            done[:] = 0
            work(True, 0, ROUNDS, rota, numbers, done, did[0])
            assert (done == 1).all()  # when who leads returns, all is done, and nothing twice
            found.append(numbers.copy())
            assert time.monotonic() < until, "the others hardly come to anything"
    finally:
        close(rota)
        for thread in threads:
            thread.join()
    return np.array(found)


@pytest.mark.parametrize("followers", [1, 3])
def test_whoever_else_works_by_a_rota_it_comes_to_the_same(followers):
    found = worked(followers)
    np.testing.assert_array_equal(found, worked(0, len(found)))
