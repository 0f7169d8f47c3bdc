"""Environments: made from an id, an instance or a vector environment, and read through their spaces."""

from minipg.envs.faults import column
from minipg.envs.guard import closed_after, guarded, silence_noticed
from minipg.envs.make import VECTORS, make_drawn, make_vector
from minipg.envs.register import register
from minipg.envs.spaces import ActionCodec, ObservationCodec

__all__ = [
    "VECTORS",
    "ActionCodec",
    "ObservationCodec",
    "closed_after",
    "column",
    "guarded",
    "make_drawn",
    "make_vector",
    "silence_noticed",
]

register()
