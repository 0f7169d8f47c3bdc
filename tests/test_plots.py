"""Pictures of runs show the numbers they should, and runs are found wherever they lie."""

import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from folders import curve, refused, write_run
from matplotlib.figure import Figure

from minipg import TRPO
from minipg.cli import main
from minipg.network import MLP
from minipg.policy import GaussianPolicy
from minipg.runs.curve import Axis, axes_of, draw_curve, short
from minipg.runs.curves import COLOURS, Curve, interquartile
from minipg.runs.diagnostics import running_median
from minipg.runs.find import find_runs
from minipg.runs.metrics import read_columns
from minipg.runs.pictures import BLUE, SKY_BLUE, thinned
from minipg.runtime.backend import Backend


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, instead of their files' content."""
    seen = []

    def save(figure, file, **_):
        seen.append(figure)
        file.write(b"picture")

    monkeypatch.setattr(Figure, "savefig", save)
    return seen


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def constant(seed, value, steps=(100, 400)):
    return Curve("trpo", "CartPole-v1", seed, np.array(steps, float), np.full(len(steps), float(value)))


# ---- learning curves -----------------------------------------------------------------------------------------------


def test_the_drawn_line_is_the_interquartile_mean_over_seeds_computed_by_hand(tmp_path, figures, capsys):
    for seed, value in enumerate((0, 10, 20, 100)):  # the lowest and the highest do not count
        write_run(tmp_path / f"runs/{seed}", curve([100, 400], [value, value + 30]), seed=seed)
    assert main(["plot", str(tmp_path / "runs"), "-o", str(tmp_path / "curves.png")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "curves.png")
    (line,) = panels(figures[0])["CartPole-v1"].get_lines()
    steps, drawn = line.get_data()
    assert (steps[0], steps[-1]) == (100, 400)
    np.testing.assert_allclose(drawn, 15 + 30 * (steps - 100) / 300)


def test_runs_of_different_steps_meet_by_interpolation():
    band = interquartile(
        [Curve("trpo", "e", 0, np.array([0.0, 400]), np.array([0.0, 400])),
         Curve("trpo", "e", 1, np.array([0.0, 100, 400]), np.array([200.0, 300, 600]))]
    )  # fmt: skip
    np.testing.assert_allclose(band.middle, band.steps + 100)


def test_the_band_is_as_wide_as_the_means_that_resampling_the_runs_gives():
    band = interquartile([constant(0, 0), constant(1, 8)])  # a quarter of all resamples is twice the same run
    np.testing.assert_allclose((band.low, band.middle, band.high), np.array([[0.0], [4], [8]]) + 0 * band.steps)
    alike = interquartile([constant(seed, 5) for seed in range(5)])
    np.testing.assert_array_equal(alike.low, alike.high)
    np.testing.assert_array_equal(interquartile([constant(0, 3)]).low, 3)


def test_a_line_ends_where_half_of_the_runs_have_ended():
    band = interquartile([constant(0, 0, (0, 100)), constant(1, 6, (0, 200)), constant(2, 9, (0, 400))])
    assert band.steps[-1] == pytest.approx(200)
    np.testing.assert_allclose(band.middle[band.steps <= 100], 5)
    np.testing.assert_allclose(band.middle[band.steps > 100], 7.5)


def test_there_is_a_panel_for_every_environment_and_a_line_in_its_own_colour_for_every_algorithm(tmp_path, figures):
    for algorithm, env, seed in [("trpo", "A", 0), ("trpo", "A", 1), ("ppo", "A", 0), ("ppo", "B", 0), ("own", "B", 0)]:
        write_run(tmp_path / f"{algorithm}{env}{seed}", curve([100, 400], [1, 2]), algorithm, env, seed)
    assert main(["plot", str(tmp_path), "-o", str(tmp_path / "x.png")]) == 0
    drawn = {env: {name: line.get_color() for name, line in lines(axes).items()}
             for env, axes in panels(figures[0]).items()}  # fmt: skip
    assert drawn == {
        "A": {"trpo (2)": COLOURS["trpo"], "ppo (1)": COLOURS["ppo"]},
        "B": {"ppo (1)": COLOURS["ppo"], "own (1)": "#000000"},
    }


def test_the_name_of_an_environment_fits_above_its_panel_whatever_its_length(tmp_path, figures):
    for number in range(3):
        env = f"some_package.environments:AnEnvironmentWithQuiteALongNameForATest-v{number}"
        write_run(tmp_path / str(number), curve([100, 400], [1, 2]), "ppo", env, 0)
    assert main(["plot", str(tmp_path), "-o", str(tmp_path / "x.png")]) == 0
    figures[0].draw_without_rendering()
    titles = [axes.title.get_window_extent() for axes in figures[0].axes]
    assert titles[0].x0 >= 0
    assert all(left.x1 < right.x0 for left, right in pairwise(titles))
    assert titles[-1].x1 <= figures[0].bbox.x1


def test_runs_of_different_settings_in_one_line_are_said(tmp_path, figures, capsys):
    write_run(tmp_path / "a", curve([1, 2], [1, 2]), max_kl=0.01)
    write_run(tmp_path / "b", curve([1, 2], [1, 2]), max_kl=0.02)
    assert main(["plot", str(tmp_path), "-o", str(tmp_path / "x.png")]) == 0
    assert "trpo on CartPole-v1: one line is the mean over runs of different settings" in capsys.readouterr().err


def test_a_damaged_run_among_others_is_passed_over_and_one_that_was_asked_for_is_refused(tmp_path, figures, capsys):
    write_run(tmp_path / "runs/a", curve([1, 2], [1, 2]))
    write_run(tmp_path / "runs/b", curve([1, 2], [1, 2]))
    write_run(tmp_path / "runs/begun", [])
    (tmp_path / "runs/c").mkdir()
    (tmp_path / "runs/c/config.json").write_text("{")
    refused(capsys, tmp_path, "plot", tmp_path / "runs/a", tmp_path / "runs/c", says="runs/c/config.json")
    refused(capsys, tmp_path, "plot", tmp_path / "runs/c", says="runs/c/config.json")
    refused(capsys, tmp_path, "plot", tmp_path / "runs/begun", says="nothing to draw")
    assert main(["plot", str(tmp_path / "runs"), "-o", str(tmp_path / "x.png")]) == 0
    assert [line.split(":")[1] for line in capsys.readouterr().err.splitlines()] == [" skipped"] * 2


def test_curves_and_sheets_go_where_no_output_says_so(tmp_path, monkeypatch, figures, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        write_run(tmp_path / name, curve([1, 2], [1, 2]))
    assert main(["plot", "a", "b"]) == 0
    assert main(["plot", "a"]) == 0
    assert capsys.readouterr().out.split() == ["curves.png", "a/diagnostics.png"]
    assert (tmp_path / "curves.png").exists()
    assert (tmp_path / "a/diagnostics.png").exists()


@pytest.mark.parametrize("output", ["picture.jpg", "picture", "no/such/folder/picture.png", "folder.png", ""])
def test_a_picture_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, monkeypatch, capsys, output):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", curve([1, 2], [1, 2]))
    (tmp_path / "folder.png").mkdir()
    refused(capsys, tmp_path, "plot", "run", "-o", output)


def test_what_is_no_run_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    refused(capsys, tmp_path, "plot", "empty", says="holds no run")
    refused(capsys, tmp_path, "plot", "nowhere", says="nowhere: no such folder")
    refused(capsys, tmp_path, "plot", says="usage")
    refused(capsys, tmp_path, "plot", "empty", "--outptu", "x.png", says="--output")


def test_an_interrupted_picture_leaves_nothing(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", curve([1, 2], [1, 2]))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    assert main(["plot", str(run)]) == 130
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "metrics.csv"]


# ---- the sheet of one run ------------------------------------------------------------------------------------------


def sheet(figures, run):
    assert main(["plot", str(run)]) == 0
    return panels(figures[-1])


def test_a_sheet_has_the_panels_of_its_columns_and_no_other(tmp_path, figures):
    few = sheet(figures, write_run(tmp_path / "few", curve([100, 200], [1, 2])))
    assert list(few) == ["Return", "KL of an update", "Throughput"]
    own = {"step_fraction": 0.8, "line_search_trials": 2, "cg_iterations": 10, "cg_residual": 1e-3, "entropy": 1.0,
           "explained_variance": 0.5, "clip_fraction": 0.1, "std_0": 1.0, "std_1": 0.5}  # fmt: skip
    full = sheet(figures, write_run(tmp_path / "full", [row | own for row in curve([100, 200], [1, 2])]))
    assert set(full) == {*few, "Step: share of the full one", "Line search: 2 of 2 accepted", "Entropy of the policy",
                         "CG residual after 10 iterations", "Explained variance of the critic",
                         "Clipped ratios", "σ of the policy's actions"}  # fmt: skip
    assert set(lines(full["σ of the policy's actions"])) == {"action 0", "action 1"}
    assert all(axes.get_xlabel() == "environment steps" and axes.get_ylabel() for axes in full.values())


def test_the_returns_of_a_sheet_and_of_curve_png_are_those_of_the_table(tmp_path, figures):
    axes = sheet(figures, write_run(tmp_path / "run", curve([100, 200, 300], [1, 5, 3])))["Return"]
    drawn = {name: line.get_xydata().tolist() for name, line in lines(axes).items()}
    assert drawn["last 100 episodes"] == [[100, 1], [200, 5], [300, 3]]
    assert drawn["one row's episodes"] == [[100, 2], [200, 6], [300, 4]]


def test_curve_png_has_a_dot_for_every_row_and_a_line_through_the_means(tmp_path):
    from PIL import Image

    columns = {"steps": np.array([100.0, 200, 300]), "batch_return": np.array([2.0, np.nan, 4]),
               "mean_return": np.array([1.0, 5, 3])}  # fmt: skip
    draw_curve(columns, "title", tmp_path / "curve.png")
    image = Image.open(tmp_path / "curve.png").convert("RGB")
    x, y = axes_of(columns["steps"], columns["batch_return"], columns["mean_return"])

    def near(step, value, colour):
        """Whether the picture has the colour at this place."""
        wanted = tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
        at = image.getpixel((round(x.pixels(step)), round(y.pixels(value))))
        return max(abs(a - b) for a, b in zip(at, wanted, strict=True)) < 60

    assert near(100, 2, SKY_BLUE)
    assert near(300, 4, SKY_BLUE)
    for step, value in ((100, 1), (150, 3), (200, 5), (250, 4)):
        assert near(step, value, BLUE)
    assert not near(200, 2, SKY_BLUE)
    assert not near(200, 2, BLUE)


@pytest.mark.parametrize("returns", [[np.nan, np.nan], [1e9, 1e9], [-5.0, -5.0], [0.0, 1e-12], [np.inf, 1.0]])
def test_a_curve_is_drawn_whatever_the_returns_are(tmp_path, returns):
    columns = {"steps": np.array([1.0, 2]), "mean_return": np.array(returns)}
    draw_curve(columns, "ünï 漢字", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_ticks_are_round_and_cover_the_axis():
    for low, high in ((0, 500_000), (-1.3, 4.2), (0, 1), (1e-3, 2e-3), (-2e9, 5e9)):
        ticks = Axis(low, high, 0, 100).ticks()
        steps = np.diff(ticks)
        assert 3 <= len(ticks) <= 9
        np.testing.assert_allclose(steps, steps[0])
        assert f"{steps[0]:e}"[0] in "125"
        assert low - 1e-9 <= ticks[0] < low + steps[0] + 1e-9


@pytest.mark.parametrize("value,text", [(0, "0"), (500, "500"), (20_000, "20 k"), (1.5e6, "1.5 M"), (-2e9, "-2 G")])
def test_numbers_beside_an_axis_have_units(value, text):
    assert short(value) == text


def test_the_curves_of_a_folder_are_drawn_into_it(tmp_path, figures, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        write_run(tmp_path / f"runs/{seed}", curve([100, 200], [1, 2]), seed=seed)
        write_run(tmp_path / f"more/{seed}", curve([100, 200], [1, 2]), seed=seed)
    assert main(["plot", "runs"]) == 0
    assert main(["plot", "runs", "more"]) == 0
    assert capsys.readouterr().out.split() == ["runs/curves.png", "curves.png"]
    assert Path("runs/curves.png").exists()


@pytest.mark.parametrize("last,decade", [(1e-3, "1e-05"), (2e-6, "1e-06")], ids=["decades", "less than one"])
def test_the_numbers_beside_a_logarithmic_axis_are_plain_text(tmp_path, figures, last, decade):
    rows = [row | {"cg_iterations": 10, "cg_residual": residual}
            for row, residual in zip(curve([100, 200], [1, 2]), (9e-7, last), strict=True)]  # fmt: skip
    axes = sheet(figures, write_run(tmp_path / "run", rows))["CG residual after 10 iterations"]
    low, high = axes.get_ylim()
    labels = [label for label in axes.get_yticklabels(which="both") if low <= label.get_position()[1] <= high]
    numbers = {label.get_text().replace("−", "-") for label in labels} - {""}
    assert decade in numbers
    assert all(float(number) > 0 for number in numbers)


@pytest.mark.parametrize(
    "settings,label",
    [({"max_kl": 0.02}, "δ = 0.02"), ({"target_kl": 0.03}, "target = 0.03"), ({"target_kl": None}, None)],
)
def test_kl_is_drawn_beside_the_limit_it_was_held_to(tmp_path, figures, settings, label):
    axes = sheet(figures, write_run(tmp_path / "run", curve([100, 200], [1, 2]), **settings))["KL of an update"]
    limits = {name: line.get_ydata()[0] for name, line in lines(axes).items() if "=" in name}
    assert limits == ({label: next(iter(settings.values()))} if label else {})


def test_steps_that_were_not_taken_are_marked_and_counted(tmp_path, figures):
    fractions = [1.0, 0.0, 0.8]
    rows = [row | {"step_fraction": f, "line_search_trials": 3}
            for row, f in zip(curve([1, 2, 3], [1, 2, 3]), fractions, strict=True)]  # fmt: skip
    drawn = sheet(figures, write_run(tmp_path / "run", rows))
    assert lines(drawn["Step: share of the full one"])["no step taken"].get_xydata().tolist() == [[2, 0]]
    assert "Line search: 2 of 3 accepted" in drawn


def test_throughput_is_steps_over_seconds_of_each_update_across_a_resumption(tmp_path, figures):
    rows = curve([100, 300, 500, 700], [1, 2, 3, 4])
    for row, seconds in zip(rows, (1, 2, 0.5, 1), strict=True):  # the clock began anew after the second
        row["seconds"] = seconds
    axes = sheet(figures, write_run(tmp_path / "run", rows))["Throughput"]
    rate = lines(axes)["one row"].get_ydata()
    np.testing.assert_array_equal(rate, [100, 200, np.nan, 400])


def test_a_real_sheet_is_a_picture(tmp_path):
    rows = curve(range(1, 200), np.sin(np.arange(199)))
    run = write_run(tmp_path / "run", [row | {"cg_residual": 0.0, "explained_variance": -9.0} for row in rows])
    assert main(["plot", str(run)]) == 0
    assert (run / "diagnostics.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_thinned_column_keeps_its_extremes_and_its_order():
    y = np.random.default_rng(0).normal(size=100_000)
    y[7] = np.nan
    kept = thinned(y, 200)
    assert len(kept) <= 200
    assert (np.diff(kept) > 0).all()
    assert (np.nanmin(y[kept]), np.nanmax(y[kept])) == (np.nanmin(y), np.nanmax(y))
    np.testing.assert_array_equal(thinned(y[:5]), range(5))


def test_a_running_median_passes_over_a_single_spike_and_what_is_no_number():
    y = np.ones(50)
    y[20], y[30] = 1e9, np.nan
    steps, median = running_median(np.arange(50), y)
    np.testing.assert_array_equal(median, 1)
    assert len(steps) == 49


# ---- the table -----------------------------------------------------------------------------------------------------


def test_a_torn_line_and_damaged_ones_are_passed_over(tmp_path):
    run = write_run(tmp_path / "run", curve([100, 200], [1, 2]))
    with (run / "metrics.csv").open("a") as file:
        file.write("3,30\r\n\x00\xff,,\r\n" + '4,400,5,4,1,200,0.01,"line search, critic not finite"\r\n5,500,6,5,2')
    columns = read_columns(run / "metrics.csv", "steps", "mean_return")
    assert {name: column.tolist() for name, column in columns.items()} == {
        "steps": [100, 200, 400],
        "mean_return": [1, 2, 4],
    }


def test_a_gaussian_policy_tells_sigma_of_every_action_and_of_many_the_extremes_and_the_mean():
    for count, expected in [(2, {"std_0": 0.5, "std_1": 1.0}), (9, {"std_min": 0.5, "std_mean": 1.0, "std_max": 1.5})]:
        policy = GaussianPolicy(MLP((3, count), "tanh", Backend("numpy")))
        theta = np.zeros(policy.layout.size)
        theta[-count:] = np.log(np.linspace(0.5, 1.0 if count == 2 else 1.5, count))
        assert policy.spread(theta) == pytest.approx(expected)


@pytest.mark.parametrize(
    "env,settings,names",
    [("Pendulum-v1", {}, {"std_0"}), ("Pendulum-v1", {"squash": True}, {"std_0"}), ("CartPole-v1", {}, set()),
     ("Pendulum-v1", {"state_dependent_std": True}, set())],
)  # fmt: skip
def test_the_metrics_of_an_update_hold_sigma_where_it_is_the_same_in_every_state(env, settings, names):
    rows = []
    agent = TRPO(env, preset="default", num_envs=1, n_steps=16, hidden=(4,), vf_epochs=1, threads=1, **settings)
    agent.learn(16, on_update=lambda _, row: rows.append(row), progress=False)
    assert {name for name in rows[0] if name.startswith("std")} == names
    if names:
        assert rows[0]["std_0"] == pytest.approx(np.exp(agent.theta[-1]))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "", "x"])
def test_numbers_that_are_none_are_not_drawn(tmp_path, figures, value):
    rows = curve([100, 200, 300], [1, 2, 3])
    run = write_run(tmp_path / "run", [rows[0], dict.fromkeys(rows[0], value), rows[2]])
    assert {name: column.tolist() for name, column in read_columns(run / "metrics.csv", "steps", "kl").items()} == (
        {"steps": [100, 300], "kl": [0.01, 0.01]}
    )
    every = sheet(figures, run)
    assert all(np.isfinite(axes.get_ylim()).all() for axes in every.values())


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", ""])
def test_a_run_without_a_single_number_is_refused(tmp_path, capsys, value):
    for name in "ab":
        write_run(tmp_path / name, [dict.fromkeys(curve([1], [1])[0], value)] * 2)
    refused(capsys, tmp_path, "plot", tmp_path / "a", says="nothing to draw")
    refused(capsys, tmp_path, "plot", tmp_path / "a", tmp_path / "b", says="nothing to draw")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"algorithm": 1}', '{"algorithm": "a", "env": "b", "seed": 1e999, "steps": 1e999}'],
)
def test_a_damaged_config_is_one_line(tmp_path, capsys, text):
    for name in "ab":
        run = write_run(tmp_path / name, curve([1, 2], [1, 2]))
    (run / "config.json").write_text(text)
    refused(capsys, tmp_path, "plot", tmp_path / "a", run, says="config.json")
    assert main(["list", "runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("  damaged  ") == 1


# ---- finding runs --------------------------------------------------------------------------------------------------


def test_runs_are_found_at_any_depth_and_whatever_lies_in_a_run_belongs_to_it(tmp_path):
    write_run(tmp_path / "a", [])
    write_run(tmp_path / "a/checkpoints/1", [])
    write_run(tmp_path / "b/c", [])
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b/c"]
    assert find_runs(tmp_path / "a") == [tmp_path / "a"]


def test_runs_are_listed_newest_first_and_a_damaged_one_is_shown_as_such(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    now = time.time()
    for name, ago, rows in [("old", 7200, curve([100, 1200], [1, 2.25])), ("new", 60, []), ("bad", 90000, [])]:
        run = write_run(tmp_path / "runs" / name, rows, seed=3, steps=4000)
        for file in run.iterdir():
            os.utime(file, (now - ago - 1, now - ago - 1))
    (tmp_path / "runs/bad/config.json").write_text("[]")
    os.utime(tmp_path / "runs/bad/config.json", (now - 90000, now - 90000))
    assert main(["list", "runs"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "algorithm", "environment", "seed", "steps", "return", "age"]
    assert [row.split() for row in rows[:2]] == [
        ["runs/new", "trpo", "CartPole-v1", "3", "0/4,000", "–", "1", "min"],
        ["runs/old", "trpo", "CartPole-v1", "3", "1,200/4,000", "2.2", "2", "h"],
    ]
    assert rows[2].startswith("runs/bad  damaged")
    assert "expected an object" in rows[2]
    assert main(["list", "runs", str(tmp_path / "runs")]) == 0
    assert main(["list"]) == 0
    assert "preset" in capsys.readouterr().out


def test_a_folder_without_runs_is_said_and_none_at_all_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["list", "runs"]) == 0
    assert capsys.readouterr().out == "no runs in runs\n"
    refused(capsys, tmp_path, "list", "runs", "nowhere", says="nowhere: no such folder")
    refused(capsys, tmp_path, "list", "runs", "a", "b", says="usage")
