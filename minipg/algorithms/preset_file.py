"""A preset in a file: the settings that differ from the defaults of an algorithm's config, as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from minipg.checks import declared_type
from minipg.errors import ConfigError, MinipgError, unknown_name
from minipg.runtime.files import MOST_JSON, open_regular, write_json


def write_preset(path: Path, algorithm: Any, config: Any, **about: Any) -> None:
    """Write the settings of an agent of the class `algorithm`, and what else (JSON) is to be known about them.

    JSON has no infinity, so null stands for it. Raises RunFolderError.
    """
    default, own = vars(algorithm.Config()), dataclasses.asdict(config)
    settings = {name: value for name, value in own.items() if value != default[name]}
    write_json(path, {"algorithm": algorithm.name, **about, "settings": settings})


def read_preset(path: Path, algorithm: Any) -> dict[str, Any]:
    """The settings that a file has for agents of the class `algorithm`, all of them checked.

    Raises ConfigError if the file cannot be read, is of another algorithm, or has a setting that the config refuses.
    """
    try:
        with open_regular(path, MOST_JSON, links=True) as file:
            content = json.loads(file.read().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    settings = content.get("settings") if isinstance(content, dict) else None
    if not isinstance(settings, dict):
        raise ConfigError(f'{path}: expected an object with the settings of a preset: {{"settings": {{…}}}}')
    if content.get("algorithm", algorithm.name) != algorithm.name:
        raise ConfigError(f"{path}: expected a preset of {algorithm.name}, got one of {content['algorithm']!r}")
    fields = {field.name: field for field in dataclasses.fields(algorithm.Config)}
    try:
        for name in settings:
            if name not in fields:
                raise unknown_name("setting", name, fields)
        infinite = [name for name, value in settings.items() if value is None and _is_float(fields[name])]
        settings |= dict.fromkeys(infinite, math.inf)
        algorithm.Config(**settings)
    except (MinipgError, OverflowError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return settings


def _is_float(field: dataclasses.Field[Any]) -> bool:
    return declared_type(field) == "float"
