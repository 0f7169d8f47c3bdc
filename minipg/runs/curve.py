"""The learning curve of one run."""

from __future__ import annotations

from pathlib import Path

from minipg.storage import write_whole


def draw_curve(rows: list[dict[str, str]], title: str, path: Path) -> None:
    """Return against environment steps: each update's own episodes, and the mean of the last 100."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    steps = [int(row["steps"]) for row in rows]
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    own = [float(row["batch_return"]) for row in rows]
    axes.plot(steps, own, ".", color="#56B4E9", markersize=4, alpha=0.7, label="mean of one update's episodes")
    smooth = [float(row["mean_return"]) for row in rows]
    axes.plot(steps, smooth, color="#0072B2", lw=2, label="mean of the last 100 episodes")
    axes.set(title=title, xlabel="environment steps", ylabel="return (sum of rewards of an episode)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=150))
