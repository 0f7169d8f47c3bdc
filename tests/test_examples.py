"""Every numbered example runs and prints what it should."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def output_of(name):
    command = [sys.executable, str(EXAMPLES / name)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_numbered_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("[0-9]*.py")} == {
        "01_one_trust_region_step.py",
        "02_cartpole.py",
        "03_check_your_own_gradient.py",
    }


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
