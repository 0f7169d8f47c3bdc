"""Every numbered example runs and prints what it should."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def output_of(name, *args):
    command = [sys.executable, str(EXAMPLES / name), *args]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_numbered_example_is_tested():
    tested = set(re.findall(r'output_of\("(\d.*?\.py)"', Path(__file__).read_text()))
    assert {path.name for path in EXAMPLES.glob("[0-9]*.py")} == tested


def test_numbered_examples_are_short():
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("[0-9]*.py")}
    assert lengths.pop("01_one_trust_region_step.py") <= 65  # the walk of the README
    assert max(lengths.values()) <= 60


def test_the_step_by_hand_stays_in_the_region_and_improves_the_policy():
    text = output_of("01_one_trust_region_step.py")
    kl = float(re.search(r"KL ([\d.]+) ≤ 0.01", text)[1])
    new, old = map(float, re.search(r"probability ([\d.]+), before ([\d.]+)", text).groups())
    assert 0.001 < kl <= 0.01
    assert new > old + 0.02


def test_an_agent_is_trained_saved_loaded_and_plays_cartpole():
    assert float(re.search(r"agent: (\d+) of 500", output_of("02_cartpole.py"))[1]) > 100


def test_the_gradient_check_fails_twice_and_then_passes():
    text = output_of("03_check_your_own_gradient.py")
    assert re.search(r"first_try: .* wrong at w\[0\]", text)
    assert re.search(r"second_try: .* wrong at b\n", text)
    assert text.count("a 1/N missing, with N = 20?") == 2
    assert "correct: passed" in text


def test_reinforce_plays_pong_from_pixels_and_a_game_is_filmed(tmp_path):
    pytest.importorskip("ale_py")
    film = tmp_path / "pong.gif"
    text = output_of("04_pong_from_pixels.py", "--steps", "1", "--games", "1", "--render", str(film))
    assert re.search(r"after [\d,]+ decisions: -\d", text)
    assert film.read_bytes()[:3] == b"GIF"


def rows_of(text, *names):
    """Of each line that begins with one of the names, the numbers behind it."""
    found = {}
    for name in names:
        line = re.search(rf"^\s*{re.escape(name)}\s(.*)$", text, flags=re.M)[1]
        found[name] = [
            float(number.replace(",", "")) for number in re.findall(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?", line)
        ]
    return found


def test_a_baseline_keeps_the_gradient_and_lowers_its_variance_PG6():
    text = output_of("05_reinforce_and_baselines.py")
    exact = float(re.search(r"norm ([\d.]+)", text)[1])
    (none, average, value) = rows_of(text, "none", "average", "value").values()
    for error, deviation in (none, average, value):
        assert error < 4 * deviation / 20_000**0.5
        assert error < exact / 10
    assert none[1] > 5 * average[1] > 5 * value[1]
    returns = [float(number) for number in re.findall(r"(\d+)$", text.split("CartPole")[1], flags=re.M)]
    assert min(returns[-3:]) > 50


def test_lambda_trades_the_bias_of_the_critic_for_variance_PG12():
    text = output_of("06_actor_critic.py")
    rows = list(rows_of(text, "0.0", "0.5", "0.9", "0.95", "1.0").values())
    biases, deviations = zip(*rows, strict=True)
    assert biases == tuple(sorted(biases))
    assert -4.9 < biases[0] < -4.6
    assert abs(biases[-1]) < 0.6
    assert deviations == tuple(sorted(deviations))
    assert deviations[-1] > 3 * deviations[0]
    assert [float(error) < 1e-10 for error in re.findall(r"up to (\S+)", text)] == [True, True]
    assert max(float(number) for number in re.findall(r"^λ = \S+ +(\d+)$", text, flags=re.M)) > 100


def test_the_natural_gradient_leaves_the_plateau_and_does_not_see_the_coordinates_TR7_TR8():
    text = output_of("07_natural_gradient_bandit.py")
    curves = re.findall(r"^(plain|natural) +0: .*100: ([\d.]+)$", text, flags=re.M)
    assert [name for name, _ in curves] == ["plain", "natural"]
    assert float(curves[0][1]) < 0.05
    assert float(curves[1][1]) > 0.99
    assert "KL 0.0100 by its quadratic model" in text
    plain, natural = map(float, re.findall(r"differently by ([\d.]+) %", text))
    assert plain > 20
    assert natural < 1


def test_j_never_falls_and_the_bound_holds_TR3_TR4():
    text = output_of("08_monotone_improvement.py")
    assert "J fell in 0 of 100 iterations; the bound held in 100" in text
    best = float(re.search(r"J = ([\d.]+)", text)[1])
    J = [row[0] for row in rows_of(text, "0", "1", "10", "50", "99").values()]
    assert sorted(J) == J
    assert J[0] < 0
    assert best - 0.05 < J[-1] < best
    assert int(re.search(r"in (\d+) iterations instead of 100", text)[1]) < 50


def test_the_four_objectives_all_learn_and_only_the_clip_has_no_slope_beyond_its_range_PP2():
    text = output_of("09_ppo_objectives.py")
    slopes = re.findall(r"^  slope of clip +(.*)$", text, flags=re.M)
    assert [[float(x) for x in row.split()] for row in slopes] == [
        [0.5, 0.9, 1.0, 1.1, 0.0],
        [0.0, -0.9, -1.0, -1.1, -1.5],
    ]
    trained = rows_of(text.split("mean return")[1], "unclipped", "clip", "kl", "adaptive-kl")
    assert min(row[0] for row in trained.values()) > 60
    assert trained["unclipped"][1] > 5 * trained["clip"][1]
    assert trained["kl"][2] == 1
    assert trained["adaptive-kl"][2] != 1


def test_the_mean_of_the_workers_gradients_is_that_of_the_union_PP5():
    text = output_of("10_dppo_workers.py")
    apart = re.findall(r"(\d) workers: the mean differs from the union by (\S+); one worker alone by (\d+) %", text)
    assert [int(workers) for workers, *_ in apart] == [1, 2, 4, 8]
    assert all(float(difference) < 1e-12 for _, difference, _ in apart)
    assert int(apart[-1][2]) > 10
    assert int(re.search(r"off by (\d+) %", text)[1]) > 3
    assert float(re.search(r"mean return (\d+)", text)[1]) > 100
    assert "50% and 50%" in text


def test_the_deterministic_gradient_is_exact_sampled_and_climbed_to_riccatis_gain_DP1():
    text = output_of("11_deterministic_policy_gradient.py")
    assert re.search(r"^exact gradient .*: passed$", text, flags=re.M)
    errors = [float(error) for error in re.findall(r"([\d.]+)%$", text, flags=re.M)]
    assert errors[2] < 1
    assert errors[2] < errors[1] < errors[0]
    best, *climbed = (float(value) for value in re.findall(r"J = (-[\d.]+)", text))
    assert climbed == sorted(climbed)
    assert best - 0.01 < climbed[-1] < best


def test_the_agent_brings_the_ball_to_the_goal_that_is_an_argument():
    text = output_of("12_own_environment.py")
    before, after = (float(x) for x in re.findall(r"(?:learning|steps): (-[\d.]+)", text))
    assert after > before / 4
    assert f"in the same valley: {after}" in text
    assert abs(float(re.search(r"step 100: position ([-+][\d.]+)", text)[1]) + 0.8) < 0.15


def test_the_exponentials_derivatives_pass_and_an_agent_learns_the_best_means():
    text = output_of("13_own_distribution.py")
    checked = re.findall(r"^(\w+) passed$", text, flags=re.M)
    assert checked == ["score", "kl_gradient", "entropy_gradient", "fisher_product"]
    means = re.findall(r"waiting time ([\d.]+), best ([\d.]+)", text)
    assert len(means) == 3
    assert all(abs(float(found) - float(best)) < 0.3 for found, best in means)
    assert float(means[0][0]) < float(means[1][0]) < float(means[2][0])


def test_an_exported_policy_acts_as_the_agent_in_python_and_in_c():
    text = output_of("14_export_a_policy.py")
    equal = [float(share) for share in re.findall(r"([\d.]+)% of the actions are equal", text)]
    assert len(equal) == 1 + ("no C compiler" not in text)
    assert min(equal) > 99.5
    assert min(map(int, re.search(r"\[(\d+), (\d+)\] times", text).groups())) > 20


def test_the_policy_on_a_learned_reward_is_the_known_optimum_RH1_RH2():
    text = output_of("15_preferences.py")
    assert "the reward model's gradient: passed" in text
    numbers = lambda line: [float(x) for x in re.search(rf"{line} +\[(.*?)\]", text)[1].split()]
    learned, best, found = numbers("r_φ"), numbers("π_ref exp.*?"), numbers("the policy found")
    assert all(abs(a - b) < 0.3 for a, b in zip(learned, (0, 0.4, 0.8, 1.2, 1.6), strict=True))
    weights = [p * 2.718281828 ** (r / 0.5) for p, r in zip((0.4, 0.3, 0.15, 0.1, 0.05), learned, strict=True)]
    assert all(abs(w / sum(weights) - b) < 5e-3 for w, b in zip(weights, best, strict=True))
    assert found == best
    assert float(re.search(r"difference (\S+);", text)[1]) < 1e-6
    before, after = map(float, re.search(r"reward: ([\d.]+) of π_ref, ([\d.]+) of", text).groups())
    assert after > 2 * before
