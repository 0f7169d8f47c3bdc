"""Statistics over environments and seeds, as theorems; and the picture that `minipg plot --compare` draws of them."""

from functools import partial

import numpy as np
import pytest
from folders import curve, refused, write_run
from matplotlib.figure import Figure

from minipg.cli import main
from minipg.runs.aggregates import (
    estimate,
    interquartile_mean,
    mean,
    normalized,
    performance_profile,
    pooled,
    probability_of_improvement,
)

RNG = np.random.default_rng(0)
A = {"x": RNG.normal(size=5), "y": RNG.normal(size=3)}
B = {"x": RNG.normal(0.5, size=4), "y": RNG.normal(0.5, size=6)}
THRESHOLDS = np.linspace(-3, 3, 50)
STATISTICS = {"mean": mean, "interquartile mean": interquartile_mean,
              "profile": partial(performance_profile, thresholds=THRESHOLDS)}  # fmt: skip


def test_the_interquartile_mean_of_equal_numbers_is_that_number_and_its_interval_a_point():
    assert tuple(estimate(interquartile_mean, {"x": np.full(5, 3.0), "y": np.full(2, 3.0)})) == (3, 3, 3)


def test_the_interquartile_mean_ignores_how_far_the_extreme_quarters_lie():
    runs = np.array([-1e9, 1, 2, 3, 4, 5, 6, 1e9])
    assert interquartile_mean({"x": runs}) == interquartile_mean({"x": runs[:3], "y": runs[3:]}) == 3.5


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_of_resamples_along_a_first_axis_is_that_of_each_of_them(name):
    drawn = {env: RNG.normal(size=(7, len(runs))) for env, runs in A.items()}
    each = [STATISTICS[name]({env: runs[k] for env, runs in drawn.items()}) for k in range(7)]
    np.testing.assert_allclose(STATISTICS[name](drawn), each, rtol=1e-12)


def test_a_performance_profile_falls_from_one_to_zero_and_its_area_is_the_mean():
    runs = {"x": RNG.uniform(size=20), "y": RNG.uniform(size=30)}
    thresholds = np.linspace(0, 1, 100_001)
    profile = performance_profile(runs, thresholds)
    assert (profile[0], profile[-1]) == (1, 0)
    assert (np.diff(profile) <= 0).all()
    assert np.trapezoid(profile, thresholds) == pytest.approx(mean(runs), abs=1e-5)


def test_the_probabilities_of_improvement_both_ways_add_up_to_one():
    draws = {env: np.round(runs) for env, runs in A.items()}, {env: np.round(runs) for env, runs in B.items()}
    for a, b in ((A, B), draws):
        assert probability_of_improvement(a, b) + probability_of_improvement(b, a) == pytest.approx(1, abs=1e-15)
    assert probability_of_improvement(A, A) == 0.5
    assert probability_of_improvement({"x": A["x"] + 10}, A) == 1


def test_the_probability_of_improvement_is_a_mean_over_environments_counted_by_hand():
    a, b = {"x": np.array([1.0, 3]), "y": np.array([0.0])}, {"x": np.array([2.0, 3]), "y": np.array([1.0, 2, 3])}
    assert probability_of_improvement(a, b) == pytest.approx(((0 + 0 + 1 + 0.5) / 4 + 0) / 2)


def test_the_probability_of_improvement_does_not_change_with_the_scale_of_an_environment():
    scaled = normalized({"a": A, "b": B}, {"x": -5.0, "y": 3.0}, {"x": 7.0, "y": 100.0})
    assert probability_of_improvement(scaled["a"], scaled["b"]) == probability_of_improvement(A, B)


def test_normalised_scores_are_zero_at_the_low_end_and_one_at_the_high_end():
    scaled = normalized({"a": {"x": np.array([-4.0, 0, 4])}}, {"x": -4.0}, {"x": 4.0})["a"]["x"]
    np.testing.assert_array_equal(scaled, [0, 0.5, 1])
    np.testing.assert_array_equal(normalized({"a": {"x": np.array([2.0])}}, {"x": 2.0}, {"x": 2.0})["a"]["x"], [0])


def test_the_bootstrap_is_stratified_so_what_only_environments_differ_by_does_not_widen_the_interval():
    apart = {env: np.full(3, float(k)) for k, env in enumerate("abcdefg")}
    assert tuple(estimate(mean, apart)) == (3, 3, 3)


def test_the_interval_of_a_mean_is_that_of_its_normal_limit():
    runs = {"x": RNG.normal(size=400), "y": RNG.normal(5, 2, size=400)}
    found = estimate(mean, runs)
    error = np.sqrt(sum(scores.var() for scores in runs.values()) / 400) / 2
    np.testing.assert_allclose((found.low, found.high), mean(runs) + 1.96 * error * np.array([-1, 1]), atol=0.2 * error)
    assert pooled(runs).shape == (800,)


# ---- minipg plot --compare -----------------------------------------------------------------------------------------


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, instead of their files' content."""
    seen = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **_: (seen.append(figure), file.write(b"picture")))
    return seen


def test_a_comparison_scales_each_environment_by_its_own_runs_and_shows_shared_ones_only(tmp_path, figures, capsys):
    for env, scores in {"A": {"trpo": [0, 10], "ppo": [20]}, "B": {"trpo": [-3000, -1000], "ppo": [-2000]}}.items():
        for name, values in scores.items():
            for seed, value in enumerate(values):
                write_run(tmp_path / f"{name}{env}{seed}", curve([100, 400], [99, value]), name, env, seed)
    write_run(tmp_path / "alone", curve([100], [7]), "trpo", "C", 0)
    assert main(["plot", str(tmp_path), "--compare"]) == 0
    said = capsys.readouterr().out.splitlines()
    names = ("trpo", "ppo") if said[0].startswith("trpo") else ("ppo", "trpo")
    by_hand = {"trpo": "0.250", "ppo": "0.750"}  # of 0, 0.5, 0, 1 without the lowest and the highest; of 1, 0.5
    assert [line.split(" (")[0] for line in said[:2]] == [f"{n}: interquartile mean {by_hand[n]}" for n in names]
    better = {"trpo": 0.25, "ppo": 0.75}[names[0]]  # in A never and always, in B half
    assert said[2].startswith(f"{names[0]} > {names[1]}: probability {better:.3f}")
    assert said[3] == str(tmp_path / "comparison.png")
    assert [axes.get_title() for axes in figures[0].axes] == [
        "Performance profiles", "Interquartile mean", "Probability of improvement"]  # fmt: skip
    assert "2 environments" in figures[0].get_suptitle()


def test_a_comparison_without_two_algorithms_in_one_environment_is_refused(tmp_path, capsys):
    write_run(tmp_path / "a", curve([1, 2], [1, 2]), "trpo", "A")
    refused(capsys, tmp_path, "plot", tmp_path, "--compare", says="two algorithms")
    write_run(tmp_path / "b", curve([1, 2], [1, 2]), "ppo", "B")
    refused(capsys, tmp_path, "plot", tmp_path, "--compare", says="no environment has runs of all")
