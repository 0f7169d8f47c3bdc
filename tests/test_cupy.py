"""The GPU backend computes what the others compute, and copies only what is listed here.

Each theorem holds on a fake device (`fake_cupy.py`, everywhere) and on a real one (marked `gpu`).
"""

import sys
from typing import NamedTuple

import fake_cupy
import numpy as np
import pytest
from minipg.kernels.arguments import Acted, SurrogateTerms

import minipg
from minipg import MLP, Backend, ValueNetwork, conjugate_gradient
from minipg.algorithms import ALGORITHMS
from minipg.algorithms.optimizers import new_adam
from minipg.algorithms.surrogate_epochs import ascend, surrogate_gradient
from minipg.checks import namespace
from minipg.cli import main
from minipg.conjugate_gradient import masked_conjugate_gradient
from minipg.fisher import fisher_operator
from minipg.objective import gradient_and_entropy, policy_gradient, surrogate_value
from minipg.returns import discounted_returns, gae, td_errors
from minipg.rollout.vine import Follower
from minipg.runtime import backend
from minipg.runtime.backend import fetch, to_host, why_no_device
from minipg.theory import LAWS, check_law
from minipg.theory.distributions import FAMILIES
from minipg.theory.policies import KINDS, observations, policy_of

DEVICES = ["fake", pytest.param("device", marks=pytest.mark.gpu)]


class Device(NamedTuple):
    """A device, whether it is a real one, and the number of copies since the last count."""

    real: bool
    counts: dict[str, int]

    def moved(self) -> tuple[int, int]:
        """(up, down), counted in minipg's own calls; the fake has no other copies."""
        moved = self.counts["up"], self.counts["down"]
        assert self.real or moved == (fake_cupy.log["up"], fake_cupy.log["down"])
        self.counts.update(up=0, down=0)
        fake_cupy.log.update(up=0, down=0)
        return moved


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    """A real device, or a fake one in its place."""
    backend._import.cache_clear()
    if request.param == "fake":
        fake_cupy.install(monkeypatch)
    elif (reason := why_no_device()) is not None:
        pytest.skip(reason)
    cupy, counts = sys.modules["cupy"], {"up": 0, "down": 0}
    up, down = cupy.asarray, cupy.asnumpy

    def asarray(array, *args, **options):
        counts["up"] += not isinstance(array, cupy.ndarray)
        return up(array, *args, **options)

    def asnumpy(array, *args, **options):
        counts["down"] += 1
        return down(array, *args, **options)

    monkeypatch.setattr(cupy, "asarray", asarray)
    monkeypatch.setattr(cupy, "asnumpy", asnumpy)
    yield Device(request.param == "device", counts)
    backend._import.cache_clear()


def agree(device, got, expected, dtype=None, amplified=1.0):
    """Bit for bit on the fake, which computes with NumPy; on a device up to rounding, 1e-10 in float64.

    `dtype`: the precision of the computation, where the results have another one. Whole numbers agree exactly.
    """
    got, expected = np.asarray(to_host(got)), np.asarray(expected)
    if not device.real or expected.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected)
        return
    size = np.abs(expected).max(initial=0) + 1
    tolerance = 1e-4 if (dtype or expected.dtype) == np.float32 else 1e-10
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * amplified * size)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("law", LAWS)
def test_every_law_holds_on_the_device(device, law, dtype):
    verdict = check_law(LAWS[law], Backend("cupy"), dtype, examples=25 if device.real else 5)
    assert verdict.held, verdict
    if not device.real:
        assert verdict == check_law(LAWS[law], Backend("numpy", 1), dtype, examples=5)._replace(backend="cupy")


def of_network(twin, dtype, rng):
    mlp = MLP((4, 6, 5, 3), "tanh", twin)
    theta, v = rng.normal(size=(2, mlp.layout.size)).astype(dtype)
    obs, g = rng.normal(size=(7, 4)).astype(dtype), rng.normal(size=(7, 3)).astype(dtype)
    tape = mlp.forward(theta, obs)
    return [tape.out, mlp.jvp(theta, tape, v), mlp.vjp(theta, tape, g), mlp.vjp_obs(theta, tape, g)]


def of_distributions(twin, dtype, rng):
    for make in FAMILIES.values():
        d = make(3, twin)
        old, new, v = rng.normal(size=(3, 6, d.n_params)).astype(dtype)
        act = to_host(d.sample(old, d.noise(rng, (6,), dtype)))
        yield from (act, d.mode(old), d.log_prob(old, act), d.score(old, act), d.kl(old, new), d.kl_gradient(old, new))
        yield from (d.entropy(old), d.entropy_gradient(old), d.fisher_product(old, v))


def of_returns(twin, dtype, rng):
    rew, value, after = rng.normal(size=(3, 9, 2)).astype(dtype)
    end = rng.integers(4, size=rew.shape)
    return [
        discounted_returns(rew, after, end == 1, end == 2, 0.9, twin),
        td_errors(rew, value, after, end == 1, 0.9, twin),
        gae(rew, end == 1, end == 2, 0.9, 0.8, twin),
    ]


def of_critic(twin, dtype, rng):
    critic = ValueNetwork(MLP((3, 5, 1), "relu", twin))
    obs, target = rng.normal(size=(9, 3)).astype(dtype), rng.normal(size=9).astype(dtype)
    state, order = critic.init(rng, dtype), np.stack([rng.permutation(9) for _ in range(2)])
    fitted, losses, finite = critic.fit_adam(state, obs, target, order, 4, 1e-2, clip_range=0.1, max_grad_norm=0.5)
    yield from (*fitted[:3], losses, finite, critic.predict(fitted.theta, obs))
    yield from critic.loss_and_gradient(state.theta, obs, target, 0.1)
    fitted, losses, finite = critic.fit_lbfgs(state, *map(twin.to_device, (obs, target)), 3)
    yield from (fitted.theta, losses, finite)


def of_policies(twin, dtype, rng):
    for family, of_state in KINDS:
        policy = policy_of(FAMILIES[family](3, twin), of_state, (4, 5))
        theta, v = map(twin.to_device, 0.3 * rng.normal(size=(2, policy.layout.size)).astype(dtype))
        obs, adv = rng.normal(size=(8, policy.mlp.sizes[0])).astype(dtype), rng.normal(size=8).astype(dtype)
        obs = observations(policy, obs, rng)
        tape = policy.forward(theta, twin.to_device(obs))
        old = tape.params
        act = policy.distribution.sample(old, policy.distribution.noise(rng, (8,), dtype))
        g = policy_gradient(policy, theta, tape, act, adv, 0.1)
        yield from (policy.init(rng, dtype), policy.project(theta), old, policy.jvp(theta, tape, v), g)
        yield from (policy.vjp(theta, tape, old), fisher_operator(policy, theta, tape, 0.1)(v))
        yield from gradient_and_entropy(policy, theta, obs, act, adv, 0.1)
        acted, terms = Acted(*map(twin.to_device, (obs, act, adv)), old), SurrogateTerms(0.2, 0.5, 0.01)
        yield np.array(surrogate_value(policy, theta + v, acted, policy.distribution.log_prob(old, act)))
        grad, *means = surrogate_gradient(policy, theta + v, acted, terms, np.arange(5))
        yield from (grad, np.array(means))
        order = np.stack([rng.permutation(8) for _ in range(3)])
        for max_kl in (np.inf, 1e-6):
            theta_, adam, *stats = ascend(policy, theta, new_adam(theta), acted, terms, order, 3, 1e-2, max_kl=max_kl)
            yield from (theta_, *adam[:2], np.array([adam.step, *stats]))


PARTS = {"network": of_network, "distributions": of_distributions, "returns": of_returns, "critic": of_critic,
         "policies": of_policies}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("part", PARTS)
def test_public_functions_give_on_the_device_what_they_give_on_the_host(device, part, dtype):
    twins = Backend("cupy"), Backend("numpy", 1)
    there, here = (PARTS[part](twin, dtype, np.random.default_rng(0)) for twin in twins)
    for got, expected in zip(there, here, strict=True):
        agree(device, got, expected, dtype)


ENDS = {"infinite": "not finite", "overflow": "not finite", "zero": "converged"}


def system(rng, kind):
    """A (P, P) and b (P,), for which the solve ends with the status `kind`."""
    root = rng.normal(size=(6, 6))
    A, b = root @ root.T + np.eye(6), rng.normal(size=6)
    if kind == "curvature":
        A = np.diag([3.0, 2.0, 1.0, -1.0, 1.0, 1.0])
    if kind == "not finite":
        A[2, 3] = np.inf
    if kind == "infinite":
        b[1] = np.inf
    if kind == "overflow":  # of x in that dtype
        A, b = np.diag(np.full(6, 1e-30, np.float32)), (1e20 * b).astype(np.float32)
    return A, 0 * b if kind == "zero" else b


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["iterations", "converged", "curvature", "not finite", "infinite", "overflow", "zero"])
def test_a_masked_solve_is_the_one_that_stops_TR10(device, kind):
    twin, iterations = Backend("cupy"), {"converged": 20, "iterations": 3}.get(kind, 8)
    for seed in range(5):
        A, b = system(np.random.default_rng(seed), kind)
        plain = conjugate_gradient(lambda v, A=A: A @ v, b, iterations, 1e-8)
        there = twin.to_device(A)
        device.moved()
        got = conjugate_gradient(lambda v, A=there: A @ v, twin.to_device(b), iterations, 1e-8)
        assert device.moved() == (1, 1)  # b, and all results of the solve
        assert got.status == plain.status == ENDS.get(kind, kind)
        for solve in (got, masked_conjugate_gradient(lambda v, A=A: A @ v, b, iterations, 1e-8)):
            assert solve.iterations == plain.iterations or device.real  # which rounds in another way
            agree(device, solve.x, plain.x)
            agree(device, [solve.residual, solve.curvature], [plain.residual, plain.curvature])


TINY = {"num_envs": 2, "hidden": (8,), "seed": 3, "vec": "compiled"}  # of environments on the device: test_cuda_*.py
STEPS = {"n_steps": 16, "vf_epochs": 2}
MINI = {"n_epochs": 2, "minibatch_size": 8, **STEPS}
REPLAY = {"learning_starts": 2, "batch_size": 4, "buffer_size": 20}
VINE = {"sampling": "vine", "vine_states": 5, "vine_branches": 3, "vine_length": 4, **STEPS}


class Variant(NamedTuple):
    """An algorithm, an environment and settings; the copies (up, down) of a rollout and of an update."""

    algorithm: str
    env: str
    settings: dict
    collect: tuple[int, int]
    update: tuple[int, int]


# A rollout of T steps copies up the noise, T observations, and at its end rewards, both flags, final observations and
# their rows: T + 6, and with scaled rewards the dropped steps. Down: T actions.
# Branches of L steps copy up their states, the first actions or their noise, the noise of later ones, L observations,
# and at the end Â with Q̂: L + 4. Down: L actions, V at the branches' ends, π where every action is tried, σ(R) where
# rewards are scaled. In line there are as many branches at a time as environments: L up, L + 1 down each time.
# An update copies up orders of rows, and the lost rows if there are any. Down, in one copy each:
#   the critic      whether the fit is finite, and its loss; the explained variance
#   a plain step    the gradient's norm, the entropy, and whether the step is finite
#   a natural step  the results of the solve; the step's first numbers; every trial of the line search (NPG: one)
#   epochs          their statistics (dual: the first numbers, and the statistics of every epoch)
#   a compatible critic, as the results of a solve
# A replay is on the host: a batch's eight arrays go down, and for each gradient step (two here) its rows go up: five
# arrays, of TD3 the noise too. Down: the critics' losses, the mean of Q, whether the step is finite; at the end μ.
# After a rollout, Ornstein–Uhlenbeck noise needs the flags of ended episodes.
VARIANTS = {
    "reinforce": Variant("reinforce", "CartPole-v1", {"n_steps": 16, "episodes": 1, "vf_epochs": 2}, None, (2, 3)),
    "reinforce, return": Variant("reinforce", "CartPole-v1", {
        "n_steps": 16, "episodes": 1, "weight": "return", "baseline": "none"}, None, (2, 1)),
    "reinforce, discounted": Variant("reinforce", "CartPole-v1", {
        "n_steps": 16, "episodes": 1, "vf_epochs": 2, "weight": "discounted"}, None, (4, 3)),
    "vpg": Variant("vpg", "Pendulum-v1", STEPS, (22, 16), (1, 3)),
    "a2c": Variant("a2c", "CartPole-v1", {"n_steps": 5}, (11, 5), (0, 3)),
    "npg": Variant("npg", "CartPole-v1", STEPS, (22, 16), (1, 5)),
    "trpo": Variant("trpo", "CartPole-v1", STEPS, (22, 16), (1, 5)),
    "trpo, standardised": Variant("trpo", "Pendulum-v1", {
        "normalize_obs": True, "normalize_reward": True, **STEPS}, (23, 16), (1, 5)),
    "trpo, subsample": Variant("trpo", "CartPole-v1", {"fisher_subsample": 2, **STEPS}, (22, 16), (2, 5)),
    "trpo, dual": Variant("trpo", "CartPole-v1", {"solver": "dual", **MINI}, (22, 16), (2, 5)),
    "trpo, vine": Variant("trpo", "CartPole-v1", VINE, (22 + 8, 16 + 6), (1, 5)),
    "trpo, vine, drawn": Variant("trpo", "Acrobot-v1", {
        **VINE, "normalize_reward": False, "vine_branches": 2}, (22 + 8, 16 + 5), (1, 5)),
    "trpo, vine, standardised": Variant("trpo", "Pendulum-v1", {
        "normalize_obs": True, "normalize_reward": True, **VINE}, (23 + 8, 16 + 6), (1, 5)),
    "trpo, vine, dual": Variant("trpo", "Pendulum-v1", {
        "solver": "dual", "squash": True, **MINI, **VINE}, (22 + 8, 16 + 5), (2, 5)),
    "trpo, vine, in line": Variant("trpo", "Pendulum-v1", {
        "vec": "gymnasium", **VINE}, (22 + 4 + 9 * 4, 16 + 9 * 5), (1, 5)),
    "ppo, unclipped": Variant("ppo", "CartPole-v1", {"objective": "unclipped", **MINI}, (22, 16), (2, 3)),
    "ppo, clip": Variant("ppo", "Pendulum-v1", {"objective": "clip", **MINI}, (22, 16), (2, 3)),
    "ppo, kl": Variant("ppo", "CartPole-v1", {"objective": "kl", **MINI}, (22, 16), (2, 3)),
    "ppo, adaptive-kl": Variant("ppo", "Pendulum-v1", {
        "objective": "adaptive-kl", "squash": True, **MINI}, (22, 16), (2, 3)),
    "ppo, target KL": Variant("ppo", "Pendulum-v1", {
        "target_kl": 1e-4, "state_dependent_std": True, **MINI}, (22, 16), (2, 3)),
    "dpg": Variant("dpg", "Pendulum-v1", STEPS, (22, 16), (1, 4)),
    "ddpg": Variant("ddpg", "Pendulum-v1", {**REPLAY, "action_noise": "ornstein-uhlenbeck"}, (7, 2), (10, 15)),
    "td3": Variant("td3", "Pendulum-v1", {**REPLAY, "policy_delay": 1}, (7, 1), (12, 15)),
}  # fmt: skip


def made(variant, **options):
    name, env, settings, *_ = VARIANTS[variant]
    return ALGORITHMS[name](env, **{**TINY, **settings, **options})


def learn(agent, updates):
    """The metrics of some updates, without times."""
    rows = []
    agent.learn(10**9, on_update=lambda agent, row: rows.append(row) or len(rows) < updates)
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def parameters(agent):
    """All arrays that learning changes, on the host."""
    return agent.whole_state().arrays


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_algorithm_learns_on_the_device_what_it_learns_on_the_host(device, variant):
    agents = [made(variant, backend=name) for name in ("cupy", "numpy")]
    there, here = (learn(agent, 1 if device.real else 3) for agent in agents)
    assert [row.keys() for row in there] == [row.keys() for row in here]
    if not device.real:
        np.testing.assert_equal(there, here)
    state, expected = map(parameters, agents)
    assert state.keys() == expected.keys()
    for name in expected:
        if device.real and not name.startswith(("theta", "value.theta")):
            continue
        # Adam's first steps have the length of its rate: where a gradient is rounding alone, so is the step's sign
        agree(device, state[name], expected[name], amplified=100)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_rollout_and_an_update_copy_what_is_listed(device, variant):
    agent = made(variant, backend="cupy")
    learn(agent, 1)  # constants go up once
    device.moved()
    batch = agent._collect(agent._collector)
    rollout = device.moved()
    row = agent._update(batch, 0.0).metrics(agent.backend)
    assert row["status"] in ("ok", "target KL")
    up, down = VARIANTS[variant].update
    # every trial of the line search after the first is one more
    assert device.moved() == (up, down + row.get("line_search_trials", 1) - 1)
    assert rollout == VARIANTS[variant].collect or variant.startswith("reinforce")


def test_whole_episodes_cost_one_more_copy_a_part_and_one_for_all(device):
    agent = made("reinforce", backend="cupy")
    learn(agent, 1)
    device.moved()
    before = agent._collector.steps
    agent._collect(agent._collector)
    parts = (agent._collector.steps - before) // (16 * 2)
    assert device.moved() == (1 + parts * 22, parts * 17 + 1)


@pytest.mark.parametrize(
    "variant", ["a2c", "trpo, standardised", "trpo, dual", "trpo, vine, standardised", "ppo, adaptive-kl"]
)
@pytest.mark.parametrize("first,second", [("cupy", "numpy"), ("numpy", "cupy")])
def test_a_saved_agent_loads_on_another_backend_and_learning_continues(device, variant, first, second, tmp_path):
    agent = made(variant, backend=first)
    learn(agent, 2)
    agent.save(tmp_path / "agent.npz")
    other = minipg.load(tmp_path / "agent.npz", backend=second)
    for name, array in parameters(agent).items():
        np.testing.assert_array_equal(parameters(other)[name], array)
    learn(agent, 1)
    learn(other, 1)
    if not device.real:
        np.testing.assert_array_equal(parameters(other)["theta"], parameters(agent)["theta"])
    obs = agent.envs.single_observation_space.sample()
    assert isinstance(other.predict(obs)[0], np.ndarray | np.generic)


def test_the_same_seed_twice_gives_the_same_parameters_on_the_device(device):
    for variant in ("a2c", "trpo", "trpo, vine", "ppo, clip"):
        one, other = (made(variant, backend="cupy") for _ in range(2))
        assert str(learn(one, 3)) == str(learn(other, 3))
        for name, array in parameters(one).items():
            np.testing.assert_array_equal(array, parameters(other)[name])


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["device"], indirect=True)
def test_a_short_training_run_on_the_device_learns(device):
    agent = minipg.PPO("CartPole-v1", seed=0, backend="cupy").learn(40_000)
    assert np.mean([ret for ret, _ in agent._recent]) > 100


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_branches_on_the_device_are_those_of_the_host_and_equal_ones_equal_to_the_bit_TR13(device, env):
    found = []
    for name in ("cupy", "numpy"):
        agent = minipg.TRPO(env, backend=name, normalize_obs=True, normalize_reward=True, **{**TINY, **VINE})
        collector, up = agent._new_collector(), agent.backend.to_device
        branches = agent._collect(collector).branches
        states = [agent._snapshots.save(n) for n in (0, 1, 1)]
        act, noise = (
            agent.actor.distribution.noise(np.random.default_rng(0), shape, np.float32) for shape in ((3,), (6, 3))
        )
        if agent.actor.distribution.discrete:
            act = np.array([0, 1, 1])
        value = lambda obs, agent=agent: agent.critic.predict(agent.value.theta, obs)
        follower = Follower(collector, agent._snapshots, agent.theta, value, 0.9)
        q, steps = follower.returns(states, up(np.stack([act, act])), up(noise))
        np.testing.assert_array_equal(q[0], q[1])
        assert all(namespace(rows) is agent.backend.xp for rows in branches[:4])
        found.append(([*map(to_host, branches[:4]), q.astype(np.float32)], (branches.steps, steps)))
    (there, counted), (here, expected) = found
    assert counted == expected
    for got, wanted in zip(there, here, strict=True):
        assert got.dtype == wanted.dtype
        agree(device, got, wanted, amplified=100)


def test_numbers_are_fetched_in_one_copy_and_those_of_the_host_as_they_are(device):
    twin = Backend("cupy")
    x = twin.to_device(np.array([1.0, np.nan, 3.0]))
    device.moved()
    assert fetch(x[0] + 1, x[2] > 2, twin.xp.isfinite(x).all()) == [2.0, 1.0, 0.0]
    assert device.moved() == (0, 1)
    assert fetch(1.5, True, np.float32(2)) == (1.5, True, np.float32(2))


def test_a_batch_is_one_tile_and_threads_play_no_part(device):
    twin = Backend("cupy", 4)
    assert twin.threads == 1
    assert twin.map_rows(lambda rows: rows, 5000) == [slice(0, 5000)]
    assert twin.map_rows(lambda rows: rows, 0) == []
    assert twin.both(lambda: 1, lambda: 2) == (1, 2)


def no_cupy(monkeypatch, cupy):
    monkeypatch.setitem(sys.modules, "cupy", None)


def broken_cupy(monkeypatch, cupy):
    def refuse(name):
        raise ImportError("libcudart.so.12: cannot open shared object file\nmore of it")

    monkeypatch.setattr(backend, "_import", refuse)


def no_driver(monkeypatch, cupy):
    monkeypatch.setattr(cupy.cuda.runtime, "driverGetVersion", lambda: 0)


def no_gpu(monkeypatch, cupy):
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 0)


def old_driver(monkeypatch, cupy):
    def refuse():
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", refuse)


def no_library(monkeypatch, cupy):
    def refuse(*_):
        raise RuntimeError("CuPy failed to load libnvrtc.so.12: cannot open shared object file")

    monkeypatch.setattr(cupy, "ones", refuse)
    monkeypatch.setattr(cupy.cuda.runtime, "driverGetVersion", lambda: 11040)


MISSING = {
    no_cupy: "CuPy is not installed: pip install 'minipg-rl[gpu]'",
    broken_cupy: "CuPy cannot be imported: ImportError: libcudart.so.12: cannot open shared object file",
    no_driver: "there is no NVIDIA driver on this machine",
    no_gpu: "there is no GPU on this machine",
    old_driver: "no GPU can be used: RuntimeError: cudaErrorInsufficientDriver",
    no_library: "a CUDA library is missing or of another version (CuPy is made for CUDA 12.9, the driver "
                "supports CUDA up to 11.4): RuntimeError: CuPy failed to load libnvrtc.so.12",
}  # fmt: skip


@pytest.mark.parametrize("missing", MISSING)
def test_what_is_missing_is_named_in_one_line_with_status_2_and_no_file_is_left(missing, monkeypatch, tmp_path, capsys):
    backend._import.cache_clear()
    missing(monkeypatch, fake_cupy.install(monkeypatch))
    train = ["train", "ppo", "CartPole-v1", "--backend", "cupy", "--out", str(tmp_path / "run")]
    for args in (train, [*train, "--seeds", "0-1"], ["check", "--backend", "cupy"]):
        assert main(args) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"minipg: backend cupy: {MISSING[missing]}")
        assert line.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert backend.installed_backends() == ["numba", "numpy"]
    assert main(["list"]) == 0
    assert f"numba, numpy; no cupy: {MISSING[missing]}" in capsys.readouterr().out
    monkeypatch.undo()
    backend._import.cache_clear()


def test_a_device_that_answers_is_listed(device, capsys):
    assert backend.installed_backends() == ["numba", "numpy", "cupy"]
    assert main(["list"]) == 0
    assert "numba, numpy, cupy\n" in capsys.readouterr().out


def test_the_fake_refuses_implicit_copies(monkeypatch):
    cupy = fake_cupy.install(monkeypatch)
    x, mask = cupy.zeros(3), cupy.ones(3, bool)
    implicit = (
        float, int, bool, list, np.asarray, np.sum, np.sqrt, lambda x: x.item(), lambda x: x.tolist(),
        lambda x: x[mask],
        lambda x: x + np.zeros(3), lambda x: np.zeros(3) + x, lambda x: np.concatenate([x]), lambda x: x[np.arange(2)],
        lambda x: x.max(initial=0), lambda x: cupy.concatenate([x, np.zeros(3)]), lambda x: 1.0 if x[0] > 0 else 0.0,
        lambda x: sum(value for value in x), lambda x: x.__setitem__(0, np.zeros(1)),
    )  # fmt: skip
    for copy in implicit:
        with pytest.raises(TypeError):
            copy(x)
    assert fake_cupy.log == {"up": 0, "down": 0}
    assert (cupy.asnumpy(np.float32(2) * cupy.asarray(np.ones(2), np.float32)) == 2).all()
    assert fake_cupy.log == {"up": 1, "down": 1}
