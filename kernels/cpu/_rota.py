"""A rota of tasks that several threads share: round after round, one task of each kind, and none is done twice.

A rota for K kinds is (size_for(K),) int64, zeros at first: whether rounds will be posted; how many were, as on a
board, before the last post and with it; and of each kind how many tasks were ever begun, and how many are done, on a
cache line of its own. Every access is atomic and in order, so what a thread wrote before it finished a task is there
for whoever sees that it did. Who goes through the rounds in their order, and through the kinds of each, leaves none
behind.
"""

from minipg.kernels.cpu._jit import part
from minipg.kernels.cpu._task_queue import BEFORE, LINE, POSTED, _add, _read, _swap, _write

OPEN, KINDS = 0, 2 * LINE
BEGUN, DONE = 0, 1


def size_for(kinds):
    """How many numbers a rota is."""
    return KINDS + kinds * LINE


@part
def announce(rota, more):
    """Whether rounds will be posted, soon after others or later: whoever helps stays for them."""
    _write(rota, OPEN, more)


@part
def is_open(rota):
    """Whether rounds were announced."""
    return _read(rota, OPEN) > 0


@part
def first(rota):
    """The number of the first round of the last post."""
    return _read(rota, BEFORE)


@part
def end(rota):
    """The number of the first round that is not posted."""
    return _read(rota, POSTED)


@part
def is_free(rota, kind, number):
    """Whether nobody has begun the task of this kind in the round of that number, whose like in earlier ones are."""
    return _read(rota, KINDS + kind * LINE + BEGUN) == number


@part
def begin(rota, kind, number):
    """Whether a task that was free is now one's own, rather than another thread's."""
    return _swap(rota, KINDS + kind * LINE + BEGUN, number, number + 1)


@part
def finish(rota, kind):
    """What one began of this kind is done."""
    _add(rota, KINDS + kind * LINE + DONE, 1)


@part
def is_done(rota, kind, number):
    """Whether the task of this kind is done in the round of that number, as in all earlier ones."""
    return _read(rota, KINDS + kind * LINE + DONE) > number
