"""The house stands as drawn: imports point down, twins are alike, importing minipg imports little."""

import ast
import configparser
import inspect
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from host_cuda import host_cupy
from mutations import planted, slips

import minipg

ROOT = Path(__file__).parent.parent

# lower floors first; modules of one floor do not import each other
FLOORS = [
    ["minipg.kernels", "minipg.kernels.reference", "minipg.kernels.cpu", "minipg.kernels.cpu.classic_control",
     "minipg.kernels.gpu", "minipg.kernels.gpu.classic_control"],
    ["minipg.kernels._quadrature", "minipg.kernels._layers", "minipg.kernels.reference._namespace",
     "minipg.kernels.cpu._cache", "minipg.kernels.cpu._tanh", "minipg.kernels.cpu._bind",
     "minipg.kernels.gpu._cuda", "minipg.kernels.gpu._work"],
    ["minipg.kernels.gpu._arrays", "minipg.kernels.gpu._rows", "minipg.kernels.cpu._jit"],
    ["minipg.kernels.cpu._task_queue"],
    ["minipg.kernels.cpu._spin_wait", "minipg.kernels.cpu._lines", "minipg.kernels.cpu._rota"],
    [f"minipg.kernels.{twin}.{name}" for twin in ("reference", "cpu")
     for name in ("mlp", "categorical", "gaussian", "bernoulli", "returns", "surrogate", "optimizer", "moments",
                  "distribution_params", "shuffling")],
    [f"minipg.kernels.{twin}.{name}" for twin in ("reference", "cpu")
     for name in ("regression", "fisher", "multicategorical", "squashed")],
    [f"minipg.kernels.{twin}.{name}" for twin in ("reference", "cpu")
     for name in ("policy_gradient", "surrogate_epochs", "surrogate_value", "act")],
    ["minipg.kernels.cpu._fisher_threads", "minipg.kernels.cpu._address"],
    [f"minipg.kernels.gpu.{name}" for name in ("mlp", "categorical", "gaussian", "bernoulli", "returns", "surrogate",
                                                "optimizer", "moments", "distribution_params")],
    [f"minipg.kernels.gpu.{name}" for name in ("regression", "fisher", "multicategorical", "squashed")],
    [f"minipg.kernels.gpu.{name}" for name in ("policy_gradient", "surrogate_epochs", "surrogate_value", "act")],
    [f"minipg.kernels.cpu.classic_control.{name}" for name in ("_square", "stream")],
    [f"minipg.kernels.cpu.classic_control.{name}" for name in ("cartpole", "acrobot", "mountain_car", "pendulum")],
    ["minipg.kernels.cpu.classic_control.mountain_car_continuous"],
    ["minipg.kernels.cpu.classic_control.batch"],
    ["minipg.kernels.cpu.classic_control.rollout"],
    ["minipg.kernels.cpu.classic_control.updates"],
    [f"minipg.kernels.cpu.classic_control.{name}" for name in ("a2c", "ppo")],
    [f"minipg.kernels.gpu.classic_control.{name}" for name in ("batch", "stream")],
    ["minipg.kernels.gpu.classic_control.rollout", "minipg.kernels.gpu.shuffling"],
    ["minipg.errors", "minipg.runtime", "minipg.runtime.interrupts", "minipg.runtime.signals"],
    ["minipg.checks"],
    ["minipg.runtime.threads", "minipg.runtime.compiling"],
    ["minipg.runtime.backend", "minipg.runtime.storage", "minipg.runtime.progress"],
    ["minipg.parameters", "minipg.conjugate_gradient", "minipg.line_search"],
    ["minipg.gradient_check.errors", "minipg.gradient_check.numeric", "minipg.gradient_check.diagnosis"],
    ["minipg.gradient_check.arguments"],
    ["minipg.gradient_check.function", "minipg.gradient_check.rounding"],
    ["minipg.gradient_check.comparison"],
    ["minipg.gradient_check.identities"],
    ["minipg.gradient_check"],
    ["minipg.gradient_check.strategies"],
    ["minipg.network", "minipg.distribution", "minipg.returns"],
    ["minipg.policy", "minipg.value"],
    ["minipg.runtime.fisher_threads"],
    ["minipg.fisher", "minipg.objective"],
    ["minipg.envs.faults"],
    ["minipg.envs.guard", "minipg.envs.messages", "minipg.envs.problems", "minipg.envs.register", "minipg.envs.spaces"],
    ["minipg.envs.compiled", "minipg.envs.device", "minipg.envs.pool", "minipg.envs.processes"],
    ["minipg.envs.make", "minipg.envs.snapshots"],
    ["minipg.envs"],
    ["minipg.rollout.batch", "minipg.rollout.normalizer"],
    ["minipg.rollout.compiled", "minipg.rollout.device"],
    ["minipg.rollout.collector"],
    ["minipg.rollout.vine"],
    ["minipg.rollout"],
    [f"minipg.algorithms.{name}" for name in ("advantages", "presets", "config", "optimizers", "agent_file")],
    ["minipg.algorithms.surrogate", "minipg.algorithms.natural_gradient"],
    ["minipg.algorithms.dual"],
    ["minipg.algorithms.agent", "minipg.algorithms.critic"],
    ["minipg.algorithms.compiled_updates"],
    ["minipg.algorithms.compiled"],
    ["minipg.algorithms.compiled_a2c", "minipg.algorithms.compiled_ppo"],
    [f"minipg.algorithms.{name}" for name in ("reinforce", "vpg", "a2c", "npg", "trpo", "ppo", "precompile")],
    ["minipg.algorithms"],
    [f"minipg.runs.{name}"
     for name in ("metrics", "recorder", "pictures", "evaluate", "checkpoints", "events", "precompile")],
    [f"minipg.runs.{name}" for name in ("folder", "callbacks", "seeds")],
    [f"minipg.runs.{name}" for name in ("find", "curve", "curves", "render")],
    [f"minipg.runs.{name}" for name in ("train", "diagnostics", "watch")],
    ["minipg.runs"],
    ["minipg"],
    ["minipg.theory.case", "minipg.theory.mirrored", "minipg.theory.finite_mdp"],
    ["minipg.theory.networks", "minipg.theory.distributions", "minipg.theory.returns", "minipg.theory.fits"],
    ["minipg.theory.policies", "minipg.theory.objectives"],
    ["minipg.theory.twins"],
    ["minipg.theory"],
    ["minipg.theory.strategies"],
    ["minipg.theory.report"],
    ["minipg.bench"],
    ["minipg.bench.interleaved", "minipg.bench.operation_counts"],
    ["minipg.bench.machine", "minipg.bench.startup", "minipg.bench.table"],
    ["minipg.bench.peers", "minipg.bench.picture"],
    ["minipg.bench.products"],
    ["minipg.bench.training"],
    ["minipg.bench.rows", "minipg.bench.stages"],
    ["minipg.commands.parsing"],
    ["minipg.commands.seeds"],
    [f"minipg.commands.{name}" for name in ("train", "evaluate", "plot", "watch", "check", "bench", "listing")],
    ["minipg.commands"],
    ["minipg.cli"],
]  # fmt: skip
FLOOR = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}
FRAMEWORKS = {"torch", "jax", "tensorflow", "stable_baselines3", "sb3_contrib"}
PEERS = "minipg.bench.peers"


def modules():
    for folder, package in (("minipg", "minipg"), ("kernels", "minipg.kernels")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *(p for p in parts if p != "__init__")]), path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_its_floor():
    assert {name for name, _ in modules()} == set(FLOOR)


@pytest.mark.parametrize("name,path", list(modules()), ids=lambda value: str(value).rpartition("/")[2])
def test_imports_point_down(name, path):
    for imported in imports(path):
        top = imported.partition(".")[0]
        assert top != "kernels", f"{name} imports {imported}"
        assert top not in FRAMEWORKS or name == PEERS, f"{name} imports {imported}"
        if imported in FLOOR and imported != "minipg":
            assert FLOOR[imported] < FLOOR[name], f"{name} imports {imported}, which is not below it"


def test_the_peers_are_imported_only_inside_the_functions_that_measure_them():
    path = dict(modules())[PEERS]
    assert {name.partition(".")[0] for name in imports(path)} & FRAMEWORKS
    code = "import sys, minipg.bench.rows, minipg.bench.stages, minipg.commands.bench; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    assert not FRAMEWORKS & set(loaded.split())


def twin_files():
    return sorted(path.stem for path in (ROOT / "kernels/reference").glob("[a-z]*.py"))


@pytest.mark.parametrize("twin", ["cpu", "gpu"])
def test_twins_have_the_same_files(twin):
    assert twin_files() == sorted(path.stem for path in (ROOT / "kernels" / twin).glob("[a-z]*.py"))


@pytest.mark.parametrize("file", twin_files())
def test_twins_share_names_and_signatures(file):
    def public(module):
        functions = vars(module).items()
        own = {k: getattr(f, "py_func", f) for k, f in functions if callable(f) and not k.startswith("_")}
        return {k: str(inspect.signature(f)) for k, f in own.items() if f.__module__ == module.__name__}

    reference = public(import_module(f"minipg.kernels.reference.{file}"))
    assert reference
    assert reference == public(import_module(f"minipg.kernels.cpu.{file}"))
    with host_cupy():
        assert reference == public(import_module(f"minipg.kernels.gpu.{file}"))


def test_what_a_kernel_is_a_factory_of_has_the_same_signature_in_all_twins():
    def made(twin):
        of = lambda file: import_module(f"minipg.kernels.{twin}.{file}")
        for file, names in (
            ("surrogate_epochs", ("gradient", "climb")),
            ("policy_gradient", ("gradient", "from_observations")),
            ("surrogate_value", ("evaluate",)),
            ("act", ("act",)),
        ):
            for name in names:
                kernel = getattr(of(file), name)("categorical")
                yield f"{file}.{name}", str(inspect.signature(getattr(kernel, "py_func", kernel)))

    with host_cupy():
        assert dict(made("gpu")) == dict(made("reference")) == dict(made("cpu"))


def test_an_install_has_every_file_of_the_cuda_twin():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    installed, packages = settings["options.package_data"], settings["options"]["packages"].split()
    for path in (ROOT / "kernels/gpu").rglob("*.cu*"):
        package = ".".join(["minipg", *path.parent.relative_to(ROOT).parts])
        assert package in packages
        assert any(path.match(pattern.strip()) for pattern in installed[package].split(",")), path


def test_importing_minipg_imports_no_extra_and_no_picture_library():
    code = "import sys; from minipg import *; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    unwanted = {"matplotlib", "rich", "tyro", "mujoco", "torch", "jax", "hypothesis", "cupy", "envpool", "tensorboard"}
    assert not (unwanted | {"numba", "minipg.envs.compiled"}) & set(loaded.split())


def test_the_gradient_checker_needs_numpy_alone():
    code = "import sys, minipg.gradient_check; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    installed = {name.partition(".")[0] for name in loaded.split()} & set(packages_distributions())
    assert installed - {"minipg", "_distutils_hack", "sitecustomize"} == {"numpy"}


@pytest.mark.parametrize(
    "code",
    ["import minipg, gymnasium", "import gymnasium, minipg", "import minipg.gradient_check, gymnasium"],
)
def test_gymnasium_knows_the_ids_whichever_is_imported_first(code):
    code += "; gymnasium.make('minipg/CartPole-v1').reset()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_a_function_with_the_name_of_its_module_is_the_function():
    code = "import minipg.line_search, minipg.fisher, minipg; assert callable(minipg.line_search)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = minipg.nonsense
    assert {"PPO", "load", "line_search"} <= set(dir(minipg))


def test_no_public_name_is_without_a_docstring():
    for name, path in modules():
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), name
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{name}.{node.name}"


def test_every_planted_slip_has_a_place():
    for slip in slips():
        text = (ROOT / slip.file).read_text()
        assert planted(slip, text) not in (None, text), (slip.file, slip.name)
