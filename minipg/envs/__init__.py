"""Environments: how they are made, checked, and read through their spaces."""

from minipg.envs.action_mask import MASK, ActionMask, shown_choices
from minipg.envs.again import describe, rebuild, repeatable
from minipg.envs.chosen import env_of, imported, modules_of
from minipg.envs.faults import LIFE_LOST, column, infos_of
from minipg.envs.guard import closed_after, guarded, silence_noticed
from minipg.envs.make import make_drawn, make_vector, portable
from minipg.envs.recipe import NotRepeatable, name_of, resolve
from minipg.envs.recipe_file import imported_class, not_imported
from minipg.envs.register import register
from minipg.envs.spaces import ActionCodec, ObservationCodec

__all__ = [
    "LIFE_LOST", "MASK", "ActionCodec", "ActionMask", "NotRepeatable", "ObservationCodec", "closed_after", "column",
    "describe", "env_of", "guarded", "imported", "imported_class", "infos_of", "make_drawn", "make_vector",
    "modules_of", "name_of", "not_imported", "portable", "rebuild", "repeatable", "resolve", "shown_choices",
    "silence_noticed",
]  # fmt: skip

register()
