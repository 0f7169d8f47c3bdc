"""Runs: train into a folder, continue, evaluate, and the callbacks that `learn` takes."""

from minipg.runs.callbacks import Evaluation, in_turn, stop_at
from minipg.runs.checkpoints import Checkpoints, load
from minipg.runs.evaluate import evaluate
from minipg.runs.folder import RunFolder
from minipg.runs.plan import Plan
from minipg.runs.tensorboard import TensorBoard
from minipg.runs.train import resume, train

__all__ = [
    "Checkpoints",
    "Evaluation",
    "Plan",
    "RunFolder",
    "TensorBoard",
    "evaluate",
    "in_turn",
    "load",
    "resume",
    "stop_at",
    "train",
]
