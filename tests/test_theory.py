"""The laws hold on every backend and dtype, `minipg check` reports it, and every equation has a law or a theorem."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from minipg.kernels.reference import categorical

from minipg import Backend, conjugate_gradient
from minipg.cli import main
from minipg.conjugate_gradient import CGResult
from minipg.policy import NetworkPolicy
from minipg.theory import LAWS, Case, check_law
from minipg.theory import policies as policy_laws


@pytest.mark.parametrize(
    "twin,dtype",
    [("numpy", np.float64), ("numba", np.float64), ("numba", np.float32),
     pytest.param("numpy", np.float32, marks=pytest.mark.slow)],
)  # fmt: skip
@pytest.mark.parametrize("law", LAWS)
def test_law(law, twin, dtype):
    verdict = check_law(LAWS[law], Backend(twin, 1), dtype, examples=40)
    assert verdict.held, verdict


def test_every_equation_has_a_law_or_a_theorem_with_its_id():
    wanted = {"PG": 13, "DI": 9, "IS": 4, "TR": 11, "PP": 4}
    ids = {f"{part}{n}" for part, last in wanted.items() for n in range(1, last + 1)} | {"AC1", "AC3"}
    names = [*LAWS]
    for path in Path(__file__).parent.glob("test_*.py"):
        names += [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    named = {word for name in names if name in LAWS or name.startswith("test_") for word in name.split("_")}
    assert ids - named == set()


def score_without_p(logits, act, out):
    """∇log π without its − p."""
    out[...] = act[:, None] == np.arange(logits.shape[1])


def test_check_finds_a_broken_kernel_names_its_laws_and_exits_with_one(monkeypatch, capsys):
    monkeypatch.setattr(categorical, "score", score_without_p)
    assert main(["check", "--backend", "numpy", "--examples", "10", "--json"]) == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out.splitlines()[-1])
    broken = {row["law"] for row in report["laws"] if row["failure"]}
    assert not report["held"]
    assert {"score_has_mean_zero_DI2", "score_is_the_derivative_of_log_prob_DI1_DI4"} <= broken
    assert "kl_is_the_expected_log_ratio_from_old_to_new_DI6" not in broken
    assert "score_has_mean_zero_DI2 does not hold on numpy float64: example" in printed.err


def solved_in_one_step(product, b, iterations=10):
    return conjugate_gradient(product, b, 1)


def steepest_descent(product, b, iterations=10):
    x, r = np.zeros_like(b), b.copy()
    for _ in range(iterations):
        step = b.dtype.type(r @ r / (r @ product(r)))
        x, r = x + step * r, r - step * product(r)
    return CGResult(x, float(np.linalg.norm(r)), float(x @ (b - r)), iterations, "iterations")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("solver", [solved_in_one_step, steepest_descent])
def test_a_solver_that_is_not_conjugate_gradient_fails_its_law_TR10(solver, dtype, monkeypatch):
    law = policy_laws.conjugate_gradient_is_the_best_of_its_krylov_space_TR10
    monkeypatch.setattr(policy_laws, "conjugate_gradient", solver)
    assert not check_law(law, Backend("numpy", 1), dtype, 25).held


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_error_of_one_percent_in_the_fisher_product_fails_its_law_TR9(dtype, monkeypatch):
    product = NetworkPolicy.fisher_product

    def off(self, theta, tape, v):
        wrong = self.backend.name == "numba" and len(tape.params) > 4  # in batches that are not tiny
        return product(self, theta, tape, v) * theta.dtype.type(1.01 if wrong else 1)

    monkeypatch.setattr(NetworkPolicy, "fisher_product", off)
    for seed in range(3):
        assert not check_law(LAWS["twins_agree_on_the_fisher_products_TR9"], Backend("numba", 1), dtype, 40, seed).held


def test_check_prints_a_row_for_every_law_backend_and_dtype(capsys):
    assert main(["check", "--examples", "2"]) == 0
    out = capsys.readouterr().out
    assert "" not in out.splitlines()  # the progress bar leaves no empty line
    assert f"{4 * len(LAWS)} of {4 * len(LAWS)} held" in out
    assert all(out.count(f"{law} ") == 4 for law in LAWS)


def test_second_differences_that_agree_by_chance_are_not_taken_for_exact_DI8():
    # the third derivative of the bounded log σ jumps at 0, so extrapolation converges slowly there
    case = Case(Backend("numpy", 1), np.float64, np.random.default_rng((0, 331)), 8)
    assert policy_laws.the_fisher_product_is_the_hessian_of_the_mean_kl_DI8_TR6(case) <= 1


def test_a_law_that_raises_or_returns_nan_does_not_hold():
    verdict = check_law(lambda case: 1 / 0, Backend("numpy", 1), np.float64, 5)
    assert not verdict.held
    assert "ZeroDivisionError" in verdict.failure
    assert verdict.examples == 1
    assert not check_law(lambda case: float("nan"), Backend("numpy", 1), np.float64, 5).held


@pytest.mark.parametrize(
    ("args", "message"),
    [(["--examples", "0"], "examples: expected an integer ≥ 1"), (["--backend", "nupmy"], "did you mean numpy"),
     (["--seed", "-1"], "seed: expected an integer ≥ 0"), (["CartPole-v1"], "minipg check --help")],
)  # fmt: skip
def test_check_refuses_a_wrong_argument_by_name(args, message, capsys):
    assert main(["check", *args]) == 2
    assert message in capsys.readouterr().err
