"""A policy as a C99 source: one function in single precision, without allocation, for a microcontroller."""

from __future__ import annotations

import math

import numpy as np

from minipg.checks import Array
from minipg.export.blueprint import Blueprint, Choices, Reals
from minipg.kernels.arguments import MASKED

_SOURCE = """\
/* The policy of {title}, exported by minipg. C99; it needs math.h and allocates nothing.

   void minipg_act(const float obs[{inputs}], {kind} action[{outputs}]);

   An observation is flat:
{observation}
   An action is flat, and has the shape {shape}.
*/

#include <math.h>

{arrays}

void minipg_act(const float obs[{inputs}], {kind} action[{outputs}]);

void minipg_act(const float obs[{inputs}], {kind} action[{outputs}])
{{
    float x[{widest}], y[{widest}];
    int i, j;
    for (i = 0; i < {inputs}; i++)
        x[i] = {standardized};
{layers}
{action}
}}
"""
_LAYER = """\
    for (j = 0; j < {columns}; j++) {{
        y[j] = bias_{k}[j];
        for (i = 0; i < {rows}; i++)
            y[j] += x[i] * weight_{k}[i][j];
    }}
    for (j = 0; j < {columns}; j++)
        x[j] = {activation};
"""
_CHOICE = """\
    for (i = 0; i < {count}; i++) {{
        int best = first[i];
        for (j = first[i] + 1; j < first[i + 1]; j++)
            if (x[j] > x[best])
                best = j;
        action[i] = best - first[i] + start[i];
    }}"""
_MASKED = """\
    for (i = 0; i < {count}; i++)
        x[i] = obs[i] != 0.0f ? x[i] : {value};
"""
_SCALED = """\
    for (i = 0; i < {count}; i++) {{
        float share = (1.0f + tanhf(x[i])) / 2.0f;
        x[i] = (1.0f - share) * low[i] + share * high[i];
    }}
"""
_CLIPPED = """\
    for (i = 0; i < {count}; i++)
        action[i] = fminf(fmaxf(x[i], low[i]), high[i]);"""
_BITS = """\
    for (i = 0; i < {count}; i++)
        action[i] = x[i] > 0.0f;"""


def c_source(policy: Blueprint) -> str:
    """The text of the source."""
    arrays, standardized = [], "obs[i]"
    if policy.standardize is not None:
        mean, left = policy.standardize.mean
        named = {"mean": mean, "mean_left": left, "scale": policy.standardize.scale}
        arrays += [_floats(name, array) for name, array in named.items()]
        limit = _float(policy.standardize.limit)
        value = "(obs[i] - mean[i] - mean_left[i]) * scale[i]"
        standardized = f"fminf(fmaxf({value}, -{limit}), {limit})"
    layers = []
    for k, (weight, bias) in enumerate(policy.layers):
        arrays += [_floats(f"weight_{k}", weight), _floats(f"bias_{k}", bias)]
        hidden = {"tanh": "tanhf(y[j])", "relu": "fmaxf(y[j], 0.0f)"}[policy.activation]
        activation = hidden if k < len(policy.layers) - 1 else "y[j]"
        layers.append(_LAYER.format(columns=len(bias), rows=len(weight), k=k, activation=activation))
    count = math.prod(policy.shape)
    action = policy.action
    if isinstance(action, Choices):
        first = [0, *np.cumsum(action.sizes).tolist()]
        arrays += [_integers("first", first), _integers("start", action.start)]
        masked = _MASKED.format(count=policy.sizes[-1], value=_float(MASKED)) if action.masked else ""
        ending = masked + _CHOICE.format(count=count)
    elif isinstance(action, Reals):
        arrays += [_floats("low", action.low), _floats("high", action.high)]
        ending = (_SCALED if action.scaled else "").format(count=count) + _CLIPPED.format(count=count)
    else:
        ending = _BITS.format(count=count)
    return _SOURCE.format(
        title=policy.title,
        inputs=policy.sizes[0],
        outputs=count,
        kind="float" if isinstance(action, Reals) else "int",
        observation="\n".join(f"   {line}" for line in policy.observation),
        shape=policy.shape,
        arrays="\n".join(arrays),
        widest=max(policy.sizes),
        standardized=standardized,
        layers="".join(layers).rstrip("\n"),
        action=ending,
    )


def _float(number: float) -> str:
    """A literal that is read as exactly this number in single precision."""
    number = float(np.float32(number))
    if not math.isfinite(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    text = f"{number:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"


def _floats(name: str, array: Array) -> str:
    rows = ["{" + ", ".join(map(_float, row)) + "}" for row in np.atleast_2d(array).tolist()]
    if array.ndim == 1:
        return f"static const float {name}[{len(array)}] = {rows[0]};"
    shape = "".join(f"[{n}]" for n in array.shape)
    return f"static const float {name}{shape} = {{\n    " + ",\n    ".join(rows) + "\n};"


def _integers(name: str, numbers: tuple[int, ...] | list[int]) -> str:
    return f"static const int {name}[{len(numbers)}] = {{{', '.join(map(str, numbers))}}};"
