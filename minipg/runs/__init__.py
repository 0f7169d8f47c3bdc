"""Runs: training into a folder, evaluating out of it."""

from minipg.runs.evaluate import evaluate
from minipg.runs.folder import RunFolder
from minipg.runs.train import train

__all__ = ["RunFolder", "evaluate", "train"]
