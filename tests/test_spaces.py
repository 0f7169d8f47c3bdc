"""Between Gymnasium's spaces and rows of numbers: observations in, actions out."""

from inspect import signature

import gymnasium as gym
import numpy as np
import pytest
from environments import Matching, Spacious, sync
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from hypothesis import given
from hypothesis import strategies as st

from minipg import TRPO
from minipg.envs import ActionCodec, ObservationCodec
from minipg.errors import ConfigError, EnvironmentFault, MinipgError, ShapeError
from minipg.runtime.backend import Backend

# Gymnasium looks at a number where a Box of no dimension has an array
pytestmark = pytest.mark.filterwarnings("ignore:.*Casting input")

shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)
leaves = st.one_of(
    st.builds(lambda shape, dtype: spaces.Box(-2, 3, shape, dtype), shapes, st.sampled_from([np.float32, np.float64])),
    st.builds(lambda shape: spaces.Box(0, 255, shape, np.uint8), shapes),
    st.builds(lambda shape: spaces.Box(-np.inf, np.inf, shape, np.float32), shapes),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3)),
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 4), min_size=1, max_size=3)),
    st.builds(spaces.MultiDiscrete, st.just([[2, 3], [4, 2]])),
    st.builds(lambda nvec: spaces.MultiDiscrete(nvec, start=[5] * len(nvec)), st.lists(st.integers(1, 4), min_size=1)),
    st.builds(spaces.MultiBinary, st.one_of(st.integers(1, 4), st.just((2, 3)))),
)
observation_spaces = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.sampled_from("zaMb"), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=5,
)
seeds = st.integers(0, 2**31 - 1)


def samples(space, count, seed):
    """`count` observations, each by itself, and as a vector environment hands them over."""
    space.seed(seed)
    single = [space.sample() for _ in range(count)]
    return single, concatenate(space, single, create_empty_array(space, count))


@given(observation_spaces, st.integers(1, 3), seeds)
def test_rows_are_gymnasiums_own_flattening_of_each_observation(space, count, seed):
    codec, (single, batched) = ObservationCodec(space), samples(space, count, seed)
    expected = np.stack([spaces.flatten(space, obs) for obs in single])
    assert codec.size == spaces.flatdim(space) == expected.shape[1]
    np.testing.assert_array_equal(codec.rows(batched, count), expected)
    for obs, row in zip(single, expected, strict=True):
        np.testing.assert_array_equal(codec.row(obs), row)


def test_a_discrete_observation_is_one_hot_from_the_start_of_its_space():
    codec = ObservationCodec(spaces.Discrete(3, start=-1))
    np.testing.assert_array_equal(codec.rows(np.array([1, -1]), 2), [[0, 0, 1], [1, 0, 0]])


def test_the_parts_of_a_dict_lie_side_by_side_in_the_order_of_its_space():
    space = spaces.Dict({"b": spaces.Box(0, 9, (2,)), "a": spaces.Discrete(2)})
    obs = {"b": np.array([[3, 4], [5, 6]], np.float32), "a": np.array([1, 0])}
    rows = ObservationCodec(space).rows(obs, 2)
    np.testing.assert_array_equal(rows, [spaces.flatten(space, {"b": obs["b"][i], "a": obs["a"][i]}) for i in (0, 1)])


BOX, LEAF = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)


class OfTheirOwn(spaces.Space):
    """A space that Gymnasium knows nothing of."""


SUPPORTED = "expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them"


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5), spaces.Sequence(BOX), spaces.Graph(BOX, LEAF), spaces.OneOf([BOX, LEAF]),
        OfTheirOwn(), spaces.Dict(position=BOX, words=spaces.Text(5)), spaces.Tuple([BOX, spaces.Sequence(LEAF)]),
    ],
    ids=lambda space: type(space).__name__,
)  # fmt: skip
def test_an_observation_space_without_a_fixed_row_of_numbers_is_refused_and_the_others_are_named(space):
    with pytest.raises(ConfigError, match=SUPPORTED) as error:
        ObservationCodec(space)
    assert str(space) in str(error.value)
    with pytest.raises(ConfigError, match=SUPPORTED):
        TRPO(Spacious(space, LEAF))


# ---- what is outside the space -------------------------------------------------------------------------------------


def leaves_of(space, obs, path=()):
    """Where each part is that has no parts, its space and its value."""
    if isinstance(space, spaces.Dict):
        return [leaf for key in space.spaces for leaf in leaves_of(space[key], obs[key], (*path, key))]
    if isinstance(space, spaces.Tuple):
        return [leaf for k, part in enumerate(space.spaces) for leaf in leaves_of(part, obs[k], (*path, k))]
    return [(path, space, obs)]


def replaced(obs, path, value):
    """The observation with another value at that place."""
    if not path:
        return value
    first, *rest = path
    if isinstance(obs, tuple):
        return (*obs[:first], replaced(obs[first], rest, value), *obs[first + 1 :])
    return {**obs, first: replaced(obs[first], rest, value)}


def batch_of(space, *obs):
    """A batch, as NumPy stacks it: no number is cast, none wraps."""
    if isinstance(space, spaces.Dict):
        return {key: batch_of(part, *(one[key] for one in obs)) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(batch_of(part, *(one[k] for one in obs)) for k, part in enumerate(space.spaces))
    return np.stack([np.asarray(one) for one in obs])


def outsiders(space, value):
    """Values of the right shape that a space without parts does not hold."""
    array = np.asarray(value)
    yield array.astype(complex)
    yield array.astype(str)
    yield array[None, None]
    if isinstance(space, spaces.Box):
        yield np.where(True, np.nan, array) if space.dtype.kind == "f" else array + 0.5
        if space.dtype.kind in "iu":
            yield array.astype(np.int64) + 2 ** (8 * space.dtype.itemsize)
        return
    sizes = 2 if isinstance(space, spaces.MultiBinary) else getattr(space, "nvec", getattr(space, "n", None))
    start = getattr(space, "start", 0)
    for wrong in (np.where(True, start - 1, array), np.where(True, start + sizes, array)):
        yield wrong.astype(np.int64)
    yield array.astype(float)
    yield array.astype(np.int64) + 2**32
    yield np.full(array.shape, 2**64 - 1, np.uint64)  # which a cast makes −1


@pytest.mark.parametrize(
    ("space", "obs"),
    [(spaces.Discrete(3), 1.0), (spaces.Box(0, 255, (2,), np.uint8), [1.5, 2.0]),
     (spaces.Box(-5, 5, (1,), np.int64), [1.0]), (spaces.MultiDiscrete([2, 3]), [1.0, 0.0]),
     (spaces.MultiBinary(2), [0.0, 1.0])],
    ids=str,
)  # fmt: skip
def test_reals_are_outside_a_space_of_integers(space, obs):
    with pytest.raises(ShapeError, match="expected numbers of"):
        ObservationCodec(space).read(np.array(obs))


def narrow(n):
    """A Discrete of one byte, which Gymnasium has since 1.2."""
    return spaces.Discrete(n, dtype=np.int8) if "dtype" in signature(spaces.Discrete).parameters else spaces.Discrete(n)


wide = st.one_of(observation_spaces, st.builds(narrow, st.integers(1, 100)))


@given(wide, seeds, st.data())
def test_an_observation_outside_its_space_is_refused_alone_as_in_a_batch_and_named(space, seed, data):
    codec, (single, _) = ObservationCodec(space), samples(space, 2, seed)
    path, leaf, value = data.draw(st.sampled_from(leaves_of(space, single[0])))
    if np.size(value) == 0:
        return
    wrong = data.draw(st.sampled_from(list(outsiders(leaf, value))))
    obs = replaced(single[0], path, wrong)
    place = "".join(f"[{key!r}]" for key in path)
    with pytest.raises(ShapeError) as alone:
        codec.read(obs)
    with pytest.raises(ShapeError) as together:
        codec.read(batch_of(space, obs))
    not_finite = wrong.dtype.kind == leaf.dtype.kind == "f" and np.isnan(wrong).all()
    assert str(alone.value).startswith("obs: expected finite numbers" if not_finite else f"obs{place}: expected")
    assert str(together.value).startswith("obs")
    if wrong.shape == np.shape(value) and leaf.dtype.kind != "f":
        with pytest.raises(EnvironmentFault) as fault:
            codec.row(obs, 7)
        assert "from environment 7" in str(fault.value)
        assert (f" in {place} " in str(fault.value)) == bool(place)
        if wrong.dtype.kind in "iu":
            assert str(fault.value).endswith(f"expected one of {leaf}")
            with pytest.raises(EnvironmentFault, match="from environment 0: expected one of"):
                codec.rows(batch_of(space, obs, obs), 2)


@given(wide, seeds, st.sampled_from([bool, np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.float64]))
def test_one_observation_of_any_dtype_is_read_as_a_batch_of_one_is(space, seed, dtype):
    codec, (single, _) = ObservationCodec(space), samples(space, 1, seed)
    obs = single[0]
    for path, _, value in leaves_of(space, obs):
        with np.errstate(all="ignore"):
            obs = replaced(obs, path, np.asarray(value).astype(dtype))
    results = []
    for shown in (obs, batch_of(space, obs)):
        try:
            results.append(codec.read(shown)[0].tolist())
        except ShapeError as error:
            results.append(type(error))
    assert results[0] == results[1]


@pytest.mark.parametrize("space", [spaces.Box(0, 255, (2,), np.uint8), spaces.Box(0, 1, (2,), bool)], ids=str)
def test_whole_numbers_that_fit_are_read_whatever_their_dtype(space):
    codec = ObservationCodec(space)
    for obs in ([1, 0], np.array([1, 0]), np.array([1, 0], np.uint64), [True, False], [[1, 0]], np.array([[1, 0]])):
        np.testing.assert_array_equal(codec.read(obs)[0], [[1, 0]])


@pytest.mark.parametrize(
    "space,obs",
    [
        (spaces.Dict(a=spaces.Discrete(2)), {"b": 1}), (spaces.Dict(a=spaces.Discrete(2)), {"a": 1, "b": 1}),
        (spaces.Dict(a=spaces.Discrete(2)), 1), (spaces.Tuple([spaces.Discrete(2)] * 2), (1,)),
        (spaces.Tuple([spaces.Discrete(2)]), {0: 1}), (spaces.Dict(a=spaces.Discrete(2)), [1]),
    ],
    ids=str,
)  # fmt: skip
def test_parts_that_are_not_those_of_the_space_are_refused(space, obs):
    with pytest.raises(ShapeError, match=r"obs: expected a (dict with the keys 'a'|tuple of)"):
        ObservationCodec(space).read(obs)


class Ends(gym.Env):
    """Shows one observation, and another at the end of an episode of three steps."""

    action_space = spaces.Discrete(2)

    def __init__(self, space, inside, last):
        self.observation_space, self.inside, self.last = space, inside, last

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return self.inside, {}

    def step(self, act):
        self.time += 1
        return (self.last if self.time == 3 else self.inside), 1.0, False, self.time == 3, {}


NARROW = narrow(100)
WRONG = [
    (spaces.Discrete(4), 0, -1, "[-1]"), (spaces.Discrete(4), 0, 4, "[4]"),
    (NARROW, np.int8(0), np.int64(256), "[256]"),
    (spaces.MultiDiscrete([3, 3]), np.array([0, 0]), np.array([3, 0]), "[3 0]"),
    (spaces.MultiBinary(2), np.array([0, 1]), np.array([0, 2]), "[0 2]"),
    (spaces.MultiBinary(2), np.array([0, 1]), np.array([256, 1]), "[256   1]"),
    (spaces.Box(0, 255, (4, 4), np.uint8), np.zeros((4, 4), np.uint16), np.full((4, 4), 300, np.uint16),
     "300 at [0, 0]"),
    (spaces.Box(-5, 5, (1,), np.int32), np.array([0]), np.array([2**31]), "[2147483648]"),
    (spaces.Dict(a=spaces.Discrete(4)), {"a": 0}, {"a": -1}, "[-1] in ['a']"),
    (spaces.Tuple([spaces.Dict(b=NARROW)]), ({"b": 0},), ({"b": 256},), "[256] in [0]['b']"),
]  # fmt: skip


@pytest.mark.parametrize("space,inside,wrong,shown", WRONG, ids=str)
@pytest.mark.parametrize("at", ["the end", "the beginning"])
def test_an_environment_that_shows_what_is_outside_its_space_is_named_at_any_time(space, inside, wrong, shown, at):
    env = Ends(space, inside, wrong) if at == "the end" else Ends(space, wrong, inside)
    agent = TRPO(env, **SMALL)
    before, step = agent.theta.copy(), 3 if at == "the end" else 0
    _, leaf, _ = leaves_of(space, inside)[0]
    with pytest.raises(EnvironmentFault) as caught:
        agent.learn(16)
    assert str(caught.value) == f"observation {shown} from environment 0 at step {step}: expected one of {leaf}"
    np.testing.assert_array_equal(agent.theta, before)


@pytest.mark.parametrize(
    "space", [spaces.Box(0, 1, (0,)), spaces.Dict(), spaces.Tuple([spaces.Box(0, 1, (3, 0))])], ids=str
)
def test_a_space_that_holds_no_numbers_is_refused(space):
    with pytest.raises(ConfigError, match="is not supported: it holds no numbers"):
        ObservationCodec(space)


def test_a_part_that_cannot_be_learnt_from_is_named_with_a_way_out():
    space = spaces.Dict(a=spaces.Discrete(2), b=spaces.Tuple([spaces.Discrete(2), spaces.Text(3)]))
    with pytest.raises(ConfigError, match=r"because of its part \['b'\]\[1\]: .*FilterObservation does \(--wrapper\)"):
        ObservationCodec(space)
    with pytest.raises(ConfigError, match=r"is not supported: expected Box.*of them$"):
        ObservationCodec(spaces.Text(3))


def test_a_part_without_parts_adds_no_numbers():
    codec = ObservationCodec(spaces.Dict(a=spaces.Dict(), b=spaces.Discrete(2), c=spaces.Tuple([])))
    np.testing.assert_array_equal(codec.read({"a": {}, "b": 1, "c": ()})[0], [[0, 1]])
    np.testing.assert_array_equal(codec.rows({"a": {}, "b": np.array([1, 0]), "c": ()}, 2), [[0, 1], [1, 0]])


# ---- actions -------------------------------------------------------------------------------------------------------

multidiscrete = st.one_of(
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 4), min_size=1, max_size=3)),
    st.builds(spaces.MultiDiscrete, st.just([[2, 3], [4, 2]]), start=st.just([[0, -1], [5, 2]])),
)
action_spaces = st.one_of(
    multidiscrete,
    st.builds(spaces.MultiBinary, st.one_of(st.integers(1, 4), st.just((2, 3)))),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3)),
    st.builds(
        lambda shape, dtype, bounds: spaces.Box(*bounds, shape, dtype),
        shapes, st.sampled_from([np.float16, np.float32, np.float64]),
        st.sampled_from([(-0.3, 0.7), (-np.inf, 0.5), (0, np.inf), (-np.inf, np.inf)]),
    ),
)  # fmt: skip


def drawn(codec, count, rng, log_std=0.0):
    """Actions of the codec's own distribution, as they are stored."""
    distribution = codec.distribution(Backend("numpy", 1))
    params = np.zeros((count, distribution.n_params))
    if not distribution.discrete:
        params[:, codec.size :] = log_std
    return distribution.sample(params, distribution.noise(rng, (count,), np.float64))


@given(action_spaces, st.integers(1, 4), seeds)
def test_every_action_is_one_the_environment_takes(space, count, seed):
    codec, rng = ActionCodec(space), np.random.default_rng(seed)
    raw = drawn(codec, count, rng, 3)
    expected = raw.reshape(count, *(space.shape or ()))
    if isinstance(space, spaces.Box):
        expected = np.clip(expected, space.low, space.high).astype(space.dtype)
    elif not isinstance(space, spaces.MultiBinary):
        expected = expected + space.start
    act = codec.to_env(raw)
    assert act.dtype == space.dtype
    np.testing.assert_array_equal(act, expected)
    assert all(space.contains(one) for one in act)
    assert batch_space(space, count).contains(act)


@pytest.mark.parametrize(
    "space,elements",
    [(spaces.Discrete(3, start=-1), 3), (spaces.MultiDiscrete([[2, 1], [3, 2]]), 12), (spaces.MultiBinary((2, 2)), 16)],
    ids=str,
)
def test_every_element_of_a_finite_action_space_is_drawn(space, elements):
    codec = ActionCodec(space)
    act = codec.to_env(drawn(codec, 2000, np.random.default_rng(0)))
    assert len({one.tobytes() for one in act}) == elements


@given(
    st.builds(
        lambda shape, dtype, bounds: spaces.Box(*bounds, shape, dtype),
        shapes, st.sampled_from([np.float16, np.float32, np.float64]),
        st.sampled_from([(-0.3, 0.7), (0, 3), (-6e4, 6e4), (2, 2)]),
    ),
    seeds,
)  # fmt: skip
def test_a_squashed_action_is_tanh_scaled_to_the_box_and_inside_it(space, seed):
    codec = ActionCodec(space, squash=True)
    raw = drawn(codec, 9, np.random.default_rng(seed), 1.0)
    raw[0], raw[1] = 1e4, -1e4
    act = codec.to_env(raw)
    low, high = space.low.astype(float), space.high.astype(float)
    expected = low + (high - low) * (np.tanh(raw.reshape(act.shape)) + 1) / 2
    assert act.dtype == space.dtype
    assert all(space.contains(one) for one in act)
    width = float(np.abs([space.low, space.high]).max())
    np.testing.assert_allclose(act, expected, rtol=0, atol=2 * np.finfo(space.dtype).eps * width)
    np.testing.assert_array_equal(act[:2], [space.high, space.low])


def test_the_widest_box_is_no_overflow_for_a_squashed_action():
    most = np.finfo(np.float32).max
    codec = ActionCodec(spaces.Box(-most, most, (1,)), squash=True)
    np.testing.assert_array_equal(codec.to_env(np.array([[99], [0], [-99]], np.float32)), [[most], [0], [-most]])


def test_squashing_needs_finite_bounds_and_concerns_boxes_only():
    with pytest.raises(ConfigError, match="squash: expected an action space with finite bounds"):
        TRPO(Spacious(BOX, spaces.Box(-np.inf, 1, (2,))), squash=True)
    agent = TRPO(Spacious(BOX, LEAF), squash=True, state_dependent_std=True, **SMALL)
    assert agent.actor.distribution.name == "categorical"


def test_the_clipped_action_is_not_the_stored_one():
    raw = np.array([[5.0, -5.0]], np.float32)
    ActionCodec(BOX).to_env(raw)
    np.testing.assert_array_equal(raw, [[5, -5]])


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict(a=LEAF), spaces.Tuple([BOX, LEAF]), spaces.Text(5), spaces.Sequence(LEAF), spaces.Graph(BOX, LEAF),
        spaces.Box(0, 9, (2,), np.int64), spaces.Box(0, 255, (2,), np.uint8),
    ],
    ids=str,
)  # fmt: skip
def test_an_action_space_that_no_distribution_covers_is_refused_and_the_others_are_named(space):
    with pytest.raises(ConfigError, match="expected Discrete, MultiDiscrete, MultiBinary or Box of floats") as error:
        ActionCodec(space)
    assert str(space) in str(error.value)
    with pytest.raises(ConfigError, match="expected Discrete, MultiDiscrete, MultiBinary or Box of floats"):
        TRPO(Spacious(BOX, space))


# ---- whole agents --------------------------------------------------------------------------------------------------

OBSERVATIONS = {
    "Box": spaces.Box(-1, 1, (3,)),
    "Box of no dimension": spaces.Box(-1, 1, ()),
    "Box of three dimensions": spaces.Box(0, 255, (2, 3, 2), np.uint8),
    "Box of doubles": spaces.Box(-1, 1, (3,), np.float64),
    "Discrete": spaces.Discrete(4),
    "Discrete from 2": spaces.Discrete(4, start=2),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary((2, 2)),
    "Dict": spaces.Dict(z=spaces.Discrete(3), a=spaces.Box(-1, 1, (2, 2)), m=spaces.MultiBinary(2)),
    "Tuple": spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))]),
    "nested": spaces.Dict(a=spaces.Tuple([spaces.Discrete(3), spaces.Dict(b=BOX)]), c=spaces.MultiDiscrete([2, 2])),
}
ACTIONS = {
    "Discrete": spaces.Discrete(3),
    "Discrete from -1": spaces.Discrete(3, start=-1),
    "Box": spaces.Box(-1, 1, (2,)),
    "Box of two dimensions": spaces.Box(-0.1, 0.1, (2, 2), np.float64),
    "Box of no dimension": spaces.Box(-1, 1, ()),
    "Box without bounds": spaces.Box(-np.inf, np.inf, (1,)),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiDiscrete of two dimensions": spaces.MultiDiscrete([[2, 3], [1, 2]], start=[[0, -1], [5, 2]]),
    "MultiBinary": spaces.MultiBinary(3),
    "MultiBinary of two dimensions": spaces.MultiBinary((2, 2)),
}
GAUSSIANS = [{}, {"squash": True}, {"state_dependent_std": True}, {"squash": True, "state_dependent_std": True}]
PAIRS = [(obs, "Box") for obs in OBSERVATIONS] + [("Box", act) for act in ACTIONS] + [("nested", "Discrete from -1")]
SMALL = {"n_steps": 8, "hidden": (4,), "vf_epochs": 1, "threads": 1}


@pytest.mark.parametrize(
    "obs_name,act_name,settings",
    [(*pair, {}) for pair in PAIRS] + [("Dict", "Box of two dimensions", settings) for settings in GAUSSIANS],
)
def test_an_agent_learns_and_acts_on_it_singly_and_in_batches(obs_name, act_name, settings):
    space, action_space = OBSERVATIONS[obs_name], ACTIONS[act_name]
    agent = TRPO(sync([Spacious(space, action_space) for _ in range(2)]), **SMALL, **settings)
    before = agent.theta.copy()
    agent.learn(16)
    assert (agent.theta != before).any()
    assert np.isfinite(agent.theta).all()

    single, batched = samples(space, 3, seed=0)
    together, nothing = agent.predict(batched, deterministic=True)
    assert nothing is None
    assert batch_space(action_space, 3).contains(together)
    for obs, expected in zip(single, together, strict=True):
        act, _ = agent.predict(obs, deterministic=True)
        assert action_space.contains(act)
        # products of one row and of three may round differently
        np.testing.assert_allclose(act, expected, rtol=1e-5, atol=1e-6)
    assert action_space.contains(agent.predict(single[0])[0])
    assert batch_space(action_space, 3).contains(agent.predict(batched)[0])


@pytest.mark.parametrize("act_name", ACTIONS)
def test_a_batch_of_one_is_a_batch(act_name):
    agent = TRPO(Spacious(OBSERVATIONS["nested"], ACTIONS[act_name]), **SMALL)
    _, batched = samples(OBSERVATIONS["nested"], 1, seed=0)
    assert batch_space(ACTIONS[act_name], 1).contains(agent.predict(batched)[0])


@pytest.mark.parametrize(
    "obs",
    [
        {"x": np.array([0.5, 0.5]), "y": np.array([0.5, 0.5, 0.5])},  # float64, where the space says float32
        {"x": np.array([9, 0.5], np.float32), "y": np.zeros(3, np.float32)},  # out of bounds
        {"y": np.zeros(3, np.float32), "x": np.zeros(2, np.float32)},  # another order of keys
    ],
    ids=["dtype", "bounds", "order"],
)
def test_one_observation_is_known_by_its_shape(obs):
    space = spaces.Dict(x=BOX, y=spaces.Box(-1, 1, (3,)))
    agent = TRPO(Spacious(space, spaces.Discrete(3)), **SMALL)
    act, _ = agent.predict(obs, deterministic=True)
    assert np.ndim(act) == 0


@pytest.mark.parametrize("act_name", ["Discrete", "Box", "MultiDiscrete", "MultiBinary"])
def test_samples_vary_and_the_deterministic_action_does_not(act_name):
    agent = TRPO(Spacious(BOX, ACTIONS[act_name]), **SMALL)
    obs = np.array([0.5, -0.5], np.float32)
    drawn = {str(agent.predict(obs)[0]) for _ in range(50)}
    assert len(drawn) > 1
    assert len({str(agent.predict(obs, deterministic=True)[0]) for _ in range(5)}) == 1


@pytest.mark.parametrize("obs", [np.zeros(5), np.zeros((2, 5)), np.zeros((2, 2, 2)), np.zeros(()), "left", None])
def test_an_observation_of_another_shape_is_refused_by_name(obs):
    agent = TRPO(Spacious(spaces.Box(-1, 1, (3,)), LEAF), **SMALL)
    with pytest.raises(MinipgError, match="obs"):
        agent.predict(obs)


# ---- learning ------------------------------------------------------------------------------------------------------

LEARNT = {
    "MultiDiscrete": (spaces.MultiDiscrete([2, 3, 4], start=[0, 1, -1]), {}),
    "MultiBinary": (spaces.MultiBinary((2, 2)), {}),
    "Box": (spaces.Box(-1, 1, (2, 3)), {"log_std_init": -0.5}),
    "Box, squashed": (spaces.Box(-1, 1, (2, 3)), {"log_std_init": -0.5, "squash": True}),
    "Box, σ of the state": (spaces.Box(-1, 1, (2, 3)), {"log_std_init": -0.5, "state_dependent_std": True}),
}


@pytest.mark.parametrize("mixed", [False, True], ids=["Discrete", "Dict"])
@pytest.mark.parametrize("name", LEARNT)
def test_a_few_updates_leave_less_than_a_tenth_of_what_random_actions_miss(name, mixed):
    action_space, settings = LEARNT[name]
    world = Matching(action_space, mixed)
    world.reset(seed=0)
    agent = TRPO(
        sync([Matching(action_space, mixed) for _ in range(8)]), n_steps=64, max_kl=0.05, damping=0.01, gamma=0.0,
        gae_lambda=0.0, hidden=(16,), threads=1, **settings,
    )  # fmt: skip
    agent.learn(25 * 512)
    contexts = range(world.contexts)
    missed = np.mean([1 - world.pays(k, agent.predict(world.show(k), deterministic=True)[0]) for k in contexts])
    missed_by_chance = np.mean([1 - world.pays(k, action_space.sample()) for k in contexts for _ in range(200)])
    assert missed < missed_by_chance / 10
