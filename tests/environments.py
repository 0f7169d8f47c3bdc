"""Toy environments with known numbers, and faulty ones that fail at a known step."""

import os
import signal
import stat
import sys
import time
from collections import OrderedDict
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv


class Ending(NamedTuple):
    """How long an episode lasts, and the flags of its last step."""

    length: int
    terminated: bool
    truncated: bool


SCRIPT = (
    Ending(3, True, False), Ending(4, False, True), Ending(1, False, True),
    Ending(2, True, True), Ending(1, True, False), Ending(5, False, True),
)  # fmt: skip


def observation(number, episode, time):
    """The observation of environment `number` at `time` of its `episode`."""
    return np.array([number, episode, time], np.float64)


def reward(number, episode, time, act):
    """The reward of `act` there: a sum of distinct binary fractions, so exact in floating point."""
    return number + episode / 4 + time / 64 + float(np.sum(act))


class Counting(gym.Env):
    """Counts its episodes and steps. Episode k ends as script[k % len(script)] says."""

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float64)

    def __init__(self, number=0, script=SCRIPT, action_space=None):
        self.number, self.script, self.episode, self.time = number, script, -1, 0
        self.action_space = action_space or spaces.Discrete(3)
        self.received = []

    def reset(self, *, seed=None, options=None):
        self.episode, self.time = self.episode + 1, 0
        return observation(self.number, self.episode, 0), {}

    def step(self, act):
        assert self.action_space.contains(act), f"{act!r} is not in {self.action_space}"
        self.received.append(np.array(act))
        paid = reward(self.number, self.episode, self.time, act)
        self.time += 1
        length, terminated, truncated = self.script[self.episode % len(self.script)]
        last = self.time == length
        return observation(self.number, self.episode, self.time), paid, last and terminated, last and truncated, {}


class Faulty(Counting):
    """A Counting environment that fails once, in its `at`-th step."""

    def __init__(self, fault, at, **options):
        super().__init__(**options)
        self.fault, self.at, self.steps = fault, at, 0

    def step(self, act):
        self.steps += 1
        if self.steps != self.at:
            return super().step(act)
        if self.fault == "interrupt":
            raise KeyboardInterrupt
        if self.fault == "crash":
            raise RuntimeError("the environment's own bug")
        obs, paid, terminated, truncated, info = super().step(act)
        if self.fault == "nan observation":
            obs[1] = np.nan
        if self.fault == "inf reward":
            paid = -np.inf
        if self.fault == "huge observation":
            obs[1] = 1e300
        if self.fault == "huge reward":
            paid = 1e300
        return obs, paid, terminated, truncated, info


# the index in what a step returns, and a wrong value for it
WRONG = {
    "observation of another shape": (0, np.zeros(2)),
    "observation of words": (0, np.array(["a", "b", "c"])),
    "observation of objects": (0, np.array([0, None, 2], object)),
    "complex observation": (0, np.zeros(3, complex)),
    "no observation": (0, None),
    "nan observation": (0, np.array([0, np.nan, 0])),
    "inf reward": (1, -np.inf),
    "no reward": (1, None),
    "reward in an array": (1, np.ones(2)),
    "reward in words": (1, "much"),
    "terminated in words": (2, "no"),
    "truncated in an array": (3, np.zeros(2, bool)),
}
OTHER = ("none", "raises", "raises in reset", "raises SystemExit", "returns four things", "ends", "is killed", "hangs")
MISBEHAVIOURS = [*OTHER, *WRONG, "answers half", "cannot be sent"]


class Unsendable(np.ndarray):
    """An array that cannot be pickled."""

    def __reduce__(self):
        raise TypeError("a thing of this process alone")


def is_socket(fd):
    """Whether this is the number of an open socket."""
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


class Choosing(Counting):
    """Fails in its 11th step, or in the reset after its 10th. Its seed chooses how, and is the number it shows."""

    def __init__(self):
        super().__init__(script=(Ending(10, True, False),))
        self.steps, self.misbehaviour = 0, "none"

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.number, self.misbehaviour = seed, MISBEHAVIOURS[seed] if seed < len(MISBEHAVIOURS) else "none"
            self.steps, self.episode = 0, -1
        if self.misbehaviour == "raises in reset" and self.steps == 10:
            raise RuntimeError("the environment's own bug")
        return super().reset()

    def step(self, act):
        self.steps += 1
        outcome = super().step(act)
        if self.steps != 11:
            return outcome
        if self.misbehaviour == "raises":
            raise RuntimeError("the environment's own bug")
        if self.misbehaviour == "raises SystemExit":
            sys.exit("enough")
        if self.misbehaviour == "ends":
            os._exit(7)
        if self.misbehaviour == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.misbehaviour == "answers half":
            for fd in filter(is_socket, map(int, os.listdir("/proc/self/fd"))):
                os.write(fd, bytes(3))
        if self.misbehaviour in ("hangs", "answers half"):
            time.sleep(3600)
        if self.misbehaviour == "cannot be sent":
            return (outcome[0].view(Unsendable), *outcome[1:])
        if self.misbehaviour in WRONG:
            at, wrong = WRONG[self.misbehaviour]
            return (*outcome[:at], wrong, *outcome[at + 1 :])
        return outcome[:4] if self.misbehaviour == "returns four things" else outcome


class Dying(Counting):
    """Ends its process in its `at`-th step, or as it is reset."""

    def __init__(self, at, **options):
        super().__init__(**options)
        self.at, self.steps = at, 0

    def reset(self, **options):
        if self.at == 0:
            os._exit(7)
        return super().reset(**options)

    def step(self, act):
        self.steps += 1
        if self.steps == self.at:
            os._exit(7)
        return super().step(act)


class Roaming(Counting):
    """Changes the working folder as it is made and in every step."""

    def __init__(self):
        os.chdir("/")
        super().__init__()

    def step(self, act):
        os.chdir("/")
        return super().step(act)


class Slow(Counting):
    """Takes an hour for a step."""

    def step(self, act):
        time.sleep(3600)
        return super().step(act)


class Uneven(Counting):
    """A Counting environment with episodes of one step after a reset with an even seed, of ten after an odd one."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.script = (Ending(1 + 9 * (seed % 2), True, False),)
        return super().reset()


class Spacious(gym.Env):
    """Random observations of any space, for actions of any space; episodes of `length` steps."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, observation_space, action_space, length=5):
        self.observation_space, self.action_space, self.length = observation_space, action_space, length
        self.time = 0

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, act):
        assert self.action_space.contains(act), f"{act!r} is not in {self.action_space}"
        self.time += 1
        return self.observation_space.sample(), float(np.sum(act)), False, self.time == self.length, {}


class Matching(gym.Env):
    """Shows one of four contexts by chance, and rewards the action that belongs to it with at most 1.

    The reward of a discrete action is the share of its components that are right, of a real one 1 minus its mean
    distance from the target. With `mixed`, the context is one part of a Dict, beside a Tuple of other things.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    contexts = 4

    def __init__(self, action_space, mixed=False):
        self.action_space, self.mixed, self.time = action_space, mixed, 0
        self.observation_space = context = spaces.Discrete(self.contexts)
        if mixed:
            other = spaces.Tuple([spaces.MultiBinary(2), spaces.Box(-1, 1, (2,))])
            self.observation_space = spaces.Dict(other=other, context=context)
        action_space.seed(7)
        self.targets = [action_space.sample() for _ in range(self.contexts)]

    def show(self, context):
        """The observation of a context."""
        if not self.mixed:
            return context
        return {
            "other": (self.np_random.integers(2, size=2, dtype=np.int8), np.zeros(2, np.float32)),
            "context": context,
        }

    def pays(self, context, act):
        """The reward of an action in a context."""
        difference = np.abs(np.asarray(act, float) - self.targets[context])
        return float(1 - np.mean(difference if isinstance(self.action_space, spaces.Box) else difference > 0))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.context = 0, int(self.np_random.integers(self.contexts))
        return self.show(self.context), {}

    def step(self, act):
        assert self.action_space.contains(act), f"{act!r} is not in {self.action_space}"
        paid = self.pays(self.context, act)
        self.time, self.context = self.time + 1, int(self.np_random.integers(self.contexts))
        return self.show(self.context), paid, False, self.time == 8, {}


class Choosy(gym.Env):
    """Random masks: takes no action that it does not allow. It says which are allowed in one of three ways.

    The observation is the step and two random numbers; the reward is the share of choices with the last allowed option.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, action_space=None, way="info", length=6, render_mode=None):
        self.action_space, self.way = action_space or spaces.Discrete(5), way
        self.length, self.render_mode = length, render_mode
        self.sizes = np.ravel(getattr(self.action_space, "nvec", getattr(self.action_space, "n", 0)))
        self.start = np.ravel(self.action_space.start)
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,))
        if way == "obs":  # the mask is not the first key
            self.observation_space = spaces.Dict(
                OrderedDict(a=self.observation_space, action_mask=spaces.Box(0, 1, (int(self.sizes.sum()),), np.int8))
            )

    def _now(self):
        self.mask = np.concatenate([self._allowed(size) for size in self.sizes])
        seen = np.array([self.time, *self.np_random.normal(size=2)], np.float32)
        return {"a": seen, "action_mask": self.mask} if self.way == "obs" else seen

    def _allowed(self, size):
        mask = (self.np_random.random(size) < 0.4).astype(np.int8)
        mask[self.np_random.integers(size)] = 1
        return mask

    def _info(self):
        return {"action_mask": self.mask} if self.way == "info" else {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self._now(), self._info()

    def step(self, act):
        places = np.cumsum(self.sizes) - self.sizes + np.ravel(act) - self.start
        assert self.mask[places].all(), f"forbidden: {act} with the mask {self.mask}"
        best = [np.flatnonzero(part)[-1] for part in np.split(self.mask, np.cumsum(self.sizes)[:-1])]
        paid = float(np.mean(np.ravel(act) - self.start == best))
        self.time += 1
        return self._now(), paid, False, self.time == self.length, self._info()

    def render(self):
        return np.full((8, 8, 3), 25 * self.time, np.uint8)

    def save_state(self):
        return self.time, self.mask, self.np_random.bit_generator.state

    def restore_state(self, state):
        self.time, self.mask, self.np_random.bit_generator.state = state


class ChoosyByMethod(Choosy):
    """The same with a method, as sb3-contrib's MaskablePPO asks for."""

    def __init__(self, action_space=None, **options):
        super().__init__(action_space, "method", **options)

    def action_masks(self):
        return self.mask.astype(bool)


class TicTacToe(gym.Env):
    """Tic-tac-toe against a random opponent: 1 for a win, 0 for a draw, −1 for a loss. One of both begins by chance.

    The observation is the board, 1 for the agent's marks and −1 for the opponent's. A forbidden move raises.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space, action_space = spaces.Box(-1, 1, (9,)), spaces.Discrete(9)
    LINES = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.board = np.zeros(9, np.float32)
        if self.np_random.integers(2):
            self._reply()
        return self.board.copy(), self._info()

    def _info(self):
        return {"action_mask": (self.board == 0).astype(np.int8)}

    def _reply(self):
        self.board[self.np_random.choice(np.flatnonzero(self.board == 0))] = -1

    def _won(self, mark):
        return bool((self.board[self.LINES] == mark).all(axis=1).any())

    def step(self, act):
        assert self.board[act] == 0, f"forbidden: the place {act} of {self.board}"
        self.board[act] = 1
        won = self._won(1)
        if not won and (self.board == 0).any():
            self._reply()
        lost, full = self._won(-1), not (self.board == 0).any()
        return self.board.copy(), float(won) - float(lost), won or lost or full, False, self._info()


class NotInstalled(gym.Env):
    """An environment that needs a package that is not installed; `message` is Gymnasium's about it."""

    def __init__(self, message):
        raise gym.error.DependencyNotInstalled(message)


class Moved(gym.Env):
    """An environment that was moved to another package, as Gymnasium's Hopper-v2 was."""

    def __init__(self):
        raise ImportError("the environment has been moved\nto another project")


def sync(envs, mode=AutoresetMode.SAME_STEP, **options):
    """A vector of these very environments."""
    return SyncVectorEnv([lambda env=env: env for env in envs], autoreset_mode=mode, **options)


def asynchronous(envs, mode=AutoresetMode.SAME_STEP, **options):
    """The same in processes of their own, each with a copy of its environment."""
    return AsyncVectorEnv([lambda env=env: env for env in envs], autoreset_mode=mode, **options)


MUJOCO = 'MuJoCo is not installed, run `pip install "gymnasium[mujoco]"`'
BOX2D = (
    'Box2D is not installed, you can install it by run `pip install swig` followed by `pip install "gymnasium[box2d]"`'
)
FAULTS = {
    "NanObservation": ("nan observation", 21), "InfReward": ("inf reward", 21),
    "Interrupting": ("interrupt", 21), "InterruptingAtOnce": ("interrupt", 1), "Crashing": ("crash", 21),
}  # fmt: skip

gym.register("test/Counting-v0", Counting)
gym.register("test/Choosing-v0", Choosing)
gym.register("test/Matching-v0", Matching, kwargs={"action_space": spaces.MultiDiscrete([2, 3]), "mixed": True})
gym.register("test/Choosy-v0", Choosy)
gym.register("test/TicTacToe-v0", TicTacToe)
gym.register("test/Dying-v0", Dying, kwargs={"at": 21})
gym.register("test/DyingAtOnce-v0", Dying, kwargs={"at": 1})
gym.register("test/DyingInReset-v0", Dying, kwargs={"at": 0})
gym.register("test/Endless-v0", Counting, kwargs={"script": (Ending(10**9, False, False),)})
gym.register("test/Uneven-v0", Uneven)
gym.register("test/Slow-v0", Slow)
gym.register("test/Roaming-v0", Roaming)
for name, (fault, at) in FAULTS.items():
    gym.register(f"test/{name}-v0", Faulty, kwargs={"fault": fault, "at": at})
gym.register("test/NoMujoco-v0", NotInstalled, kwargs={"message": MUJOCO})
gym.register("test/NoBox2d-v0", NotInstalled, kwargs={"message": BOX2D})
gym.register("test/NoJax-v0", NotInstalled, kwargs={"message": "jax is not installed,\nrun `pip install jax`"})
gym.register("test/NoJax-v1", NotInstalled, kwargs={"message": "jax is not installed,\nrun `pip install jax`"})
gym.register("test/Moved-v0", Moved)
gym.register("test/Selecting-v0", Counting, kwargs={"action_space": spaces.Box(0, 9, (2,), np.int64)})
gym.register(
    "test/Talking-v0", Spacious, kwargs={"observation_space": spaces.Text(5), "action_space": spaces.Discrete(2)}
)
