"""Returns and advantages against sums written out term by term."""

import numpy as np
import pytest
from cases import TWINS

from minipg.errors import ShapeError
from minipg.returns import gae


@pytest.mark.parametrize("twin", TWINS)
def test_gae_may_be_written_over_its_input(twin):
    from minipg import Backend

    kernels = Backend(twin, 1).kernels("returns")
    rng = np.random.default_rng(0)
    delta, end = rng.normal(size=(9, 2)), rng.random((2, 9, 2)) < 0.2
    out = np.empty_like(delta)
    kernels.gae(delta, *end, 0.9, 0.8, out)
    kernels.gae(delta, *end, 0.9, 0.8, delta)
    np.testing.assert_array_equal(delta, out)


def test_shapes_that_disagree_are_named():
    with pytest.raises(ShapeError, match=r"terminated: expected shape \(3, 2\), got \(3,\)"):
        gae(np.zeros((3, 2)), np.zeros(3, bool), np.zeros((3, 2), bool), 0.9, 0.9)
