"""Runs: training into a folder, going on with it, evaluating out of it."""

from minipg.runs.callbacks import Evaluation, in_turn, stop_at
from minipg.runs.checkpoints import Checkpoints, load
from minipg.runs.evaluate import evaluate
from minipg.runs.folder import RunFolder
from minipg.runs.train import Plan, resume, train

__all__ = [
    "Checkpoints",
    "Evaluation",
    "Plan",
    "RunFolder",
    "evaluate",
    "in_turn",
    "load",
    "resume",
    "stop_at",
    "train",
]
