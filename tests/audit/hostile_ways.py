"""The ways in which hostile_folders.py makes a folder hostile: a name, and a function that changes the folder."""

# ruff: noqa: E501  the tables are read by their columns

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import shutil
import socket
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NEWEST = f"checkpoints/{16:012d}.npz"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\r\b\u202eevil\n"


class Way(NamedTuple):
    """`make(folder, outside)` changes the folder of a run, or of several seeds.

    `fresh`: it matters what a program imports as it starts.
    """

    name: str
    make: Callable[[Path, Path], Any]
    seeds: bool = False
    fresh: bool = False


# ---- modules and settings that Python or a library might read --------------------------------------------------------

MODULES = [
    "numpy", "random", "signal", "json", "socket", "linecache", "runpy", "sitecustomize", "usercustomize", "minipg",
    "gymnasium", "numba", "PIL", "matplotlib", "rich", "tyro", "scipy", "multiprocessing", "tensorboard", "cupy",
    "shlex", "csv", "pkgutil",
]  # fmt: skip
SETTINGS = {
    "matplotlibrc": "text.usetex: True\nbackend: module://evil\n\xff", ".numba_config.yaml": "cache_dir: .\n",
    "pyvenv.cfg": "home = .\n", "evil.pth": "import evil\n", "setup.cfg": "[minipg]\n", ".env": "PYTHONPATH=.\n",
    "evil-1.dist-info/entry_points.txt": "[gymnasium.envs]\n__root__ = evil:register\n",
    "numpy/__init__.py": "", "minipg/__main__.py": "", "conftest.py": "",
}  # fmt: skip


def _trap(name: str) -> Callable[[Path, Path], Any]:
    def make(run: Path, outside: Path) -> None:
        for place in (run, run.parent):
            for module in (name, "evil", "jax", "ale_py"):
                (place / f"{module}.py").write_text(f"open({str(outside / 'executed')!r}, 'a').write({module!r})\n")

    return make


def _settings(name: str) -> Callable[[Path, Path], Any]:
    def make(run: Path, outside: Path) -> None:
        _trap("evil")(run, outside)
        for place in (run, run.parent):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(SETTINGS[name] or f"open({str(outside / 'executed')!r}, 'a').write('x')\n")

    return make


# ---- links, and what is no file --------------------------------------------------------------------------------------


def _clear(path: Path) -> Path:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    return path


def _link(name: str, target: str) -> Callable[[Path, Path], Any]:
    return lambda run, outside: _clear(run / name).symlink_to(target.format(outside=outside, run=run))


def _hard_link(name: str) -> Callable[[Path, Path], Any]:
    """A file of the folder that is a file outside, too."""

    def make(run: Path, outside: Path) -> None:
        same = outside / "run" / name
        _clear(run / name).hardlink_to(same if same.exists() else outside / "file")

    return make


def _special(name: str, kind: str) -> Callable[[Path, Path], Any]:
    def make(run: Path, outside: Path) -> None:
        path = run / name
        if kind == "sparse":
            with path.open("r+b" if path.exists() else "wb") as file:
                file.truncate(300 << 30)
            return
        _clear(path)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "socket":
            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket is short
            socket.socket(socket.AF_UNIX).bind(path.name)
            os.chdir(here)
        elif kind == "unreadable":
            path.touch(mode=0)

    return make


FILES = ["config.json", "metrics.csv", ".lock", NEWEST, "checkpoints", "curve.png", "diagnostics.png"]
TARGETS = {"a file outside": "{outside}/file", "a run outside": "{outside}/run", "nothing": "{outside}/new",
           "itself": "{run}", "without end": "/dev/zero"}  # fmt: skip


# ---- texts -----------------------------------------------------------------------------------------------------------


def _config(**changes: Any) -> Callable[[Path, Path], Any]:
    def make(run: Path, outside: Path) -> None:
        saved = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps({**saved, **changes}))

    return make


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Path], Any]:
    return lambda run, outside: (run / name).write_bytes(change((run / name).read_bytes()))


CONFIGS: dict[str, dict[str, Any]] = {
    "escapes": {"env": ESCAPES, "algorithm": ESCAPES}, "a long name": {"env": "x" * 10**5, "algorithm": "y" * 10**5},
    "an absent backend": {"backend": "cupy"}, "a backend with escapes": {"backend": ESCAPES},
    "steps of 10^300": {"steps": 10**300}, "steps of text": {"steps": "many"}, "no steps": {"steps": None},
    "a list for a seed": {"seed": [1]}, "a seed of NaN": {"seed": float("nan")}, "a huge seed": {"seed": 10**400},
    "TensorBoard": {"tensorboard": True}, "checkpoints at once": {"checkpoint_every": "1e-300s"},
    "checkpoints never": {"checkpoint_every": "1" + "0" * 4000}, "an interval with escapes": {"checkpoint_every": ESCAPES},
    "evaluations at once": {"eval_every": 1, "eval_episodes": 1}, "a target of infinity": {"target_return": float("inf")},
    "a target of −10^308": {"target_return": -1e308}, "keeps 10^18": {"keep_checkpoints": 10**18},
    "settings of a list": {"config": [1]}, "settings of a text": {"config": ESCAPES}, "threads of 10^9": {"threads": 10**9},
    "a limit of text": {"config": {"max_kl": ESCAPES, "target_kl": 1e308}},
}  # fmt: skip
JSONS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"", "zeros": lambda _: bytes(10**6), "deep": lambda _: b"[" * 10**5, "a list": lambda _: b"[]",
    "no UTF-8": lambda _: b'{"env": "\xff"}', "long": lambda text: text + b" " * (5 << 20),
    "digits": lambda _: b'{"steps": ' + b"9" * 10**5 + b"}", "cut": lambda text: text[: len(text) // 2],
}  # fmt: skip
TABLES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"", "zeros": lambda text: text + bytes(10**5), "many zeros": lambda text: text + bytes(10**8),
    "bytes": lambda _: bytes(range(256)) * 100, "no UTF-8": lambda text: text + b"2,\xff", "cut": lambda text: text[:-20],
    "quotes": lambda text: text + b'"' * 200_000 + b"\n", "NUL": lambda text: text.replace(b",", b"\0,"),
    "escapes": lambda text: text.replace(b",ok", b',"' + ESCAPES.strip().encode() + b'"'),
    "10^308": lambda text: text.replace(b"NaN", b"1e308").replace(b"nan", b"-1e308"), "head alone": lambda text: text[:20],
    "many columns": lambda text: b",".join(b"std_%d" % k for k in range(5000)) + b"\n" + b"1," * 4999 + b"1\n",
    "steps backwards": lambda text: text + b"".join(text.splitlines(keepends=True)[1:] * 50),
    "other columns": lambda _: b"a,b\r\n1,2\r\n", "infinities": lambda text: text.replace(b"NaN", b"inf"),
    "long lines": lambda text: text + b"1" * 10**7 + b"\n",
}  # fmt: skip


# ---- agent files -----------------------------------------------------------------------------------------------------


def _written(path: Path, fill: Callable[[zipfile.ZipFile], Any]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        fill(archive)
        archive.comment = bytes(64)
    body = buffer.getvalue()[:-64]
    path.write_bytes(body + sha256(body).hexdigest().encode())


def _npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def _agent(**meta: Any) -> Callable[[Path, Path], Any]:
    """The checkpoint with another description; the settings in `config` are changed one by one."""

    def make(run: Path, outside: Path) -> None:
        with zipfile.ZipFile(run / NEWEST) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        saved = json.loads(np.load(io.BytesIO(members["meta.json.npy"])).tobytes())
        changed = {**saved, **meta, "config": {**saved["config"], **meta.get("config", {})}}
        members["meta.json.npy"] = _npy(np.frombuffer(json.dumps(changed).encode(), np.uint8))
        _written(run / NEWEST, lambda archive: [archive.writestr(*member) for member in members.items()])
        _trap("envpool")(run, outside)

    return make


class _Executed:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def _pickled(run: Path, outside: Path) -> None:
    array = np.empty(1, object)
    array[0] = _Executed(outside / "executed")
    _written(run / NEWEST, lambda archive: archive.writestr("meta.json.npy", _npy(array, allow_pickle=True)))


def _plain_pickle(run: Path, outside: Path) -> None:
    (run / NEWEST).write_bytes(pickle.dumps(_Executed(outside / "executed")))


def _overlapping(archive: zipfile.ZipFile) -> None:
    archive.writestr("theta.npy", bytes(2_000_000))
    for number in range(2000):
        again = copy.copy(archive.infolist()[0])
        again.filename = f"{number:05}.npy"
        archive.filelist.append(again)


def _compressed(archive: zipfile.ZipFile) -> None:
    archive.writestr("theta.npy", _npy(np.zeros(10**8, np.uint8)), zipfile.ZIP_DEFLATED)


def _header(text: str) -> Callable[[zipfile.ZipFile], Any]:
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    return lambda archive: archive.writestr("meta.json.npy", content)


ARCHIVES: dict[str, Callable[[zipfile.ZipFile], Any]] = {
    "overlapping members": _overlapping, "compressed": _compressed, "empty": lambda archive: None,
    "names that climb": lambda archive: archive.writestr("../../outside/file", b"x"),
    "100 000 members": lambda archive: [archive.writestr(str(k), b"") for k in range(100_000)],
    "a shape of 10^12": _header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "a deep header": _header("[" * 5000), "a header that calls": _header("__import__('os').system('touch x')"),
    "a deep description": lambda archive: archive.writestr("meta.json.npy", _npy(np.full(10**6, ord("["), np.uint8))),
    "a long description": lambda archive: archive.writestr("meta.json.npy", _npy(np.full(1 << 25, ord(" "), np.uint8))),
}  # fmt: skip


def _class_that_imports(run: Path, outside: Path) -> None:
    _agent(made={"class": "numpy:testing"})(run, outside)
    _trap("unittest")(run, outside)


STACK = ["gymnasium.wrappers:FrameStackObservation", {"dict": [["stack_size", 10**9]]}]
RECIPE: dict[str, Any] = {"id": "CartPole-v1", "kwargs": {"dict": []}, "max_episode_steps": 500, "order_enforce": True,
                          "wrappers": [], "vector": False}  # fmt: skip


def _recipe(**changes: Any) -> Callable[[Path, Path], Any]:
    return _agent(made={"recipe": {**RECIPE, **changes}})


AGENTS: dict[str, Callable[[Path, Path], Any]] = {
    "512 processes": _agent(config={"num_envs": 512, "vec": "process"}),
    "4096 environments": _agent(config={"num_envs": 4096, "vec": "gymnasium"}),
    "2^20 environments": _agent(config={"num_envs": 2**20}), "EnvPool": _agent(config={"vec": "envpool"}),
    "a device": _agent(config={"vec": "device"}), "layers of 10^9": _agent(config={"hidden": [10**9]}),
    "10^5 layers": _agent(config={"hidden": [1] * 10**5}), "a timeout of 0": _agent(config={"env_timeout": 1e-300}),
    "another algorithm": _agent(algorithm=ESCAPES), "steps of 10^300": _agent(steps=10**300),
    "a negative seed": _agent(seed=-1), "a list for steps": _agent(steps=[]), "escapes": _agent(env=ESCAPES),
    "an id of a module": _agent(env="evil:Any-v0", made={"id": {}}), "ALE": _agent(env="ALE/Pong-v5", made={"id": {}}),
    "jax": _agent(env="phys2d/CartPole-v1", made={"id": {}}), "jax's newest": _agent(env="phys2d/CartPole", made={"id": {}}),
    "shimmy": _agent(env="GymV21Environment-v0", made={"id": {}}), "MuJoCo": _agent(env="Humanoid-v5", made={"id": {}}),
    "a class": _agent(made={"class": "os:system"}), "jax's class": _agent(made={"class": "gymnasium.wrappers.jax_to_torch:JaxToTorch"}),
    "a wrapper that records": _recipe(wrappers=[["gymnasium.wrappers:RecordVideo", {"dict": [["video_folder", "../x"]]}]]),
    "a wrapper that stacks 10^9": _recipe(wrappers=[STACK]), "a wrapper of evil": _recipe(wrappers=[["evil:Wrapper", {"dict": []}]]),
    "10^4 wrappers": _recipe(wrappers=[["gymnasium.wrappers:TimeAwareObservation", {"dict": []}]] * 10_000),
    "an array of text": _recipe(kwargs={"dict": [["x", {"array": ["<U500000000", [9], ["a"] * 9]}]]}),
    "an array of shape 10^12": _recipe(kwargs={"dict": [["x", {"array": ["<f8", [10**12], [0.0]]}]]}),
    "an object's dtype": _recipe(kwargs={"dict": [["x", {"array": ["O", [1], [0]]}]]}),
    "unknown arguments": _recipe(kwargs={"dict": [[ESCAPES, 1]]}), "deep arguments": _recipe(kwargs=json.loads("[" * 500 + "]" * 500)),
    "an id of a list": _recipe(id=[1]), "a limit of text": _recipe(max_episode_steps=ESCAPES),
    "no steps at all": _recipe(max_episode_steps=0), "a vector": _recipe(vector=True),
}  # fmt: skip


# ---- names and numbers of files --------------------------------------------------------------------------------------


def _deep(run: Path, outside: Path) -> None:
    here = os.getcwd()
    os.chdir(run.parent)
    for _ in range(1800):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)


def _named(*names: str) -> Callable[[Path, Path], Any]:
    return lambda run, outside: [_clear(run / name).write_bytes(b"x") for name in names]


NAMES: dict[str, Callable[[Path, Path], Any]] = {
    "deep folders": _deep, "5000 checkpoints": _named(*(f"checkpoints/{k:012d}.npz" for k in range(100, 5100))),
    "a checkpoint of 10^200": _named("checkpoints/" + "9" * 200 + ".npz"), "no checkpoint": lambda run, _: (run / NEWEST).unlink(),
    "digits of another script": _named("checkpoints/" + "٣" * 12 + ".npz"), "escapes": _named("checkpoints/\x1b[2J.npz", "\x1b\n"),
    "a folder for a checkpoint": lambda run, _: (run / "checkpoints" / ("9" * 12 + ".npz")).mkdir(),
    "a folder for a temporary file": lambda run, _: (run / ".config.json.x").mkdir(),
    "a folder for a damaged file": lambda run, _: [_clear(run / NEWEST).write_bytes(b"x"), (run / NEWEST).with_suffix(".damaged").mkdir()],
    "a run with escapes": lambda run, _: shutil.copytree(run, run.parent / "\x1b[2J\nx"),
    "1000 runs": lambda run, _: [(run.parent / f"r{k}").mkdir() or (run.parent / f"r{k}/config.json").touch() for k in range(1000)],
    "events of TensorBoard": _named("events.out.tfevents.0.x"), "a lock that is held": _named(".lock"),
}  # fmt: skip


# ---- folders of seeds ------------------------------------------------------------------------------------------------


def _seeds(**changes: Any) -> Callable[[Path, Path], Any]:
    def make(run: Path, outside: Path) -> None:
        saved = json.loads((run / "seeds.json").read_text())
        text = json.dumps({**saved, **changes}).replace("OUTSIDE", str(outside))
        (run / "seeds.json").write_text(text)

    return make


SEEDS: dict[str, Callable[[Path, Path], Any]] = {
    "another folder": _seeds(flags=["--out", "OUTSIDE/new"], seeds=[7]), "another run": _seeds(algorithm="--resume", env="OUTSIDE/run", seeds=[7]),
    "10 000 seeds": _seeds(seeds=[f"0-{10**9}"]), "many seeds": _seeds(seeds=["0-9999"] * 10**4), "NUL": _seeds(flags=["--preset", "a\0b"]),
    "10^9 jobs": _seeds(jobs=10**9), "help": _seeds(flags=["--help"]), "escapes": _seeds(env=ESCAPES, algorithm=ESCAPES),
    "a module": _seeds(env="evil:X-v0", seeds=[7]), "surrogates": _seeds(flags=["--preset", "\ud800"]), "a list": _bytes("seeds.json", lambda _: b"[]"),
    "a log outside": _link("seed0.log", "{outside}/file"), "a summary outside": _link("seed0.json", "{outside}/file"),
    "a pipe for a summary": _special("seed0.json", "pipe"), "a run outside": _link("seed0", "{outside}/run"),
    "other files": lambda run, _: (run / "seed0" / "config.json").unlink(), "a lock outside": _link(".lock", "{outside}/new"),
    "a summary that lies": _bytes("seed0.json", lambda _: b'{"seed": 0, "steps": 99, "mean_return": "x", "run": "/dev/zero"}'),
    "a summary of elsewhere": _bytes("seed0.json", lambda _: b'{"seed": 0, "steps": 99, "mean_return": 1, "run": "/dev/zero"}'),
    "a picture outside": _link("curves.png", "{outside}/file"), "a long summary": _bytes("seed0.json", lambda text: text + bytes(10**8)),
    "modules": _trap("numpy"), "more modules": _trap("random"),
}  # fmt: skip

WAYS = [
    *(Way(f"module {name}", _trap(name), fresh=True) for name in MODULES),
    Way("module unittest for a class of numpy's", _class_that_imports, fresh=True),
    *(Way(f"settings {name}", _settings(name), fresh=True) for name in SETTINGS),
    *(Way(f"link {name} to {what}", _link(name, target)) for name in FILES for what, target in TARGETS.items()),
    Way("link replay to what is outside", _link("replay", "{outside}")),
    *(Way(f"hard link {name}", _hard_link(name)) for name in FILES if name != "checkpoints"),
    *(Way(f"{kind} {name}", _special(name, kind)) for name in FILES[:5] for kind in ("pipe", "folder", "socket")),
    *(Way(f"sparse {name}", _special(name, "sparse")) for name in FILES[:4]),
    *(Way(f"config.json: {name}", _config(**changes)) for name, changes in CONFIGS.items()),
    *(Way(f"config.json {name}", _bytes("config.json", change)) for name, change in JSONS.items()),
    *(Way(f"metrics.csv {name}", _bytes("metrics.csv", change)) for name, change in TABLES.items()),
    *(Way(f"archive: {n}", lambda run, _, f=f: _written(run / NEWEST, f)) for n, f in ARCHIVES.items()),  # type: ignore[misc]
    Way("archive: an array that is pickled", _pickled), Way("archive: a pickle", _plain_pickle),
    *(Way(f"agent: {name}", make) for name, make in AGENTS.items()),
    *(Way(f"names: {name}", make) for name, make in NAMES.items()),
    *(Way(f"seeds: {name}", make, True) for name, make in SEEDS.items()),
]  # fmt: skip
