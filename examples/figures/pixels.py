"""A screen of Pong, what moved since the screen before, and a convolution of the screen  (CV-1).

    pip install 'minipg-rl[atari]' && python examples/figures/pixels.py

The game is played at random for 30 decisions, four frames each. The filter has 3 × 3 weights: −1 on its left side, 1
on its right, so it answers where the screen becomes brighter from left to right. Frames and convolution come from the
code that trains on them.
"""

import numpy as np
from _style import BLUE, GREY, ORANGE, VERMILLION, make
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle
from minipg.kernels.reference import conv

from minipg.envs.atari import atari
from minipg.network import convolutions

DECISIONS, SEED, TOP = 30, 3, 35
TEXTS = {
    "title": ("Of 6400 numbers, a few say what moved.\nA window of weights sees the same thing wherever it is.",
              "6400 个数中，只有几个说明什么在动\n同一个权重窗口在任何位置都看到同样的东西"),
    "screen": ("the screen, 160 × 210;\nthe network sees the box", "屏幕，160 × 210；\n网络看到框内部分"),
    "difference": ("what moved: {} of 6400\nare not 0", "动了什么：6400 个数中\n{} 个不为 0"),
    "edges": ("filter of 3 × 3:\nbrighter to the right", "3 × 3 滤波器：\n向右变亮"),
    "appeared": ("appeared: 1", "出现：1"),
    "gone": ("gone: −1", "消失：−1"),
}  # fmt: skip


def data():
    """The screen (210, 160), the difference frame (80, 80), and the answer of the filter (208, 158)."""
    env = atari("Pong", "difference-80x80").make()
    env.reset(seed=SEED)
    rng = np.random.default_rng(SEED)
    for _ in range(DECISIONS):
        seen, *_ = env.step(int(rng.integers(env.action_space.n)))
    screen = env.unwrapped.ale.getScreenGrayscale()
    env.close()
    shape = convolutions((*screen.shape, 1), ["1x3/1"])[0]
    edges, filter_ = np.zeros((1, shape.rows * shape.columns)), np.zeros((3, 3, 1, 1))
    filter_[:, 0], filter_[:, 2] = -1, 1
    conv.add_product(shape, screen.reshape(1, -1).astype(float), filter_, edges)
    return {"screen": screen, "difference": seen[..., 0], "edges": edges.reshape(shape.rows, shape.columns)}


def draw(figure, found, text):
    figure.set_figheight(4.2)
    panels = figure.subplots(1, 3)
    panels[0].imshow(found["screen"], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    panels[0].add_patch(Rectangle((0, TOP), 159, 160, fill=False, color=ORANGE, linewidth=1.5))
    panels[1].imshow(found["difference"], cmap=ListedColormap([BLUE, "#eeeeee", VERMILLION]), vmin=-1, vmax=1,
                     interpolation="nearest")  # fmt: skip
    most = np.abs(found["edges"]).max()
    panels[2].imshow(found["edges"], cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    titles = text.screen, text.difference.format(np.count_nonzero(found["difference"])), text.edges
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, xticks=(), yticks=())
        for side in axes.spines.values():
            side.set(visible=True, color=GREY)
    panels[1].text(0, 86, text.appeared, color=VERMILLION, va="center")
    panels[1].text(80, 86, text.gone, color=BLUE, va="center", ha="right")


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
