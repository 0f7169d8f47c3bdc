"""Networks on images: frames per second of minipg's kernels, NumPy's im2col and PyTorch, in turns on one thread.

    pip install torch && python examples/benchmarks/image_kernels.py [ROWS]

Each line is the median of nine turns: the forward pass, then forward and back to the parameters. The last lines are a
dense layer on difference frames of Pong, of which 26 of 6400 numbers are not zero.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from minipg import MLP, Backend
from minipg.checks import Array
from minipg.network import convolutions

ROUNDS = 9
NETWORKS = {  # image, convolutions, hidden units
    "TRPO's, 52×40×4": ((52, 40, 4), ("16x4/2", "16x4/2"), 20),
    "Mnih's, 84×84×4": ((84, 84, 4), ("16x8/4", "32x4/2"), 256),
    "one of 32×6×6, 80×80×1": ((80, 80, 1), ("32x6/3",), 64),
}
OUTPUTS = 6
Pass = Callable[[], object]


def ours(mlp: MLP, obs: Array, g: Array) -> tuple[Pass, Pass]:
    """The forward pass, and forward and back."""
    theta = mlp.init(np.random.default_rng(0))
    return lambda: mlp.forward(theta, obs), lambda: mlp.vjp(theta, mlp.forward(theta, obs), g)


def im2col(mlp: MLP, obs: Array, g: Array) -> tuple[Pass, Pass]:
    """The same in NumPy, with windows copied into the rows of a matrix."""
    theta = mlp.init(np.random.default_rng(0))
    parts = list(mlp.layout.views(theta).values())
    weights = [w.reshape(-1, w.shape[-1]) for w in parts[::2]]

    def forward() -> tuple[list[Array], list[Array]]:
        h, factors, outputs = mlp.scale * obs.astype(theta.dtype), [], []
        for layer, (w, b) in enumerate(zip(weights, parts[1::2], strict=True)):
            if layer < len(mlp.convs):
                c = mlp.convs[layer]
                images = h.reshape(-1, c.height, c.width, c.channels)
                windows = np.lib.stride_tricks.sliding_window_view(images, (c.kernel, c.kernel), (1, 2))
                factors.append(windows[:, :: c.stride, :: c.stride].transpose(0, 1, 2, 4, 5, 3).reshape(-1, len(w)))
            else:
                factors.append(h.reshape(len(obs), -1))
            h = factors[-1] @ w + b
            h = h if layer + 1 == len(weights) else np.maximum(h, 0)
            outputs.append(h)
        return factors, outputs

    def back() -> list[Array]:
        (factors, outputs), d, grads = forward(), g, []
        for layer in reversed(range(len(weights))):
            grads.append(factors[layer].T @ d)
            if layer:
                d = pulled_back(layer, d).reshape(outputs[layer - 1].shape) * (outputs[layer - 1] > 0)
        return grads

    def pulled_back(layer: int, d: Array) -> Array:
        below = d @ weights[layer].T
        if layer >= len(mlp.convs):
            return below
        c = mlp.convs[layer]
        images = np.zeros((len(obs), c.height, c.width, c.channels), d.dtype)
        below = below.reshape(len(obs), c.rows, c.columns, c.kernel, c.kernel, c.channels)
        for u in range(c.kernel):
            for v in range(c.kernel):
                lines, columns = slice(u, u + c.stride * c.rows, c.stride), slice(v, v + c.stride * c.columns, c.stride)
                images[:, lines, columns] += below[:, :, :, u, v]
        return images

    return forward, back


def torch_of(mlp: MLP, obs: Array, g: Array) -> tuple[Pass, Pass]:
    """The same in PyTorch."""
    import torch

    torch.set_num_threads(1)
    layers: list[torch.nn.Module] = []
    for c in mlp.convs:
        layers += [torch.nn.Conv2d(c.channels, c.filters, c.kernel, c.stride), torch.nn.ReLU()]
    first, flat = mlp.convs[0], mlp.sizes[len(mlp.convs) :]
    layers += [torch.nn.Flatten(), torch.nn.Linear(*flat[:2]), torch.nn.ReLU(), torch.nn.Linear(*flat[1:])]
    net = torch.nn.Sequential(*layers)
    images = torch.from_numpy(obs.reshape(-1, first.height, first.width, first.channels).transpose(0, 3, 1, 2).copy())
    slope = torch.from_numpy(g)

    def forward() -> object:
        with torch.no_grad():
            return net(images.float() * mlp.scale)

    def back() -> object:
        net.zero_grad()
        return net(images.float() * mlp.scale).backward(slope)

    return forward, back


def rates(passes: dict[str, Pass], rows: int) -> dict[str, float]:
    """Rows per second of each: the median of turns."""
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for turn in range(ROUNDS + 1):
        for name, run in passes.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: rows / statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    """Print the table."""
    rows, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 256, np.random.default_rng(0)
    systems = {"minipg": ours, "NumPy, im2col": im2col}
    if find_spec("torch") is None:
        print("PyTorch is not installed")
    else:
        systems["PyTorch"] = torch_of
    print(f"{'frames per second':<24}" + "".join(f"{name:>28}" for name in systems))
    for name, (image, layers, hidden) in NETWORKS.items():
        convs = convolutions(image, layers)
        sizes = int(np.prod(image)), *(c.rows * c.columns * c.filters for c in convs), hidden, OUTPUTS
        mlp = MLP(sizes, "relu", Backend("numba", 1), convs, 1 / 255)
        obs = rng.integers(0, 256, (rows, sizes[0])).astype(np.uint8)
        g = rng.standard_normal((rows, OUTPUTS)).astype(np.float32)
        passes = {system: make(mlp, obs, g) for system, make in systems.items()}
        one, two = (rates({system: both[k] for system, both in passes.items()}, rows) for k in (0, 1))
        print(f"{name:<24}" + "".join(f"{one[s]:>14,.0f} {two[s]:>13,.0f}" for s in systems))
    obs = rng.choice([0, 1, -1], (rows, 6400), p=[1 - 26 / 6400, 13 / 6400, 13 / 6400]).astype(np.int8)
    g = rng.standard_normal((rows, OUTPUTS)).astype(np.float32)
    sparse, dense = (MLP((6400, 200, OUTPUTS), "relu", Backend("numba", 1), sparse=skip) for skip in (True, False))
    passes = {"sparse": ours(sparse, obs, g), "dense": ours(dense, obs.astype(np.float32), g)}
    for kind, both in passes.items():
        one, two = (rates({kind: both[k]}, rows)[kind] for k in (0, 1))
        print(f"{f'6400-200, {kind}':<24}{one:>14,.0f} {two:>13,.0f}")


if __name__ == "__main__":
    main()
