"""Run folders written by hand, and how a command that is refused ends."""

import json

from minipg.cli import main


def write_run(path, rows, algorithm="trpo", env="CartPole-v1", seed=0, steps=400, **config):
    """A run folder whose metrics.csv holds `rows`, dicts of equal keys."""
    path.mkdir(parents=True)
    description = {"algorithm": algorithm, "env": env, "seed": seed, "steps": steps, "config": config}
    (path / "config.json").write_text(json.dumps(description))
    if rows:
        lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
        (path / "metrics.csv").write_text("".join(f"{line}\r\n" for line in lines))
    return path


def curve(steps, returns):
    """Rows of a run whose episodes returned so much after so many steps."""
    return [
        {"update": k, "steps": step, "batch_return": value + 1, "mean_return": value, "seconds": k / 2,
         "steps_per_second": 200.0, "kl": 0.01, "status": "ok"}
        for k, (step, value) in enumerate(zip(steps, returns, strict=True), start=1)
    ]  # fmt: skip


def tree(path):
    """Every file below a folder with its content, every folder with None."""
    return {file: file.read_bytes() if file.is_file() else None for file in path.rglob("*")}


def refused(capsys, folder, *args, says=""):
    """One line on standard error, status 2, and the folder as it was."""
    before = tree(folder)
    capsys.readouterr()
    assert main([str(arg) for arg in args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert says in err
    assert tree(folder) == before
