"""What an agent is seen to do is what it is said to have done, in a film that is written whole or not at all."""

import json
import os
import sys
from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest
from environments import SCRIPT, Counting
from folders import refused, tree
from PIL import Image

from minipg import TRPO
from minipg.cli import main
from minipg.runs.render import at_delay

SMALL = {"preset": "default", "num_envs": 1, "n_steps": 16, "hidden": (4,), "vf_epochs": 1, "threads": 1}


class Drawing(Counting):
    """A Counting environment that draws its episode and time as the brightness of a picture's halves."""

    metadata = {"render_modes": ["human", "rgb_array", "wrong"], "render_fps": 25}  # noqa: RUF012
    shown = None

    def __init__(self, render_mode=None, fault=None, **options):
        super().__init__(**options)
        self.render_mode, self.fault = render_mode, fault

    def render(self):
        if self.fault == "crash":
            raise RuntimeError("no screen")
        if Drawing.shown is not None:
            Drawing.shown.append((self.episode, self.time))
        if self.render_mode == "human":
            return None
        if self.fault == "shape":
            return np.zeros((4, 4))
        picture = np.empty((10, 20, 3), np.uint8)
        picture[:, :10], picture[:, 10:] = 40 * self.episode, 40 * self.time
        return picture


class Endless(Drawing):
    """Never ends an episode."""

    def step(self, act):
        self.time = 0
        return super().step(act)


class Late(Drawing):
    """Raises in its third step."""

    def step(self, act):
        if self.time == 2:
            raise RuntimeError("the environment's own bug")
        return super().step(act)


class RoamingDrawing(Drawing):
    """Changes the working folder as it is made."""

    def __init__(self, **options):
        os.chdir("/")
        super().__init__(**options)


gym.register("test/Drawing-v0", Drawing)
gym.register("test/Shapeless-v0", Drawing, kwargs={"fault": "shape"})
gym.register("test/Screenless-v0", Drawing, kwargs={"fault": "crash"})
gym.register("test/Late-v0", Late)
gym.register("test/EndlessDrawing-v0", Endless)
gym.register("test/RoamingDrawing-v0", RoamingDrawing)


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """Saves an agent on an environment, untrained, and tells where; nothing else is in the working folder."""
    monkeypatch.chdir(tmp_path)

    def agent(env="test/Drawing-v0"):
        TRPO(env, **SMALL).save(tmp_path / "agent.npz")
        return "agent.npz"

    return agent


@pytest.fixture
def shown(monkeypatch):
    """What Drawing environments have drawn: episode and time."""
    monkeypatch.setattr(Drawing, "shown", [])
    return Drawing.shown


def evaluated(capsys, *args):
    capsys.readouterr()
    assert main(["evaluate", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_gif_shows_every_observation_from_the_first_to_the_last_of_every_episode(agent, shown, capsys):
    result = evaluated(capsys, agent(), "--render", "film.gif", "--episodes", "3")
    assert result["episodes"] == 3
    expected = [(k, t) for k in range(3) for t in range(SCRIPT[k].length + 1)]
    assert shown == expected
    film = Image.open("film.gif")
    assert film.n_frames == len(expected)
    for place, (episode, time) in enumerate(expected):
        film.seek(place)
        assert film.info["duration"] == 40
        picture = np.array(film.convert("RGB"))
        assert picture.shape == (10, 20, 3)
        assert np.abs(picture[5, 5].astype(int) - 40 * episode).max() < 8
        assert np.abs(picture[5, 15].astype(int) - 40 * time).max() < 8
    assert sorted(os.listdir()) == ["agent.npz", "film.gif"]


def test_an_environment_that_goes_elsewhere_does_not_take_its_film_with_it(agent, capsys, tmp_path, monkeypatch):
    path = agent("test/RoamingDrawing-v0")
    monkeypatch.chdir(tmp_path)
    evaluated(capsys, path, "--render", "film.gif")
    assert sorted(os.listdir(tmp_path)) == ["agent.npz", "film.gif"]


@pytest.mark.parametrize("render", [[], ["--render", "film.gif"]], ids=["", "film"])
def test_an_episode_that_does_not_end_is_an_error_and_leaves_no_film(agent, capsys, tmp_path, render):
    path = agent("test/EndlessDrawing-v0")
    says = "environment 0 has not ended its episode in 30 steps of evaluation"
    refused(capsys, tmp_path, "evaluate", path, "--max-steps", 30, *render, says=says)


def test_an_mp4_has_a_frame_for_every_observation_at_the_environments_own_rate(agent, capsys):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    evaluated(capsys, agent(), "--render", "film.mp4", "--episodes", "2")
    frames, seconds = ffmpeg.count_frames_and_secs("film.mp4")
    assert frames == sum(SCRIPT[k].length + 1 for k in range(2))
    assert seconds == pytest.approx(frames / 25, abs=0.02)


def test_one_episode_is_recorded_unless_more_are_asked_for(agent, capsys):
    assert evaluated(capsys, agent(), "--render", "film.gif")["episodes"] == 1
    assert evaluated(capsys, agent())["episodes"] == 20


def test_in_a_window_nothing_is_recorded(agent, shown, capsys):
    before = evaluated(capsys, agent(), "--render", "human")
    assert before["episodes"] == 1
    assert shown == [(0, t) for t in range(SCRIPT[0].length + 1)]
    assert os.listdir() == ["agent.npz"]


def test_a_rendered_episode_returns_what_the_same_seed_returns_without(agent, capsys):
    pytest.importorskip("pygame")
    trained = agent("CartPole-v1")  # compiled without, Gymnasium's own with
    for seed in "01":
        plain = evaluated(capsys, trained, "--episodes", "1", "--seed", seed)
        assert evaluated(capsys, trained, "--seed", seed, "--render", "film.gif") == plain


def test_a_compiled_environment_is_drawn_by_the_one_it_equals(agent, capsys):
    pytest.importorskip("pygame")
    evaluated(capsys, agent("minipg/CartPole-v1"), "--render", "film.gif")
    assert Image.open("film.gif").size == (600, 400)


@pytest.mark.parametrize("rate", [5, 24, 25, 30, 50, 60, 125])
def test_a_gif_takes_as_long_as_the_episode(rate):
    delay = max(2, round(100 / rate))
    shown = list(at_delay(range(1000), rate, delay))
    assert abs(len(shown) * delay / 100 - 1000 / rate) <= delay / 100
    assert shown[0] == 0
    assert shown == sorted(shown)
    # each is shown within a delay of its time
    for place, frame in enumerate(shown):
        assert abs(place * delay / 100 - frame / rate) <= max(1 / rate, delay / 100)


@pytest.mark.parametrize("target", ["film.avi", "film", "humane", "", "no/such/film.gif", "folder.gif", ".gif"])
def test_what_no_film_can_be_is_refused_before_anything_is_played(agent, tmp_path, shown, capsys, target):
    trained = agent()
    (tmp_path / "folder.gif").mkdir()
    refused(capsys, tmp_path, "evaluate", trained, "--render", target)
    assert len(shown) <= 1


def test_a_missing_package_is_named_before_anything_is_played(agent, tmp_path, shown, capsys, monkeypatch):
    trained = agent()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    refused(capsys, tmp_path, "evaluate", trained, "--render", "film.mp4", says="pip install 'minipg-rl[render]'")
    assert shown == []


def test_a_missing_pygame_is_named(agent, tmp_path, capsys, monkeypatch):
    trained = agent("CartPole-v1")
    monkeypatch.setitem(sys.modules, "pygame", None)
    refused(capsys, tmp_path, "evaluate", trained, "--render", "film.gif", says="pip install 'minipg-rl[render]'")


@pytest.mark.parametrize(
    "env,says",
    [
        ("test/Counting-v0", "cannot be drawn"),
        ("test/Shapeless-v0", "drew float64(4, 4)"),
        ("test/Screenless-v0", "no screen"),
        ("test/Late-v0", "the environment's own bug"),
    ],
)
def test_an_environment_that_cannot_be_drawn_is_refused_and_no_film_is_left(agent, tmp_path, capsys, env, says):
    refused(capsys, tmp_path, "evaluate", agent(env), "--render", "film.gif", says=says)
    if find_spec("imageio_ffmpeg"):
        refused(capsys, tmp_path, "evaluate", "agent.npz", "--render", "film.mp4", says=says)


@pytest.mark.parametrize("flags", [["--episodes", "0"], ["--seed", "-1"]])
def test_nonsense_is_refused_with_a_film_too(agent, tmp_path, capsys, flags):
    refused(capsys, tmp_path, "evaluate", agent(), "--render", "film.gif", *flags)


def test_an_interrupted_film_leaves_the_one_before(agent, tmp_path, monkeypatch, capsys):
    trained = agent()
    evaluated(capsys, trained, "--render", "film.gif")
    before = tree(tmp_path)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(TRPO, "predict", interrupt)
    assert main(["evaluate", trained, "--render", "film.gif"]) == 130
    assert tree(tmp_path) == before
