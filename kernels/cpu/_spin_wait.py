"""A thread without work spins for a moment before it sleeps: to wake it takes longer than many a job.

Python's lock is free while a thread is in here. A thread that asks for the lock while another one holds it sleeps, and
takes some 30 µs to wake; so nothing is announced from Python that the other thread would answer at once.
"""

from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu._task_queue import _read, _write

PATIENCE = 400_000  # reads, about a tenth of a millisecond
DELAY = 16_000  # reads, about the time for which a caller still holds Python's lock after posting a job


@jit
def spin_wait(flag, value):
    """Return when flag[0] differs from `value`, or after a while.   flag (…,) int64."""
    for _ in range(PATIENCE):
        if _read(flag, 0) != value:
            break


@jit
def finish_and_wait(done, posted, value):
    """done[0] ← 1; return some microseconds after posted[0] differs from `value`, or after a while.   (…,) int64."""
    _write(done, 0, 1)
    for _ in range(PATIENCE):
        if _read(posted, 0) != value:
            for _ in range(DELAY):
                _read(posted, 0)
            break
