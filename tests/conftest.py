"""Settings shared by all tests."""

import os
import signal

# one BLAS thread a process, as the processes share the cores; before NumPy is imported, and inherited by children
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("minipg", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("minipg")

# a shell script that starts pytest in the background makes it ignore Ctrl-C, which some tests send to themselves
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def two_blas_threads():
    """BLAS uses two threads unless something in the test limits it."""
    import scipy.linalg.cython_blas  # noqa: F401  so that the BLAS of compiled code is loaded, and found
    from threadpoolctl import threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        yield
