"""How an agent's networks read observations that are images, or long rows of zeros."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from minipg.checks import require
from minipg.network import Images, convolutions

LONG = 512  # numbers of an observation from which on its zeros are worth being looked for
_FEW = 4  # no more pixels than this are a strange height, but a usual number of channels


def images_of(space: Space[Any], size: int, config: Any) -> Images:
    """How a network reads observations of `space`, of `size` numbers each.

    An image is a Box of (height, width) or (height, width, channels). One of bytes is scaled from 0 … 255 to 0 … 1,
    unless it is standardised. Raises ConfigError for convolutions over anything else, and logs a line for an image
    whose channels seem to come first.
    """
    image = isinstance(space, spaces.Box) and len(space.shape) in (2, 3)
    scaled = image and space.dtype == np.uint8 and not config.normalize_obs
    scale = 1 / 255 if scaled else 1.0
    if not config.conv:
        return Images((), scale, config.sparse_input and size >= LONG)
    require(image, "conv", "none: observations are no images of (height, width, channels)", space)
    height, width, channels = (*(space.shape or ()), 1)[:3]
    if height <= _FEW < channels:
        read = f"{height} × {width} pixels of {channels} channels"
        logging.getLogger("minipg").warning(f"observations of {space.shape} are read as {read}: channels come last")
    return Images(convolutions((height, width, channels), config.conv), scale)
