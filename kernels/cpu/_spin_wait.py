"""Spin loops of threads without work: waking a sleeping thread takes longer than a short job.

The GIL is released in these loops. A thread that asks for the GIL while another holds it sleeps, and takes about 30 µs
to wake. So `finish_and_wait` returns only when the caller that posted a job has probably released the GIL.
"""

from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu._task_queue import _read, _write

MOST_READS = 400_000  # reads, about a tenth of a millisecond
DELAY = 16_000  # reads, about the time that a caller holds the GIL after it has posted a job


@jit
def spin_wait(flag, value):
    """Return when flag[0] differs from `value`, or after MOST_READS reads.   flag (1,) int64."""
    for _ in range(MOST_READS):
        if _read(flag, 0) != value:
            break


@jit
def finish_and_wait(done, posted, value):
    """done[0] ← 1; return DELAY reads after posted[0] differs from `value`, or after MOST_READS reads.   (…,) int64."""
    _write(done, 0, 1)
    for _ in range(MOST_READS):
        if _read(posted, 0) != value:
            for _ in range(DELAY):
                _read(posted, 0)
            break
