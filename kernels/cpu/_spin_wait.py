"""What a thread without work listens to for a moment, before it sleeps: to be woken takes as long as many a tile."""

from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu._task_queue import _read

PATIENCE = 400_000  # looks at the bell, which take about a tenth of a millisecond


@jit
def linger(bell, rung):
    """Returns when bell[0] is no longer what it was, `rung`, or after a while.   bell (…,) int64."""
    for _ in range(PATIENCE):
        if _read(bell, 0) != rung:
            break
