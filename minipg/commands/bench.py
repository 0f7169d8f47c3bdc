"""`minipg bench`: measure how fast minipg is on this machine, beside other libraries."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipg.checks import require
from minipg.commands.parsing import parse
from minipg.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BenchFlags:
    """Flags of `minipg bench`."""

    only: tuple[str, ...] = ()
    """These rows only, of: ppo-4x128, ppo-8x256, trpo-8x256, a2c-8x5, fisher-64, fisher-256, ppo-hopper, trpo-hopper,
    ppo-gymnasium, shell-ppo, shell-a2c, startup, solved, memory."""
    quick: bool = False
    """Fewer and shorter samples."""
    stages: bool = False
    """Instead of the rows, measure the stages of an update, each beside the least time that it could take."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""
    output: Path | None = None
    """A picture to write (.png, .pdf, .svg), also -o: the goals as bars."""


def run(args: list[str]) -> int:
    """`minipg bench [flags]`. Returns the exit status: 130 after Ctrl-C, when what was measured so far is printed."""
    (options,) = parse((BenchFlags(),), args, "minipg bench")

    from minipg.bench.rows import WITHOUT_GOAL, check_rows
    from minipg.runs.pictures import check_picture

    check_rows(options.only)
    require(bool(options.only) or "--only" not in args, "only", "names of rows, see minipg bench --help", "none")
    if options.stages and (options.only or options.output):
        raise ConfigError("stages: expected neither --only nor --output beside it: it has neither rows nor picture")
    if options.output is not None:
        check_picture(options.output)
        require(options.output.parent.is_dir(), "output", "a file in a folder that exists", str(options.output))
        drawn = not options.only or not WITHOUT_GOAL.issuperset(options.only)
        require(drawn, "output", "a row with a goal to draw", " ".join(options.only))
    return _stages(options) if options.stages else _rows(options)


def _rows(options: BenchFlags) -> int:
    from minipg.bench.interleaved import Bench, Line
    from minipg.bench.machine import head, head_text
    from minipg.bench.picture import draw_goals
    from minipg.bench.rows import ROWS, measure
    from minipg.bench.table import as_json, table, tally

    lines: list[Line] = []
    start = time.perf_counter()
    with _shown() as say:
        bench = Bench(options.quick, say)
        complete = measure(dict.fromkeys(options.only or ROWS), bench, lines)
    machine = head(bench)
    stopped = "" if complete else ", before it was stopped"
    text = f"{head_text(machine)}\n\n{table(lines)}\n\n{tally(lines)}{stopped}"
    _print(options.json, text, {"machine": machine, "rows": as_json(lines)}, complete, start)
    if options.output is not None and (complete or any(line.share is not None for line in lines)):
        draw_goals(lines, options.output, head_text(machine))
        if not options.json:
            print(options.output)
    return 0 if complete else 130


def _print(as_json: bool, text: str, found: dict[str, Any], complete: bool, start: float) -> None:
    seconds = time.perf_counter() - start
    print(json.dumps({**found, "complete": complete, "seconds": seconds}) if as_json else text)


def _stages(options: BenchFlags) -> int:
    from minipg.bench.interleaved import Bench
    from minipg.bench.machine import head, head_text
    from minipg.bench.stages import SETTINGS, Stage, stage_rows, stage_table

    stages: list[Stage] = []
    start, complete = time.perf_counter(), True
    with _shown() as say:
        bench = Bench(options.quick, say)
        try:
            for setting in SETTINGS.values():
                stages += stage_rows(setting, bench)
        except KeyboardInterrupt:
            complete = False
    complete = complete and not bench.stopped
    machine = head(bench)
    text = f"{head_text(machine)}\nAn update, on one thread.\n\n{stage_table(stages)}"
    _print(options.json, text, {"machine": machine, "stages": [stage._asdict() for stage in stages]}, complete, start)
    return 0 if complete else 130


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[str], None]]:
    """Yield a function that prints progress on standard error: one line that changes on a terminal, else many."""
    from minipg.runtime.progress import lasting_console, print_line

    console = lasting_console(stderr=True)
    if console.is_terminal:
        from rich.markup import escape

        with console.status("", spinner="line") as status:
            yield lambda line: status.update(escape(line))
    else:

        def say(line: str) -> None:
            if not line.endswith("…"):
                print_line(console, line)

        yield say
