"""Special cases of returns and advantages: aliased outputs and wrong arguments."""

import numpy as np
import pytest
from cases import TWINS

from minipg import Backend
from minipg.errors import ConfigError, ShapeError
from minipg.returns import advantages, gae


@pytest.mark.parametrize("twin", TWINS)
def test_gae_may_be_written_over_its_input(twin):
    kernels = Backend(twin, 1).kernels("returns")
    rng = np.random.default_rng(0)
    delta, end = rng.normal(size=(9, 2)), rng.random((2, 9, 2)) < 0.2
    out = np.empty_like(delta)
    kernels.gae(delta, *end, 0.9, 0.8, out)
    kernels.gae(delta, *end, 0.9, 0.8, delta)
    np.testing.assert_array_equal(delta, out)


def test_shapes_that_disagree_are_refused_by_name():
    with pytest.raises(ShapeError, match=r"terminated: expected shape \(3, 2\), got \(3,\)"):
        gae(np.zeros((3, 2)), np.zeros(3, bool), np.zeros((3, 2), bool), 0.9, 0.9)


@pytest.mark.parametrize("at", [-1, 8, 200])
@pytest.mark.parametrize("twin", TWINS)
def test_a_final_observation_of_no_row_is_refused_before_a_kernel_reads_it(twin, at):
    never = np.zeros((4, 2), bool)
    with pytest.raises(ConfigError, match="final_at: expected rows from 0 to 7"):
        advantages(np.zeros(11), np.zeros((4, 2)), never, never, np.array([at]), 0.9, 0.9, Backend(twin, 1))
