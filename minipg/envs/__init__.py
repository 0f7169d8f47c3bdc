"""Environments: made from an id, an instance or a vector environment, and read through their spaces."""

from minipg.envs.make import VECTORS, guarded, make_drawn, make_vector
from minipg.envs.register import register
from minipg.envs.spaces import ActionCodec, ObservationCodec

__all__ = ["VECTORS", "ActionCodec", "ObservationCodec", "guarded", "make_drawn", "make_vector"]

register()
