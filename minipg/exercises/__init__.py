"""Exercises: for each chapter two derivatives to write oneself, checked by differences, with a diagnosis.

minipg exercise 7                 writes exercise_07.py, or checks it
minipg exercise 7 --solution      prints the library's functions that solve it
"""

from __future__ import annotations

from minipg.exercises import branches, estimates, images, regions
from minipg.exercises.exercise import Exercise, Verdict, check_answer

CHAPTERS = {
    1: "the policy gradient and the log-derivative",
    2: "baselines and credit",
    3: "actor, critic and GAE",
    4: "A3C",
    5: "importance sampling",
    6: "the performance difference, the surrogate and the bound",
    7: "the natural gradient and Fisher products",
    8: "conjugate gradient",
    9: "TRPO, its dual form and vine",
    10: "PPO's objectives",
    11: "distributed gradients",
    12: "the deterministic branch",
    13: "pixels",
    14: "checking a gradient",
}
EXERCISES: dict[int, tuple[Exercise, Exercise]] = {
    **estimates.EXERCISES,
    **regions.EXERCISES,
    **branches.EXERCISES,
    **images.EXERCISES,
}

__all__ = ["CHAPTERS", "EXERCISES", "Exercise", "Verdict", "check_answer"]
