"""TRPO's Atari table: seven games, the paper's network, one run each; PPO on two of them.

    pip install 'minipg-rl[atari,envpool]'
    python examples/benchmarks/atari.py run [--algorithms trpo ppo] [--games Pong Qbert] [--out FOLDER]
    python examples/benchmarks/atari.py table                # atari.md and atari.png, from the runs on file

A run is `minipg train … --frames trpo-52x40x4 --preset atari` in a folder of its own; one that was stopped is resumed.
It has two convolutions of 16 filters 4 × 4 with stride 2 and a layer of 20 units, as Schulman et al. 2015 have, frame
skip 4 and no sticky actions. Learning sees the sign of a reward, and a lost life as the end of an episode. The score is
the game's own: the mean of the last 100 whole games of the run.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from resumable import rows_on_file

from minipg.runs.pictures import BLUE, VERMILLION, label_steps, picture

FOLDER = Path(__file__).parent / "atari"
RUNS, TABLE, PICTURE = FOLDER / "runs.jsonl", FOLDER / "atari.md", FOLDER / "atari.png"
POINTS = 100  # of a curve
# game → decisions, a random policy's score, the goal of TRPO and of PPO; TRPO's are at or below the paper's figure
GAMES: dict[str, tuple[int, float, float, float | None]] = {
    "Pong": (10_000_000, -20.4, 19, 20),
    "Breakout": (10_000_000, 1.2, 10.8, 100),
    "Enduro": (10_000_000, 0, 535, None),
    "BeamRider": (5_000_000, 354, 1425, None),
    "Qbert": (5_000_000, 157, 1974, None),
    "Seaquest": (5_000_000, 110, 1000, None),
    "SpaceInvaders": (5_000_000, 179, 568, None),
}
SETTINGS = ("--frames", "trpo-52x40x4", "--preset", "atari", "--vec", "envpool", "--env-kwargs", "life_loss=True")


def command_of(algorithm: str, game: str, folder: Path) -> list[str]:
    """The command that trains, or that goes on where a run was stopped."""
    minipg = [sys.executable, "-m", "minipg", "train"]
    if (folder / "config.json").exists():
        return [*minipg, "--resume", str(folder)]
    steps = str(GAMES[game][0])
    return [*minipg, algorithm, game, *SETTINGS, "--steps", steps, "--seed", "0", "--out", str(folder)]


def row_of(algorithm: str, game: str, folder: Path) -> dict[str, Any]:
    """What a run came to, from its metrics."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mean_return"] and math.isfinite(float(row["mean_return"]))]
    every = max(1, len(rows) // POINTS)
    return {
        "algorithm": algorithm, "game": game, "steps": int(rows[-1]["steps"]), "seed": 0,
        "score": round(float(rows[-1]["mean_return"]), 2), "seconds": round(float(rows[-1]["seconds"])),
        "curve": [[int(row["steps"]), round(float(row["mean_return"]), 2)] for row in rows[every - 1 :: every]],
    }  # fmt: skip


def goal_of(algorithm: str, game: str) -> float | None:
    """The score to reach."""
    return GAMES[game][2 if algorithm == "trpo" else 3]


def run(options: argparse.Namespace) -> None:
    """Make the runs asked for that are not on file, one after the other: emulation takes all cores."""
    FOLDER.mkdir(exist_ok=True)
    there = {(row["algorithm"], row["game"]) for row in rows_on_file(RUNS)}
    for algorithm in options.algorithms:
        for game in options.games:
            if (algorithm, game) in there or goal_of(algorithm, game) is None:
                continue
            folder = options.out / f"{algorithm}-{game}"
            if subprocess.run(command_of(algorithm, game, folder), check=False).returncode:
                sys.exit(f"{algorithm} on {game} stopped; the same command goes on with it")
            row = row_of(algorithm, game, folder)
            with RUNS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{algorithm} {game}: {row['score']} (goal {goal_of(algorithm, game)})", flush=True)


def table(options: argparse.Namespace) -> None:
    """Write the table and the picture."""
    rows = {(row["algorithm"], row["game"]): row for row in rows_on_file(RUNS)}
    lines = [
        "| game | decisions | random | TRPO | goal | PPO | goal |", "|---|---|---|---|---|---|---|",
        *(
            f"| {game} | {steps // 1_000_000} M | {random:g} | "
            + " | ".join(_cell(rows.get((algorithm, game)), goal_of(algorithm, game)) for algorithm in ("trpo", "ppo"))
            + " |"
            for game, (steps, random, *_) in GAMES.items()
        ),
    ]  # fmt: skip
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = [game for game in GAMES if any(name == game for _, name in rows)]
    with picture(PICTURE, len(shown), columns=4, size=(3, 2.6)) as (_, panels):
        for panel, game in zip(panels, shown, strict=True):
            for algorithm, color in (("trpo", BLUE), ("ppo", VERMILLION)):
                if row := rows.get((algorithm, game)):
                    panel.plot(*zip(*row["curve"], strict=True), color=color, label=algorithm)
                    panel.axhline(goal_of(algorithm, game), color=color, linestyle=":", linewidth=1)
            panel.set(title=game, xlim=(0, None))
            label_steps(panel)
        panels[0].legend(frameon=False)
    print(TABLE, PICTURE, sep="\n")


def _cell(row: dict[str, Any] | None, goal: float | None) -> str:
    if goal is None:
        return " | "
    score = f"{row['score']:,.1f}" if row else "–"
    return f"{score} | {goal:g}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--algorithms", nargs="+", choices=("trpo", "ppo"), default=["trpo", "ppo"])
    running.add_argument("--games", nargs="+", choices=list(GAMES), default=list(GAMES))
    running.add_argument("--out", type=Path, default=Path("runs"), help="where the runs' folders are")
    running.set_defaults(work=run)
    commands.add_parser("table").set_defaults(work=table)
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
