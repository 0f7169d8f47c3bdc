"""How an agent's networks read observations that are images, or long rows of zeros."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from minipg.checks import require
from minipg.envs import MASK
from minipg.network import Images, convolutions

LONG = 512  # numbers of an observation from which on its zeros are worth being looked for


def images_of(space: Space[Any], size: int, config: Any) -> Images:
    """How a network reads observations of `space`, of `size` numbers each.

    An image is a Box of (height, width) or (height, width, channels). Bytes from 0 to 255 are scaled to 0 … 1, unless
    they are standardised. Raises ConfigError for convolutions over anything else, and logs a line for an image
    whose channels seem to come first.
    """
    image = isinstance(space, spaces.Box) and len(space.shape) in (2, 3)
    scaled = image and _has_bytes_to_255(space) and not config.normalize_obs
    scale = 1 / 255 if scaled else 1.0
    if not config.conv:
        return Images((), scale, config.sparse_input and size >= LONG)
    expected = "none: observations are no images of (height, width, channels)"
    if isinstance(space, spaces.Dict) and MASK in space.spaces:
        expected = "none beside masks of actions (mask_actions): networks with convolutions read an image alone"
    require(image, "conv", expected, space)
    height, width, channels = (*(space.shape or ()), 1)[:3]  # (height, width) has one channel
    seems_channels_first = height <= 4 < channels
    if seems_channels_first:
        read = f"{height} × {width} pixels of {channels} channels"
        logging.getLogger("minipg").warning(f"observations of {space.shape} are read as {read}: channels come last")
    return Images(convolutions((height, width, channels), config.conv), scale)


def _has_bytes_to_255(space: Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and bool((space.high == 255).all())
