"""Train several seeds as tasks on a Ray cluster. Its machines need minipg and the environment, but share no files.

What there is of a run is sent to the machine that trains it, and comes back when the training ends there.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from minipg.runs.seeds import Ended, ended, path_of, start
from minipg.runtime.ray_engine import connected, release
from minipg.runtime.signals import signals_deferred
from minipg.runtime.threads import available_threads


def ends_on_ray(
    commands: Mapping[int, Sequence[str]], folder: Path, say: Callable[[str], None], *, threads: int
) -> Iterator[Ended]:
    """Run `minipg train *commands[seed]` for each seed as a task with `threads` cores.

    After a signal no task goes on: seeds that have not ended are where they were before. Raises BackendError.
    """
    ray, own = connected("auto", available_threads())
    train = ray.remote(_trained).options(num_cpus=threads, max_retries=3)  # again if its machine is lost
    here = {seed: _renamed(commands[seed], folder, seed) for seed in commands}
    tasks = {train.remote(args, seed, packed(folder, seed)): seed for seed, args in here.items()}
    try:
        with signals_deferred(say) as signal_came:
            while tasks and not signal_came():
                for task in ray.wait(list(tasks), num_returns=1, timeout=0.5)[0]:
                    seed = tasks.pop(task)
                    try:
                        code, content = ray.get(task)
                    except ray.exceptions.RayError as error:
                        yield Ended(seed, 2, {}, f"lost ({type(error).__name__})")
                        continue
                    unpack(content, folder)
                    yield ended(folder, seed, code)
    finally:
        for task in tasks:
            ray.cancel(task, force=True)
        if own:
            release(ray)


def _renamed(args: Sequence[str], folder: Path, seed: int) -> list[str]:
    """The arguments where the run folder is in the working folder."""
    there, here = (str(path_of(parent, seed)) for parent in (folder, Path()))
    return [here if arg == there else arg for arg in args]


def _trained(args: list[str], seed: int, content: bytes) -> tuple[int, bytes]:
    """The task: the exit status of `minipg train *args`, and the run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(content, folder)
        process = start(args, folder, seed, cwd=folder)
        try:
            return process.wait(), packed(folder, seed)
        finally:
            process.kill()


def packed(folder: Path, seed: int) -> bytes:
    """What there is of the run of a seed in `folder`, and of what it printed, as a tar file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for path in (path_of(folder, seed, ending) for ending in ("", ".json", ".log")):
            if path.exists():
                tar.add(path, path.name)
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """The inverse of `packed`. Raises tarfile.TarError for a file that would be outside `folder`."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(folder, filter="data")
