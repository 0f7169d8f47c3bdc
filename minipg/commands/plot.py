"""`minipg plot`: learning curves or a comparison of many runs, or the diagnostics of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minipg.commands.parsing import parse, usage
from minipg.errors import RunFolderError
from minipg.runtime.progress import print_error, printable


@dataclass(frozen=True, kw_only=True)
class PlotFlags:
    """Flags of `minipg plot`."""

    runs: tuple[Path, ...]
    """Run folders, or folders of runs. One run gives its diagnostics, several give learning curves."""
    output: Path | None = None
    """The picture to write (.png, .pdf, .svg), also -o. By default diagnostics.png in the run's folder, or curves.png
    (with --compare comparison.png): in the folder that was given, or in the working folder if several were."""
    compare: bool = False
    """Compare algorithms by their runs' last scores over all environments that they share: performance profiles,
    interquartile means and probabilities of improvement."""


def run(args: list[str]) -> int:
    """`minipg plot RUN... [-o FILE.png] [--compare]`. Returns the exit status."""
    if not args:
        return usage("usage: minipg plot RUN... [-o FILE.png] [--compare]", False)
    (options,) = parse((PlotFlags(runs=()),), args, "minipg plot")

    from minipg.runs.comparison import draw_comparison
    from minipg.runs.curves import Curve, curve_of, draw_curves, mixed
    from minipg.runs.diagnostics import draw_diagnostics
    from minipg.runs.find import find_runs
    from minipg.runs.folder import RunFolder
    from minipg.runs.pictures import check_picture

    if options.output is not None:
        check_picture(options.output)
    if not options.runs:
        return usage("usage: minipg plot RUN... [-o FILE.png] [--compare]", False)
    found = {path: runs for path in options.runs for runs in [find_runs(path)]}
    for path, runs in found.items():
        if not runs:
            raise RunFolderError(f"{path}: holds no run")
    named = [run for path, runs in found.items() for run in runs if runs == [path]]
    every = list(dict.fromkeys(run for runs in found.values() for run in runs))
    if len(every) == 1 and not options.compare:
        folder = RunFolder.existing(every[0])
        output = options.output or folder.shown / "diagnostics.png"
        draw_diagnostics(folder, output)
        print(printable(output))
        return 0
    curves: list[Curve] = []
    skipped: list[RunFolderError] = []  # found in a folder, not asked for
    for run in every:
        try:
            curves.append(curve_of(RunFolder.existing(run)))
        except RunFolderError as error:
            if run in named:
                raise
            skipped.append(error)
    if not curves:
        raise RunFolderError(f"nothing to draw in any of {len(every)} runs, such as {skipped[0]}")
    for reason in skipped:
        print_error(f"skipped: {reason}")
    for line in mixed(curves):
        print_error(f"{line}: one line is the mean over runs of different settings")
    folder_of_runs = options.runs[0] if len(options.runs) == 1 else Path()
    output = options.output or folder_of_runs / ("comparison.png" if options.compare else "curves.png")
    if options.compare:
        print("\n".join(draw_comparison(curves, output)))
    else:
        draw_curves(curves, output)
    print(printable(output))
    return 0
