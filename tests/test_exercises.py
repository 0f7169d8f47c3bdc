"""`minipg exercise`: files without bodies fail, the library's solutions pass, and typical mistakes are named."""

import ast
import inspect
import re

import numpy as np
import pytest
import solutions

from minipg.cli import main
from minipg.exercises import CHAPTERS, EXERCISES, check_answer
from minipg.exercises.sheet import functions_in, ids_of

EACH = [pytest.param(exercise, id=exercise.name) for two in EXERCISES.values() for exercise in two]
NAMED = {param.id: param.values[0] for param in EACH}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(exercise, change):
    """The solution with a change of its result."""

    def wrong(*args):
        out = exercise.solution(*args)
        return {name: change(part) for name, part in out.items()} if isinstance(out, dict) else change(out)

    return wrong


def test_every_chapter_has_two_exercises_with_ids():
    assert set(CHAPTERS) == set(EXERCISES)
    assert all(len({exercise.name for exercise in two}) == 2 for two in EXERCISES.values())
    assert all(ids_of(exercise) for two in EXERCISES.values() for exercise in two)


@pytest.mark.parametrize("exercise", EACH)
def test_the_librarys_solution_passes(exercise):
    verdict = check_answer(exercise, exercise.solution)
    assert not verdict.failure, verdict


@pytest.mark.parametrize("exercise", EACH)
def test_a_solution_by_hand_passes(exercise):
    verdict = check_answer(exercise, getattr(solutions, exercise.name))
    assert not verdict.failure, verdict


@pytest.mark.parametrize("exercise", EACH)
@pytest.mark.parametrize(
    ("change", "cause"), [(np.negative, "a wrong sign"), (lambda x: 2 * x, "a factor of 2"), (lambda x: 0 * x, "zero")]
)
def test_a_sign_a_factor_and_a_missing_derivative_are_named(exercise, change, cause):
    verdict = check_answer(exercise, changed(exercise, change))
    assert verdict.failure.startswith("wrong at ")
    assert cause in verdict.details[3]
    assert [line.split()[0] for line in verdict.details[:3]] == ["yours", "by", "ratio"]


@pytest.mark.parametrize("exercise", EACH)
def test_a_transposed_answer_fails(exercise):
    """A wrong shape, or a transposed matrix; a vector is its own transpose."""
    out = exercise.solution(*arguments(exercise, 2))
    verdict = check_answer(exercise, changed(exercise, lambda x: x.T))
    flat = not isinstance(out, dict) and out.ndim == 1
    assert bool(verdict.failure) != flat


def arguments(exercise, size):
    """The arguments of an answer for one problem, with a direction if it takes one."""
    problem = exercise.draw(np.random.default_rng(0), size)
    inputs = list(problem.arguments(problem.x).values())
    missing = len(inspect.signature(exercise.solution).parameters) - len(inputs)
    like = {"check_jvp": problem.x, "check_hessian_product": problem.x}.get(exercise.check.__name__)
    return [*inputs, *([np.ones_like(problem.f(problem.x) if like is None else like)] * missing)]


MISTAKES = {  # what a reader may write, and what the check says
    "softmax_score": (lambda logits, act: np.eye(logits.shape[1])[act], "wrong at logits[0, 0]", ""),
    "policy_fisher_product": (
        lambda W, obs, v: len(obs) * NAMED["policy_fisher_product"].solution(W, obs, v), "wrong at W[0, 0]", "1/N",
    ),
    "clip_gradient": (
        lambda logp, logp_old, adv, clip_range: np.exp(logp - logp_old) * adv, "wrong at logp[", "zero|single|missing",
    ),
    "energy_gradient": (lambda x, A, b: 0.5 * A @ x - b, "wrong at x[0]", "term"),
    "gradient_of_unequal_shares": (lambda gradients, rows: gradients.mean(axis=0), "wrong at theta[", ""),
    "critic_gradient": (lambda theta, obs, target: 1.0, "expected", ""),
    "credit": (lambda gamma, u: u + undefined, "NameError", ""),  # noqa: F821
    "gaussian_score": (lambda params, act: None, "it returns None", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_typical_mistakes_are_found_and_explained(name):
    answer, failure, cause = MISTAKES[name]
    verdict = check_answer(NAMED[name], answer)
    assert failure in verdict.failure
    assert re.search(cause, "\n".join(verdict.details))
    assert "the smallest example that fails:" in verdict.details


def test_the_smallest_example_is_the_first_size_that_fails():
    """A missing 1/N is right for one row."""
    exercise = NAMED["ratio_gradient"]
    verdict = check_answer(exercise, lambda z, old, act, adv: len(adv) * exercise.solution(z, old, act, adv))
    text = "\n".join(verdict.details)
    act = ast.literal_eval(re.search(r"act = (\[.*?\])", text)[1])
    assert len(act) == 2
    assert "a factor of 4: a missing 1/N" in text  # of the largest example, where it is no factor of 2


# the command


@pytest.mark.parametrize("chapter", EXERCISES)
def test_an_untouched_file_fails_with_a_clear_line_and_is_not_written_twice(chapter, folder, capsys):
    assert main(["exercise", str(chapter)]) == 0
    (path,) = folder.iterdir()
    assert path.name == f"exercise_{chapter:02}.py"
    assert "has two functions to write" in capsys.readouterr().out
    text = path.read_text()
    assert main(["exercise", str(chapter)]) == 1
    out = capsys.readouterr().out
    for exercise in EXERCISES[chapter]:
        assert f"{exercise.name} ({', '.join(ids_of(exercise))}): not written yet" in out
        written = functions_in(path)[exercise.name]
        assert inspect.getdoc(written) == exercise.text
        assert [*inspect.signature(written).parameters] == [*inspect.signature(exercise.solution).parameters]
    assert path.read_text() == text


def test_a_file_with_the_right_bodies_passes_and_one_wrong_function_fails(folder, capsys):
    assert main(["exercise", "8"]) == 0
    text = (folder / "exercise_08.py").read_text()
    first, second = "return A @ x - b", "return np.linalg.solve(A, u)"
    head, *bodies = text.split("raise NotImplementedError")
    (folder / "exercise_08.py").write_text(head + first + bodies[0] + second + bodies[1])
    capsys.readouterr()
    assert main(["exercise", "8"]) == 0
    assert capsys.readouterr().out.count(": passed") == 2
    (folder / "exercise_08.py").write_text(head + first + bodies[0] + "return -np.linalg.solve(A, u)" + bodies[1])
    assert main(["exercise", "8"]) == 1
    out = capsys.readouterr().out
    assert "energy_gradient (TR-10): passed" in out
    assert re.search(r"solve_pullback \(TR-10\): wrong at b\[0\]\n.*looks like a wrong sign\n.*smallest", out, re.S)
    assert "minipg exercise 8 --solution" in out


@pytest.mark.parametrize(
    ("text", "line"),
    [("def f(:", "exercise_03.py, line 1: "), ("1 / 0", "exercise_03.py: ZeroDivisionError: division by zero")],
)
def test_a_file_that_cannot_be_executed_is_one_line(text, line, folder, capsys):
    (folder / "exercise_03.py").write_text(text)
    assert main(["exercise", "3"]) == 2
    assert capsys.readouterr().err.startswith(f"minipg: {line}")


def test_a_function_that_is_missing_is_named(folder, capsys):
    (folder / "exercise_02.py").write_text("")
    assert main(["exercise", "2"]) == 1
    assert "credit (PG-7): not in exercise_02.py" in capsys.readouterr().out


@pytest.mark.parametrize("chapter", EXERCISES)
def test_solutions_are_the_librarys_functions_with_their_source(chapter, folder, capsys):
    assert main(["exercise", str(chapter), "--solution"]) == 0
    out = capsys.readouterr().out
    for exercise in EXERCISES[chapter]:
        assert inspect.getsource(exercise.solution) in out
        for function in exercise.shown:
            assert function.__module__.startswith("minipg.")
            assert not function.__module__.startswith("minipg.exercises")
            assert f"# {function.__module__}.{function.__qualname__}\n" in out
    assert not [*folder.iterdir()]


def test_the_chapters_are_listed_and_wrong_arguments_are_one_line(capsys):
    assert main(["exercise"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == [str(chapter) for chapter in CHAPTERS]
    assert main(["exercise", "--help"]) == 0
    assert "minipg executes it" in capsys.readouterr().out
    for args, line in {
        ("0",): "expected a chapter from 1 to 14",
        ("seven",): "expected a chapter",
        ("7", "--solve"): "unknown flag '--solve'",
        ("7", "8"): "usage: minipg exercise",
        ("--solution",): "usage: minipg exercise",
    }.items():
        assert main(["exercise", *args]) == 2
        assert line in capsys.readouterr().err


def test_an_exercise_does_not_give_its_answer_away():
    """The docstring of each has a shape and an id, and the sheet has none of the solution's lines."""
    for two in EXERCISES.values():
        for exercise in two:
            body = inspect.getsource(exercise.solution).split('"""')[2]
            assert "→" in exercise.text
            assert not any(line.strip() in exercise.text for line in body.splitlines() if line.strip())
