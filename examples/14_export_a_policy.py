"""Export a policy to Python and to C, and call both: neither needs minipg.

python examples/14_export_a_policy.py
"""

import ctypes
import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from minipg import PPO
from minipg.export import export

agent = PPO("CartPole-v1", seed=0, threads=1, num_envs=8, n_steps=128, learning_rate=1e-3).learn(30_000)
obs = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
wanted, _ = agent.predict(obs, deterministic=True)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)

    export(agent, folder / "policy.py")
    spec = importlib.util.spec_from_file_location("policy", folder / "policy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    size = (folder / "policy.py").stat().st_size
    print(f"policy.py, {size:,} bytes, NumPy alone: {(module.act(obs) == wanted).mean():.1%} of the actions are equal")

    export(agent, folder / "policy.c")
    size = (folder / "policy.c").stat().st_size
    compiler = shutil.which("cc")
    if compiler is None:
        print(f"policy.c, {size:,} bytes: there is no C compiler here to call it")
    else:
        library = folder / "policy.so"
        flags = "-std=c99", "-O2", "-shared", "-fPIC"
        subprocess.run([compiler, *flags, folder / "policy.c", "-o", library, "-lm"], check=True)
        act = ctypes.CDLL(str(library)).minipg_act  # void minipg_act(const float obs[4], int action[1])
        found, out = [], ctypes.c_int()
        for row in obs:
            act(row.ctypes.data_as(ctypes.c_void_p), ctypes.byref(out))
            found.append(out.value)
        print(f"policy.c, {size:,} bytes, C99: {np.mean(found == wanted):.1%} of the actions are equal")

print(f"the actions are {np.bincount(wanted).tolist()} times left and right")
