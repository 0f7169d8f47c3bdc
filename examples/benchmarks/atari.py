"""TRPO's Atari table: seven games, the paper's network, one run each; PPO on two of them, and vine sampling on one.

    pip install 'minipg-rl[atari,envpool]'
    python examples/benchmarks/atari.py run [--algorithms trpo ppo vine] [--games Pong Qbert] [--steps N] [--out FOLDER]
    python examples/benchmarks/atari.py table                # atari.md and atari.png, from the runs on file

A run is `minipg train … --frames trpo-52x40x4 --preset atari` in a folder of its own; one that was stopped is resumed.
It has two convolutions of 16 filters 4 × 4 with stride 2 and a layer of 20 units, as Schulman et al. 2015 have, frame
skip 4 and no sticky actions. Learning sees the sign of a reward, and a lost life as the end of an episode; not so in
Breakout, where the ball waits for the action FIRE: an agent to which a lost life is the end learns to wait. The score
is the game's own: the mean of the last 100 whole games of the run. The goals are for as many decisions as GAMES has, or
fewer.
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

from minipg.runs.pictures import BLUE, GREEN, VERMILLION, label_steps, picture

FOLDER = Path(__file__).parent / "atari"
RUNS, TABLE, PICTURE = FOLDER / "runs.jsonl", FOLDER / "atari.md", FOLDER / "atari.png"
POINTS = 100  # of a curve
# game → the most decisions, a random policy's score, the goal of TRPO and of PPO; TRPO's are the paper's or below them
GAMES: dict[str, tuple[int, float, float, float | None]] = {
    "Pong": (10_000_000, -20.4, 19, 20),
    "Breakout": (10_000_000, 1.2, 10.8, 100),
    "Enduro": (10_000_000, 0, 535, None),
    "BeamRider": (5_000_000, 354, 1425, None),
    "Qbert": (5_000_000, 157, 1974, None),
    "Seaquest": (5_000_000, 110, 1000, None),
    "SpaceInvaders": (5_000_000, 179, 568, None),
}
SETTINGS = ("--frames", "trpo-52x40x4", "--preset", "atari", "--seed", "0")
BRANCHES = ("--vine-states", "64", "--vine-branches", "6", "--vine-length", "20", "--n-steps", "64")
RUNNABLE: dict[str, tuple[str, ...]] = {
    "trpo": ("trpo", "--vec", "envpool"), "ppo": ("ppo", "--vec", "envpool"),
    "vine": ("trpo", "--sampling", "vine", *BRANCHES, "--vec", "gymnasium"),
}  # fmt: skip
VINE_GAME = "SpaceInvaders"  # vine sampling is shown on one game


def command_of(algorithm: str, game: str, steps: int, folder: Path) -> list[str]:
    """The command that trains, or that goes on where a run was stopped."""
    minipg = [sys.executable, "-m", "minipg", "train"]
    if (folder / "config.json").exists():
        return [*minipg, "--resume", str(folder), "--steps", str(steps)]
    name, *settings = RUNNABLE[algorithm]
    settings += ["--env-kwargs", f"life_loss={game != 'Breakout'}", "--steps", str(steps), "--out", str(folder)]
    return [*minipg, name, game, *SETTINGS, *settings]


def metrics_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics from the end of its first game on; none if there is no run."""
    if not (folder / "metrics.csv").exists():
        return []
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["mean_return"] and math.isfinite(float(row["mean_return"]))]


def row_of(algorithm: str, game: str, folder: Path) -> dict[str, Any]:
    """What a run came to, from its metrics."""
    rows = metrics_of(folder)
    every, games, reached = max(1, len(rows) // POINTS), 0, None
    for row in rows:
        games += int(row["episodes"])
        if reached is None and games >= 100 and float(row["mean_return"]) >= goal_of(algorithm, game):
            reached = int(row["steps"])
    return {
        "algorithm": algorithm, "game": game, "steps": int(rows[-1]["steps"]), "seed": 0,
        "score": round(float(rows[-1]["mean_return"]), 2), "reached": reached,
        "seconds": round(float(rows[-1]["seconds"])),
        "curve": [[int(row["steps"]), round(float(row["mean_return"]), 2)] for row in rows[every - 1 :: every]],
    }  # fmt: skip


def goal_of(algorithm: str, game: str) -> float | None:
    """The score to reach; None if this algorithm does not play this game."""
    if algorithm == "vine":
        return GAMES[game][2] if game == VINE_GAME else None
    return GAMES[game][2 if algorithm == "trpo" else 3]


def run(options: argparse.Namespace) -> None:
    """Make the runs asked for that are not on file, one after the other: emulation takes all cores."""
    FOLDER.mkdir(exist_ok=True)
    there = {(row["algorithm"], row["game"]) for row in rows_on_file(RUNS)}
    for algorithm in options.algorithms:
        for game in options.games:
            if (algorithm, game) in there or goal_of(algorithm, game) is None:
                continue
            folder, steps = options.out / f"{algorithm}-{game}", min(options.steps, GAMES[game][0])
            before = metrics_of(folder)
            played = int(before[-1]["steps"]) if before else 0
            if played < steps and subprocess.run(command_of(algorithm, game, steps, folder), check=False).returncode:
                sys.exit(f"{algorithm} on {game} stopped; the same command goes on with it")
            row = row_of(algorithm, game, folder)
            with RUNS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{algorithm} {game}: {row['score']} (goal {goal_of(algorithm, game)})", flush=True)


def table(options: argparse.Namespace) -> None:
    """Write the table and the picture."""
    rows = {(row["algorithm"], row["game"]): row for row in rows_on_file(RUNS)}
    lines = ["| game | algorithm | random | score | decisions | goal | reached | hours |", "|---|---|" + "--:|" * 6]
    for algorithm in RUNNABLE:
        for game, (most, random, *_) in GAMES.items():
            if row := rows.get((algorithm, game)):
                reached = f"{row['reached'] / 1e6:.2f} M" if row["reached"] else "not reached"
                lines.append(
                    f"| {game} | {algorithm} | {random:g} | {row['score']:,.1f} | {row['steps'] / 1e6:.1f} M "
                    f"| {goal_of(algorithm, game):g} in {most / 1e6:g} M | {reached} | {row['seconds'] / 3600:.1f} |"
                )
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = [game for game in GAMES if any(name == game for _, name in rows)]
    with picture(PICTURE, len(shown), columns=4, size=(3, 2.6)) as (_, panels):
        for panel, game in zip(panels, shown, strict=True):
            for algorithm, color in zip(RUNNABLE, (BLUE, VERMILLION, GREEN), strict=True):
                if row := rows.get((algorithm, game)):
                    panel.plot(*zip(*row["curve"], strict=True), color=color, label=algorithm)
                    panel.axhline(goal_of(algorithm, game), color=color, linestyle=":", linewidth=1)
            panel.set(title=game, xlim=(0, None))
            label_steps(panel)
            panel.legend(frameon=False)
    print(TABLE, PICTURE, sep="\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--algorithms", nargs="+", choices=list(RUNNABLE), default=["trpo", "ppo"])
    running.add_argument("--games", nargs="+", choices=list(GAMES), default=list(GAMES))
    running.add_argument("--steps", type=int, default=10_000_000, help="decisions, if they are fewer than the goal's")
    running.add_argument("--out", type=Path, default=Path("runs"), help="where the runs' folders are")
    running.set_defaults(work=run)
    commands.add_parser("table").set_defaults(work=table)
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
