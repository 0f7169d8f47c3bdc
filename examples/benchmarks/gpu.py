"""What a GPU does with minipg: its rates, a Fisher–vector product against its floor, PPO on the device, the same bits.

    python examples/benchmarks/gpu.py [--json gpu.json]      # pip install 'minipg-rl[gpu]'
    python examples/benchmarks/gpu.py --quick                # a hundredth of the rows, for a look

The floor of the product adds up its ten matrix products: each takes as long as its operations at the rate of a large
square float32 product, or as its operands and result at the bandwidth of a copy, whichever is longer; whatever stands
between them is free. Below it stands what cuBLAS takes for ten products of those shapes, one after another and each by
itself. Times are medians of repetitions after a first one. Without a GPU: one line, status 2.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tyro

from minipg import MLP, PPO, Backend, GaussianPolicy
from minipg.fisher import fisher_operator
from minipg.runtime.backend import to_host, why_no_device
from minipg.runtime.files import write_json

SIZES = (17, 256, 256, 6)


@dataclass(frozen=True)
class Options:
    """What a GPU does with minipg."""

    quick: bool = False
    """A hundredth of the rows, and of the environments."""
    repetitions: int = 10
    """Of every measurement, after the first."""
    json: Path | None = None
    """Where to write the same as JSON."""

    def some(self, count: int) -> int:
        """`count`, or a hundredth of it."""
        return max(count // 100, 1) if self.quick else count


def seconds(cupy: Any, work: Callable[[], Any], repetitions: int) -> float:
    """The median time of a call that leaves nothing to be done on the device."""
    times = []
    for _ in range(repetitions + 1):
        cupy.cuda.Device().synchronize()
        began = time.perf_counter()
        work()
        cupy.cuda.Device().synchronize()
        times.append(time.perf_counter() - began)
    return median(times[1:])


def drawn(cupy: Any, *shape: int) -> Any:
    """An array of normal numbers: a GPU multiplies equal ones faster, because that takes less power."""
    return cupy.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


def rates(cupy: Any, options: Options) -> dict[str, float]:
    """FLOP/s of a square float32 product, bytes a second of a copy."""
    n, size = (1024, 1 << 22) if options.quick else (8192, 1 << 28)
    a, b, c = (drawn(cupy, n, n) for _ in range(3))
    x, y = drawn(cupy, size), cupy.empty(size, "float32")
    product = seconds(cupy, lambda: cupy.matmul(a, b, out=c), options.repetitions)
    copy = seconds(cupy, lambda: y.__setitem__(..., x), options.repetitions)
    return {"flops_per_second": 2 * n**3 / product, "bytes_per_second": 8 * size / copy}


def roofline(n: int, m: int, k: int, flops_per_second: float, bytes_per_second: float) -> float:
    """Seconds of a product (n, m) (m, k): its operations, or its operands and result, whichever takes longer."""
    return max(2 * n * m * k / flops_per_second, 4 * (n * m + m * k + n * k) / bytes_per_second)


def floor(rows: int, flops_per_second: float, bytes_per_second: float) -> float:
    """Seconds of the matrix products of F v: a roofline for each, nothing between them."""
    # h dW and hᵀ g in every layer; dh W and g Wᵀ in those that a tangent comes into
    return sum(
        (2 if layer == 0 else 4) * roofline(rows, n, m, flops_per_second, bytes_per_second)
        for layer, (n, m) in enumerate(pairwise(SIZES))
    )


def products(cupy: Any, rows: int) -> list[Callable[[], Any]]:
    """Ten products of the shapes that the floor counts, in the order of F v."""
    first, second = (drawn(cupy, rows * max(SIZES)) for _ in range(2))
    forward, back = [], []
    for layer, (n, m) in enumerate(pairwise(SIZES)):
        h, g, w = first[: rows * n].reshape(rows, n), second[: rows * m].reshape(rows, m), drawn(cupy, n, m)
        to_h, to_g, to_w = (cupy.empty(shape, "float32") for shape in (h.shape, g.shape, w.shape))
        forward += [(h, w, to_g)] * (1 if layer == 0 else 2)
        back = [(h.T, g, to_w), *([] if layer == 0 else [(g, w.T, to_h)]), *back]
    return [partial(cupy.matmul, one, other, out=out) for one, other, out in forward + back]


def alone(cupy: Any, multiply: Any, options: Options, found: dict[str, float]) -> dict[str, Any]:
    """One of those products by itself: what it multiplies, its time, and its floor."""
    one, other = multiply.args
    took = seconds(cupy, multiply, options.repetitions)
    shapes = f"{tuple(one.shape)} {tuple(other.shape)}"
    return {"shapes": shapes, "seconds": took, "floor_seconds": roofline(*one.shape, other.shape[1], **found)}


def fisher(cupy: Any, options: Options, found: dict[str, float]) -> dict[str, Any]:
    """F v of a Gaussian policy 17-256-256-6 in float32, and by how much it misses its floor."""
    rows, backend, rng = options.some(1_000_000), Backend("cupy"), np.random.default_rng(0)
    policy = GaussianPolicy(MLP(SIZES, "tanh", backend))
    theta = backend.to_device(to_host(policy.init(rng)))
    v, obs = drawn(cupy, policy.layout.size), drawn(cupy, rows, SIZES[0])
    product = fisher_operator(policy, theta, policy.forward(theta, obs), 0.1)
    took, least = seconds(cupy, lambda: product(v), options.repetitions), floor(rows, **found)
    ten = products(cupy, rows)
    in_cublas = seconds(cupy, lambda: [multiply() for multiply in ten], options.repetitions)
    each = [alone(cupy, multiply, options, found) for multiply in ten]
    times = {"seconds": took, "products_seconds": in_cublas, "floor_seconds": least, "products": each}
    return {"rows": rows, **times, "over_floor": took / least}


def ppo(options: Options, seed: int = 0) -> PPO:
    """PPO on CartPole, environments on the device: 4096 × 128 steps, 4 epochs of 32 minibatches in all."""
    envs = options.some(4096)
    rows = envs * 128 // 8
    return PPO(
        "CartPole-v1", seed=seed, backend="cupy", vec="device", num_envs=envs, n_steps=128, hidden=(64, 64),
        n_epochs=4, vf_epochs=4, minibatch_size=rows, vf_minibatch_size=rows,
    )  # fmt: skip


def training(cupy: Any, options: Options) -> dict[str, float]:
    """Environment steps a second, rollouts and updates together."""
    agent = ppo(options)
    batch = agent.config.num_envs * agent.config.n_steps
    took = seconds(cupy, lambda: agent.learn(batch, progress=False), options.repetitions)
    return {"num_envs": agent.config.num_envs, "n_steps": agent.config.n_steps, "steps_per_second": batch / took}


def same_bits(options: Options) -> bool:
    """Whether three updates from the same seed give the same parameters twice."""
    thetas = []
    for _ in range(2):
        agent = ppo(options)
        agent.learn(3 * agent.config.num_envs * agent.config.n_steps, progress=False)
        thetas.append(to_host(agent.theta))
    return bool(np.array_equal(*thetas))


def main(options: Options) -> int:
    """Measure, print, write; the exit status."""
    if (reason := why_no_device()) is not None:
        print(f"gpu: {reason}", file=sys.stderr)
        return 2
    cupy = Backend("cupy").xp
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    device = properties["name"].decode() if isinstance(properties["name"], bytes) else str(properties["name"])
    found = rates(cupy, options)
    product = fisher(cupy, options, found)
    trained = training(cupy, options)
    alike = same_bits(options)
    rows = [
        ("float32 matrix product", f"{found['flops_per_second'] / 1e12:.2f} TFLOP/s", ""),
        ("copy", f"{found['bytes_per_second'] / 1e9:.0f} GB/s", ""),
        (f"F v, {product['rows']:,} rows, {'-'.join(map(str, SIZES))}", f"{1e3 * product['seconds']:.2f} ms",
         f"{product['over_floor']:.2f} × its floor; asked: 1.5 × at 1,000,000 rows"),
        ("ten products of its shapes in cuBLAS", f"{1e3 * product['products_seconds']:.2f} ms",
         f"{product['products_seconds'] / product['floor_seconds']:.2f} × its floor"),
        *((f"  {each['shapes']}", f"{1e3 * each['seconds']:.2f} ms",
           f"{each['seconds'] / each['floor_seconds']:.2f} × its floor") for each in product["products"]),
        (f"PPO, CartPole, {trained['num_envs']} × {trained['n_steps']}, 4 epochs",
         f"{trained['steps_per_second'] / 1e6:.2f} M steps/s", "asked: 5 M with 4096 environments"),
        ("the same seed twice", "the same bits" if alike else "OTHER bits", "asked: the same"),
    ]  # fmt: skip
    versions = f"CuPy {cupy.__version__}, CUDA {cupy.cuda.runtime.runtimeGetVersion()}"
    print(f"{device}; {versions}" + ("; --quick: not what was asked" if options.quick else ""))
    for what, figure, note in rows:
        print(f"{what:44s} {figure:>18s}   {note}".rstrip())
    if options.json is not None:
        written = {"device": device, "versions": versions, "quick": options.quick, "rates": found}
        write_json(options.json, {**written, "fisher": product, "ppo": trained, "same_bits": alike})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
