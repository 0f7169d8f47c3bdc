"""Collecting experience: the Batch, the collector that fills it, and the statistics that scale it."""

from minipg.rollout.batch import Batch, episode_starts, with_valid_rows
from minipg.rollout.collector import Collector
from minipg.rollout.normalizer import Moments, ObservationNormalizer, RewardScaler

__all__ = [
    "Batch",
    "Collector",
    "Moments",
    "ObservationNormalizer",
    "RewardScaler",
    "episode_starts",
    "with_valid_rows",
]
