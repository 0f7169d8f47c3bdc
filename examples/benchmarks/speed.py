"""How fast minipg is, side by side with its peers: on this machine, in this run.

    pip install 'minipg-rl[bench]'                  # brings the peers; without them their rows are left out
    python examples/benchmarks/speed.py             # some minutes; --quick: one or two
    python examples/benchmarks/speed.py --json speed.json

Every figure is the median of samples that the sides take in turns (A B C A B C …), so that whatever else the machine
does slows all of them alike; the range beside it tells how much that was. The peers get their best: PyTorch keeps the
graph of its double backprop, and a ratio is given for the fastest of a system's thread counts only. Where other
programs keep the cores busy, nobody's second thread is of use, and PyTorch's does harm: see R on 2 threads.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
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
from side_by_side import Row, compared, figures, in_turns, installed, peer, say, seconds_per_call, table
from threadpoolctl import threadpool_limits

from minipg import MLP, TRPO, Backend, GaussianPolicy, TRPOConfig, fisher_operator
from minipg.backend import available_threads, one_blas_thread
from minipg.checks import Array
from minipg.errors import MinipgError
from minipg.fisher import forward_tiles

THREADS = {"1 thread": 1, "2 threads": 2} if available_threads() > 1 else {"1 thread": 1}
PACKAGES = ("minipg-rl", "numpy", "scipy", "numba", "gymnasium", "torch", "stable-baselines3", "sb3-contrib")
TRPO_SETTINGS = TRPOConfig(
    num_envs=8, vec="gymnasium", n_steps=256, gamma=0.99, gae_lambda=0.95, max_kl=0.01, damping=0.1, cg_iters=15,
    backtrack_coeff=0.8, backtrack_iters=10, hidden=(64, 64), activation="tanh", vf_epochs=10, vf_minibatch_size=128,
    vf_learning_rate=1e-3,
)  # fmt: skip
CLI = "minipg train trpo CartPole-v1 --steps 1024"
COMMANDS = {
    "to the end of the first update": ("-c", "from minipg import TRPO; TRPO('CartPole-v1').learn(1, progress=False)"),
    CLI: ("-m", "minipg.cli", *CLI.split()[1:]),
}


@dataclass(frozen=True)
class Options:
    """How fast minipg is, side by side with its peers."""

    quick: bool = False
    """Fewer and shorter samples."""
    json: Path | None = None
    """Write the figures to this file as well."""


def matrix_rate(rounds: int, size: int = 2048) -> dict[str, float]:
    """R: FLOP/s of a large float32 matrix product in NumPy, by number of threads."""
    a = np.random.default_rng(0).standard_normal((size, size), np.float32)

    def sample(threads: int) -> float:
        with threadpool_limits(threads):
            return 2 * size**3 / seconds_per_call(lambda: a @ a, 0.3)

    samples = in_turns("matrix product, FLOP/s", {s: partial(sample, n) for s, n in THREADS.items()}, rounds)
    return {threads: median(values) for threads, values in samples.items()}


def minipg_product(backend: Backend, sizes: tuple[int, ...], theta: Array, obs: Array) -> Callable[[Array], Array]:
    """v ↦ F v: one forward and one backward sweep, over activations that are kept."""
    policy = GaussianPolicy(MLP(sizes, "tanh", backend))
    return fisher_operator(policy, theta, forward_tiles(policy, theta, obs))


def torch_product(parameters: list[Array], obs: Array) -> Callable[[Any], Any]:
    """v ↦ ∇(∇KL(old‖new)·v): double backprop through one graph, built once and kept.   v (P,) tensor → (P,) tensor.

    parameters: W and b of every layer, laid out as in torch.nn.Linear, then log σ.
    """
    import torch
    from torch.nn.functional import linear

    leaves = [torch.tensor(array, requires_grad=True) for array in parameters]
    *network, log_std = leaves
    mean = torch.from_numpy(obs)
    for i in range(0, len(network), 2):
        mean = linear(torch.tanh(mean) if i else mean, network[i], network[i + 1])
    # in closed form: fewer nodes, and so faster, than torch.distributions.kl_divergence
    d, z = 2 * (log_std.detach() - log_std), (mean.detach() - mean) * torch.exp(-log_std)
    kl = 0.5 * (torch.expm1(d) - d + z * z).sum(1).mean()
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(kl, leaves, create_graph=True)])

    def product(v: Any) -> Any:
        return torch.cat([g.flatten() for g in torch.autograd.grad(gradient @ v, leaves, retain_graph=True)])

    return product


def fisher_rows(rows: int, sizes: tuple[int, ...], rate: dict[str, float], quick: bool) -> list[Row]:
    """Fisher–vector products of a Gaussian policy in float32. Ends the program where the sides disagree on F v."""
    work, block = f"Fisher–vector product, B={rows}, {'-'.join(map(str, sizes))}", 0.1 if quick else 0.3
    rng, layout = np.random.default_rng(0), GaussianPolicy(MLP(sizes)).layout
    theta, v = 0.1 * rng.standard_normal((2, layout.size), np.float32)
    obs = rng.standard_normal((rows, sizes[0]), np.float32)
    sides: dict[str, Callable[[], float]] = {}
    results: list[Array] = []

    def timed(product: Callable[[Array], Array]) -> float:
        with one_blas_thread():  # as in training
            return seconds_per_call(lambda: product(v), block)

    for twin in ("numba", "numpy"):
        for threads, n in THREADS.items():
            product = minipg_product(Backend(twin, n), sizes, theta, obs)
            results.append(product(v))
            sides[f"minipg, {twin}, {threads}"] = partial(timed, product)
    if peer("torch"):
        import torch

        # where the entries of torch's parameters lie in θ: torch keeps W transposed
        places = [place.T.astype(int) for place in layout.views(np.arange(layout.size, dtype=float)).values()]
        order = np.concatenate([place.ravel() for place in places])
        double_backprop, v_torch = torch_product([theta[place] for place in places], obs), torch.from_numpy(v[order])
        results.append(double_backprop(v_torch).numpy()[np.argsort(order)])

        def torch_timed(threads: int) -> float:
            torch.set_num_threads(threads)
            return seconds_per_call(lambda: double_backprop(v_torch), block)

        sides |= {f"PyTorch, retained graph, {s}": partial(torch_timed, n) for s, n in THREADS.items()}

    difference = max(float(np.abs(Fv - results[0]).max() / np.abs(results[0]).max()) for Fv in results)
    if not difference <= 1e-3:
        raise SystemExit(f"{work}: the sides disagree on F v, by {difference:.1e} of its largest entry")
    # two products forward, two backward; the first layer has no tangent to carry and no gradient to pass on
    flops = 2 * rows * (4 * sum(n * m for n, m in pairwise(sizes)) - 2 * sizes[0] * sizes[1])
    return [
        *compared(figures(work, in_turns(f"{work}, s", sides, 3 if quick else 9), "ms", 1e3)),
        *[Row(work, f"its matrix products alone, at R, {s}", 1e3 * flops / rate[s], "ms") for s in THREADS],
        Row(work, f"largest difference among {len(results)} results", f"{difference:.1e} relative"),
    ]


def minipg_training(threads: int, steps: int) -> float:
    """Steps per second of TRPO on CartPole, from a fresh agent."""
    agent = TRPO("CartPole-v1", config=TRPO_SETTINGS, threads=threads)
    began = time.perf_counter()
    agent.learn(steps, progress=False)
    return agent.steps / (time.perf_counter() - began)


def sb3_training(threads: int, steps: int) -> float:
    """The same of sb3-contrib, at the same settings; its own 64-64 tanh networks, separate for actor and critic."""
    import sb3_contrib
    import torch
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(threads)
    s = TRPO_SETTINGS
    agent = sb3_contrib.TRPO(
        "MlpPolicy", make_vec_env("CartPole-v1", n_envs=s.num_envs, seed=0), seed=0, device="cpu", n_steps=s.n_steps,
        learning_rate=s.vf_learning_rate, batch_size=s.vf_minibatch_size, n_critic_updates=s.vf_epochs, gamma=s.gamma,
        gae_lambda=s.gae_lambda, target_kl=s.max_kl, cg_damping=s.damping, cg_max_steps=s.cg_iters,
        line_search_shrinking_factor=s.backtrack_coeff, line_search_max_iter=s.backtrack_iters,
    )  # fmt: skip
    began = time.perf_counter()
    agent.learn(steps)
    return agent.num_timesteps / (time.perf_counter() - began)


def training_rows(quick: bool) -> list[Row]:
    """TRPO on CartPole through Gymnasium: the same settings, the same number of steps."""
    batch = TRPO_SETTINGS.num_envs * TRPO_SETTINGS.n_steps
    steps = (4 if quick else 10) * batch
    work = f"TRPO, CartPole-v1, {TRPO_SETTINGS.num_envs} × {TRPO_SETTINGS.n_steps}, {steps:,} steps"
    trainers = {"minipg": minipg_training} | ({"sb3-contrib": sb3_training} if peer("sb3-contrib") else {})
    sides: dict[str, Callable[[], float]] = {}
    for name, train in trainers.items():
        train(1, batch)  # warm up
        trial = {s: train(n, batch) for s, n in THREADS.items()}
        # a second thread that halves the speed, as on busy cores, would take most of the time there is
        worthwhile = [s for s in trial if 2 * trial[s] > max(trial.values())]
        sides |= {f"{name}, {s}": partial(train, THREADS[s], steps) for s in worthwhile}
    return compared(figures(work, in_turns(f"{work}, steps/s", sides, 3), "steps/s"))


def seconds_of_process(arguments: tuple[str, ...], folder: Path) -> float:
    """From the shell and back, in a folder that holds Numba's cache too."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return time.perf_counter() - began


def startup_rows(quick: bool) -> list[Row]:
    """New processes: the first with an empty cache of Numba's, the following with what it left there."""
    rows = []
    with tempfile.TemporaryDirectory() as parent:
        folders = {name: Path(tempfile.mkdtemp(dir=parent)) for name in COMMANDS}
        sides = {name: partial(seconds_of_process, COMMANDS[name], folders[name]) for name in COMMANDS}
        for state, rounds in (("cold", 1), ("warm", 3 if quick else 7)):
            work = f"from the shell, Numba's cache {state}"
            rows += figures(work, in_turns(f"{work}, s", sides, rounds), "s")
    return rows


def bits(env: str, seed: int, threads: int) -> bytes:
    """Actor and critic after three updates with the environment's preset."""
    agent = TRPO(env, seed=seed, threads=threads)
    agent.learn(3 * agent.config.num_envs * agent.config.n_steps, progress=False)
    return agent.theta.tobytes() + agent.value.theta.tobytes()


def same_bits_rows() -> list[Row]:
    """Whether the seed alone fixes every bit."""
    rows, others = [], {"same seed again": (0, 1), "2 threads instead of 1": (0, 2), "another seed": (1, 1)}
    for env in ("CartPole-v1", "Pendulum-v1"):
        work = f"TRPO, {env}, 3 updates: the same bits?"
        say(work)
        try:
            first = bits(env, 0, 1)
        except MinipgError as error:
            say(f"  left out: {error}")
            continue
        rows += [Row(work, name, "yes" if bits(env, *other) == first else "no") for name, other in others.items()]
    return rows


def head(rate: dict[str, float]) -> str:
    """What was measured, and on what."""
    versions = ", ".join(f"{name} {installed(name) or 'not installed'}" for name in PACKAGES)
    products = ", ".join(f"{value / 1e9:.0f} GFLOP/s on {threads}" for threads, value in rate.items())
    machine = f"{platform.system()} {platform.machine()}, {available_threads()} CPU threads"
    return f"Python {platform.python_version()}, {versions}. {machine}. Float32 matrix product R = {products}."


def main(options: Options) -> None:
    """Measure, print, write."""
    rate = matrix_rate(3 if options.quick else 7)
    rows = [
        *fisher_rows(2048, (11, 64, 64, 3), rate, options.quick),
        *fisher_rows(16384, (17, 256, 256, 6), rate, options.quick),
        *training_rows(options.quick),
        *startup_rows(options.quick),
        *same_bits_rows(),
    ]
    print(head(rate), table(rows), sep="\n\n")
    if options.json is not None:
        result = {"head": head(rate), "flops_per_second": rate, "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
