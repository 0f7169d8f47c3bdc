"""Special cases of the network: kinks, NaN, dtypes, large and empty batches, wrong shapes."""

import numpy as np
import pytest
from cases import TWINS, close, networks
from hypothesis import given

from minipg import MLP, Backend
from minipg.checks import as_array
from minipg.errors import ConfigError, MinipgError, ShapeError
from minipg.network import Images, convolutions


@given(networks(activations=("relu",)))
def test_a_relu_passes_derivatives_on_where_it_is_above_zero_and_nowhere_else_TR9(case):
    views, dviews = case.mlp.layout.views(case.theta), case.mlp.layout.views(case.v)
    h, dh, last = case.obs, 0 * case.obs, len(case.mlp.sizes) - 2
    for layer in range(last + 1):
        y = h @ views[f"W{layer}"] + views[f"b{layer}"]
        dy = dh @ views[f"W{layer}"] + h @ dviews[f"W{layer}"] + dviews[f"b{layer}"]
        h, dh = (np.where(y > 0, y, 0), np.where(y > 0, dy, 0)) if layer < last else (y, dy)
    tape = case.mlp.forward(case.theta, case.obs)
    close(case.mlp.jvp(case.theta, tape, case.v), dh, 1e-12, scale=np.abs(dh).max() + 1)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_keep_the_dtype_of_theta(twin, dtype):
    mlp = MLP((3, 4, 2), "tanh", Backend(twin, 1))
    theta = mlp.init(np.random.default_rng(0), dtype=dtype)
    tape = mlp.forward(theta, np.ones((5, 3)))
    assert {a.dtype for a in (*tape, mlp.jvp(theta, tape, theta), mlp.vjp(theta, tape, tape.out))} == {np.dtype(dtype)}


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_nan_and_infinity_stay_visible(activation, special):
    mlp = MLP((1, 2, 1), activation, Backend("numba", 1))
    theta = np.ones(mlp.layout.size, np.float32)
    out = mlp.forward(theta, np.array([[special]], np.float32)).out
    expected = {("tanh", True): 3.0, ("tanh", False): np.nan, ("relu", True): np.inf, ("relu", False): np.nan}
    np.testing.assert_equal(float(out[0, 0]), expected[activation, special == np.inf])


def test_float32_tanh_is_right_to_four_units_in_the_last_place_and_never_beyond_one():
    mlp = MLP((1, 1, 1), "tanh", Backend("numba", 1))
    theta = np.array([1, 0, 1, 0], np.float32)
    x = np.linspace(-12, 12, 100_001, dtype=np.float32)[:, None]
    y = mlp.forward(theta, x).out
    np.testing.assert_allclose(y, np.tanh(x.astype(np.float64)), rtol=4 * np.finfo(np.float32).eps)
    assert np.abs(y).max() == 1


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("sizes", [(3, 64, 64, 2), (3, 65, 64, 2), (3, 5, 1000, 7)])
def test_twins_agree_where_weights_are_many_and_rows_are_more_than_a_tile_TR9(sizes, activation):
    rng, found = np.random.default_rng(0), []
    theta, v = rng.normal(size=(2, MLP(sizes).layout.size)) / 8
    obs, g = rng.normal(size=(300, sizes[0])), rng.normal(size=(300, sizes[-1]))
    for twin in TWINS:
        mlp = MLP(sizes, activation, Backend(twin, 1))
        tape = mlp.forward(theta, obs)
        found.append([tape.out, mlp.jvp(theta, tape, v), mlp.vjp(theta, tape, g), mlp.vjp_obs(theta, tape, g)])
    for one, other in zip(*found, strict=True):
        close(one, other, 1e-12, scale=np.abs(other).max() + 1)


@pytest.mark.parametrize("sizes", [(3, 8), (8, 3), (5, 5)])
def test_initial_weights_are_orthogonal_with_the_gain_asked_for(sizes):
    w = MLP(sizes).layout.views(MLP(sizes).init(np.random.default_rng(0), last_gain=2.0, dtype=np.float64))["W0"]
    gram = w @ w.T if sizes[0] <= sizes[1] else w.T @ w
    close(gram, 4 * np.eye(min(sizes)), 1e-12)


def test_an_empty_batch_gives_empty_output_and_zero_gradient():
    for twin in TWINS:
        mlp = MLP((3, 4, 2), "tanh", Backend(twin, 1))
        theta = mlp.init(np.random.default_rng(0))
        tape = mlp.forward(theta, np.zeros((0, 3)))
        assert tape.out.shape == mlp.jvp(theta, tape, theta).shape == (0, 2)
        assert not mlp.vjp(theta, tape, tape.out).any()


def test_wrong_shapes_are_refused_by_name():
    mlp = MLP((3, 4, 2))
    theta = mlp.init(np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"obs: expected shape \(any, 3\), got \(5, 4\)"):
        mlp.forward(theta, np.zeros((5, 4)))
    with pytest.raises(ShapeError, match=r"theta: expected shape \(26,\), got \(25,\)"):
        mlp.forward(theta[:-1], np.zeros((5, 3)))
    with pytest.raises(ShapeError, match="expected float32 or float64, got int64"):
        mlp.forward(np.zeros(26, int), np.zeros((5, 3)))
    with pytest.raises(ShapeError, match=r"steps: expected shape \(\), got \(1,\)"):
        as_array("steps", np.zeros(1), (), float)
    with pytest.raises(ShapeError, match=r"adv: expected shape \(any,\), got \(\)"):
        as_array("adv", np.zeros(()), (None,), float)
    with pytest.raises(MinipgError, match="two or more layer sizes"):
        MLP((3, 0, 2))
    with pytest.raises(MinipgError, match="did you mean tanh"):
        MLP((3, 2), "tahn")


IMAGE = (7, 5, 2)


@pytest.mark.parametrize("twin", TWINS)
def test_windows_are_inside_the_image_and_same_keeps_the_size_of_the_image_divided_by_the_stride_CV1(twin):
    valid, same = (convolutions(IMAGE, [layer])[0] for layer in ("3x4/2", "3x4/2same"))
    assert (valid.rows, valid.columns, valid.top, valid.left) == (2, 1, 0, 0)
    assert (same.rows, same.columns, same.top, same.left) == (4, 3, 1, 1)
    # the sum over a window of ones counts its pixels inside the image: corners have fewer
    mlp = MLP((70, 12 * 3, 36), "relu", Backend(twin, 1), (same,))
    arrays = {name: np.zeros(shape) for name, shape in mlp.layout.entries} | {"W1": np.eye(36)}
    arrays["W0"] = np.ones((4, 4, 2, 3))
    out = mlp.forward(mlp.layout.flatten(arrays, np.float64), np.ones((1, 70))).out.reshape(4, 3, 3)
    rows, columns = np.array([3, 4, 4, 2]), np.array([3, 4, 2])
    np.testing.assert_array_equal(out, (2 * np.outer(rows, columns))[..., None] * np.ones(3))


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    ("dtype", "reads"),
    [
        (np.uint8, Images(scale=1 / 255)),
        (np.int8, Images(sparse=True)),
        (np.uint8, Images(convolutions(IMAGE, ["4x3/2"]))),
    ],
    ids=["scaled", "sparse", "convolution"],
)
def test_bytes_give_what_the_same_numbers_give_TR9(twin, dtype, reads):
    rng, layers = np.random.default_rng(0), (70, *(c.rows * c.columns * c.filters for c in reads.convs))
    mlp = MLP((*layers, 5, 2), "tanh", Backend(twin, 1), *reads)
    obs = (rng.integers(-100, 100, (4, 70)) * (rng.random((4, 70)) < 0.1)).astype(dtype)
    theta, v = rng.normal(size=(2, mlp.layout.size)) / 8
    results = []
    for x in (obs, obs.astype(float)):
        tape = mlp.forward(theta, x)
        derivatives = mlp.jvp(theta, tape, v), mlp.vjp(theta, tape, tape.out), mlp.vjp_obs(theta, tape, tape.out)
        results.append((tape.out, *derivatives))
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("layer", ["16", "16x4", "0x4/2", "16x4/0", "16x4/2valid", "16x8/2", "16x4/2same "])
def test_a_convolution_that_cannot_be_is_named(layer):
    with pytest.raises(ConfigError, match="conv: expected") as error:
        convolutions(IMAGE, ["8x2/1", layer])
    assert repr(layer) in str(error.value)


def test_a_network_needs_the_sizes_of_its_convolutions_and_a_dense_layer_after_them():
    convs = convolutions(IMAGE, ["16x4/2"])
    with pytest.raises(MinipgError, match="sizes: expected \\(70, 32\\)"):
        MLP((70, 33, 2), convs=convs)
    with pytest.raises(MinipgError, match="a dense layer after the convolutions"):
        MLP((70, 32), convs=convs)
