"""`minipg bench`: how fast it is on this machine, beside its peers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from minipg.checks import require
from minipg.commands.parsing import parse
from minipg.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BenchFlags:
    """Flags of `minipg bench`."""

    only: tuple[str, ...] = ()
    """These rows only, of: ppo-4x128, ppo-8x256, trpo-8x256, a2c-8x5, fisher-64, fisher-256, ppo-hopper, trpo-hopper,
    ppo-gymnasium, startup, solved, memory."""
    quick: bool = False
    """Fewer and shorter samples."""
    stages: bool = False
    """Instead of the rows, where the time of an update goes: each stage of PPO's and TRPO's against its floor."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """A picture to write (.png, .pdf, .svg): the goals as bars."""


def bench_command(args: list[str]) -> int:
    """`minipg bench [flags]`, and its exit status: 130 after Ctrl-C, of what was measured until then."""
    options = parse(BenchFlags, args, "minipg bench", (BenchFlags,))

    from minipg.bench.rows import INFORMATIVE, check_rows
    from minipg.runs.pictures import check_picture

    check_rows(options.only)
    require(bool(options.only) or "--only" not in args, "only", "names of rows, see minipg bench --help", "none")
    if options.stages and (options.only or options.output):
        raise ConfigError("stages: expected neither --only nor --output beside it: it has neither rows nor picture")
    if options.output is not None:
        check_picture(options.output)
        # before minutes are spent on it
        require(options.output.parent.is_dir(), "output", "a file in a folder that exists", str(options.output))
        drawn = not options.only or not INFORMATIVE.issuperset(options.only)
        require(drawn, "output", "a row with a goal to draw", " ".join(options.only))
    return _stages(options) if options.stages else _rows(options)


def _rows(options: BenchFlags) -> int:
    from minipg.bench.interleaved import Bench, Line
    from minipg.bench.machine import head, head_text
    from minipg.bench.picture import draw_goals
    from minipg.bench.rows import ROWS, measure
    from minipg.bench.table import as_json, table, tally

    lines: list[Line] = []
    began = time.perf_counter()
    with _shown() as say:
        bench = Bench(options.quick, say)
        complete = measure(dict.fromkeys(options.only or ROWS), bench, lines)
    machine = head(bench)
    stopped = "" if complete else ", before it was stopped"
    text = f"{head_text(machine)}\n\n{table(lines)}\n\n{tally(lines)}{stopped}"
    _tell(options.json, text, {"machine": machine, "rows": as_json(lines)}, complete, began)
    if options.output is not None and (complete or any(line.share is not None for line in lines)):
        draw_goals(lines, options.output, head_text(machine))
        if not options.json:
            print(options.output)
    return 0 if complete else 130


def _tell(as_json: bool, text: str, found: dict[str, Any], complete: bool, began: float) -> None:
    seconds = time.perf_counter() - began
    print(json.dumps({**found, "complete": complete, "seconds": seconds}) if as_json else text)


def _stages(options: BenchFlags) -> int:
    from minipg.bench.interleaved import Bench
    from minipg.bench.machine import head, head_text
    from minipg.bench.stages import SETTINGS, Stage, stage_rows, stage_table

    stages: list[Stage] = []
    began, complete = time.perf_counter(), True
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
    _tell(options.json, text, {"machine": machine, "stages": [stage._asdict() for stage in stages]}, complete, began)
    return 0 if complete else 130


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[str], None]]:
    """What is going on, on standard error: a line that changes on a terminal, plain lines elsewhere."""
    from minipg.runtime.progress import lasting_console, say_on

    console = lasting_console(stderr=True)
    if console.is_terminal:
        from rich.markup import escape

        with console.status("", spinner="line") as status:
            yield lambda line: status.update(escape(line))
    else:

        def say(line: str) -> None:
            if not line.endswith("…"):
                say_on(console, line)

        yield say
