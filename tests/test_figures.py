"""Every figure is drawn in both languages, and the numbers in it show what its title says."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "figures"
NAMES = ("bound", "cg", "cliff", "clip", "gae", "importance", "invariance", "kl_ellipses", "pixels")


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def numbers(name):
    return importlib.import_module(name).data()


def test_every_figure_is_tested_and_its_pictures_are_in_the_book():
    assert sorted(path.stem for path in FOLDER.glob("[a-z]*.py")) == list(NAMES)
    for name in NAMES:
        for suffix in (".svg", ".zh.svg"):
            assert (ROOT / "docs" / "book" / "figures" / f"{name}{suffix}").stat().st_size < 150_000


@pytest.mark.parametrize("name", NAMES)
def test_a_script_draws_its_figure_and_the_same_bytes_again(name, tmp_path):
    script, first = importlib.import_module(name), tmp_path / "first.svg"
    command = [sys.executable, str(FOLDER / f"{name}.py"), "-o", str(first)]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=tmp_path)
    style, files = importlib.import_module("_style"), []
    for language in ("en", "zh"):
        argv = ["-o", str(tmp_path / f"{language}.svg"), "--language", language]
        files.append(style.make(str(FOLDER / f"{name}.py"), script.data, script.draw, script.TEXTS, argv=argv))
    assert files[0].read_bytes() == first.read_bytes()
    assert len(files[0].read_bytes()) > 10_000
    assert bool(style.chinese_fonts()) == (files[1].read_bytes() != first.read_bytes())


def test_without_a_chinese_font_the_text_is_english_and_a_line_says_so(tmp_path, monkeypatch, capsys):
    style, script, files = importlib.import_module("_style"), importlib.import_module("clip"), []
    monkeypatch.setattr(style, "chinese_fonts", lambda: [])
    for language in ("en", "zh"):
        argv = ["-o", str(tmp_path / f"{language}.svg"), "--language", language]
        files.append(style.make("clip.py", script.data, script.draw, script.TEXTS, argv=argv).read_bytes())
    assert files[0] == files[1]
    assert capsys.readouterr().out.count("no Chinese font is installed") == 1


def test_the_plain_step_falls_off_the_cliff_and_the_trust_region_step_does_not():
    found = numbers("cliff")
    plain, trust = found["plain_return"], found["trust_return"]
    fall = np.diff(plain).argmin()
    assert plain[fall] > plain[0] + 0.3  # it climbed first
    assert plain[fall + 1] < plain[0] - 0.5
    assert (plain[fall + 1 :] < plain[0]).all()  # and stays below
    assert (np.diff(trust) > 0).all()
    assert trust[-1] > plain.max()


def test_only_the_step_of_trpo_keeps_the_exact_kl():
    found = numbers("kl_ellipses")
    module = importlib.import_module("kl_ellipses")
    steps, kl = found["steps"], found["kl"]
    assert 0.5 * steps["plain"] @ steps["plain"] == pytest.approx(module.LARGE)
    assert found["half_square"]["natural"] == pytest.approx(module.LARGE)
    assert kl["plain"] > kl["natural"] > module.LARGE >= kl["trpo"] > 0.8 * module.LARGE
    # the ellipse is narrower in μ where σ is smaller, and it is near the exact ball
    spans = []
    for centre, exact, quadratic in zip(module.CENTRES, found["exact"], found["quadratic"], strict=False):
        inside = exact <= module.SMALL
        spans.append((centre[1], np.ptp(found["mean"][inside.any(axis=0)])))
        both, either = (inside & (quadratic <= module.SMALL)).sum(), (inside | (quadratic <= module.SMALL)).sum()
        assert both > 0.7 * either
    assert [span for _, span in sorted(spans)] == sorted(span for _, span in spans)


def test_the_bound_is_below_the_return_touches_it_and_its_maximum_climbs():
    found = numbers("bound")
    J, at = found["J"], found["at"]
    for place, bound in zip(at, found["bounds"], strict=False):
        assert (bound <= J + 1e-12).all()
        assert bound[place] == pytest.approx(J[place], abs=1e-12)
    assert (np.diff(J[at]) > 0.01).all()
    assert (found["local"][0] > J + 0.01).any()  # L alone is not a bound


def test_the_clip_has_no_gradient_where_the_gain_is_too_far_and_all_of_it_elsewhere():
    found = numbers("clip")
    ratio, epsilon = found["ratio"], importlib.import_module("clip").EPSILON
    for sign in (1, -1):
        (clipped, slope), (unclipped, _) = found["clipped", sign], found["unclipped", sign]
        beyond = sign * (ratio - 1) > epsilon + 1e-9
        inside = sign * (ratio - 1) < epsilon - 1e-9
        assert (clipped <= unclipped + 1e-12).all()
        assert (slope[beyond] == 0).all()
        np.testing.assert_allclose(slope[inside], sign * ratio[inside])
        # both gradients in log π are those of the curves above them
        for name in ("clipped", "penalised"):
            value, gradient = found[name, sign]
            smooth = np.abs(np.abs(ratio - 1) - epsilon)[1:-1] > 0.01
            np.testing.assert_allclose(
                (np.gradient(value, ratio) * ratio)[1:-1][smooth], gradient[1:-1][smooth], atol=3e-3
            )


def test_the_estimates_scatter_as_the_variance_says_and_the_effective_size_falls():
    found = numbers("importance")
    np.testing.assert_allclose(found["truth"], found["mean"])
    assert (np.diff(found["deviation"]) > 0).all()
    near = found["distance"] < 1.3
    z = (found["estimates"] - found["truth"][:, None])[near] / found["deviation"][near, None]
    assert 0.9 < (np.abs(z) < 2).mean() < 0.99
    assert 0.8 < z.std() < 1.2
    assert (np.diff(found["effective_theory"]) < 0).all()
    assert found["effective_theory"][-1] < 1 < np.median(found["effective"][-1])


def test_the_best_lambda_is_between_0_and_1_and_smaller_for_the_better_critic():
    found, best = numbers("gae"), {}
    for name, rows in found.items():
        assert (np.diff(rows["bias"]) < 0).all()
        assert rows["bias"][-1] < 1e-20
        assert rows["variance"][-1] > 2 * rows["variance"][0] or name == "poor"
        assert rows["z"].max() < 4  # the sampled gradient has the expectation that was computed
        total = rows["bias"] + rows["variance"]
        best[name] = total.argmin()
        assert total.min() < 0.9 * min(total[0], total[-1])
    assert 0 < best["good"] < best["poor"] < len(total) - 1


def test_the_a_norm_error_falls_at_every_product_the_residual_does_not_and_damping_helps():
    found = numbers("cg")
    for rows in found.values():
        assert (np.diff(rows["error"]) < 0).all()
        assert (np.diff(rows["residual"]) > 0).any()
    assert found["damped"]["error"][-1] < 1e-3 * found["none"]["error"][-1]


def test_the_natural_paths_coincide_and_the_plain_ones_do_not():
    found = numbers("invariance")
    nearest = lambda one, other: np.linalg.norm(one[:, None] - other[None], axis=-1).min(axis=1).max()
    for plain, plain_other in zip(found["plain", "logits"], found["plain", "other"], strict=True):
        assert nearest(plain_other, plain) > 0.03
    np.testing.assert_allclose(found["natural", "logits"], found["natural", "other"], atol=2e-3)


def test_few_pixels_move_and_the_filter_answers_at_edges_alone():
    pytest.importorskip("ale_py")
    found = numbers("pixels")
    assert 10 < np.count_nonzero(found["difference"]) < 100
    screen, edges = found["screen"].astype(int), found["edges"]
    step = screen[:, 2:] - screen[:, :-2]
    np.testing.assert_array_equal(edges, step[:-2] + step[1:-1] + step[2:])
