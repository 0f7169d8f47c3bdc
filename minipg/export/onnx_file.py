"""A policy as an ONNX graph: input `obs` (B, O) in single precision, output `action` (B, …)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipg import __version__
from minipg.checks import Array
from minipg.errors import ConfigError, installing
from minipg.export.blueprint import Blueprint, Choices, Reals
from minipg.kernels.arguments import MASKED

_BOOL = 9  # TensorProto.BOOL
_OPSET, _IR = 17, 8  # of 2022: what runs on devices is seldom new


def onnx_model(policy: Blueprint) -> bytes:
    """The serialised model. Raises ConfigError where the package `onnx` is missing."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise ConfigError(f".onnx needs the package onnx ({error}): {installing('onnx')}") from error

    graph = _Graph(helper, numpy_helper)
    x = "obs"
    if policy.standardize is not None:
        (mean, left), scale, limit = policy.standardize
        for name, operation, array in (("mean", "Sub", mean), ("mean_left", "Sub", left), ("scale", "Mul", scale)):
            x = graph.add(operation, x, graph.constant(name, array))
        limits = (graph.constant(name, np.float32(bound)) for name, bound in (("lowest", -limit), ("largest", limit)))
        x = graph.add("Clip", x, *limits)
    for k, (weight, bias) in enumerate(policy.layers):
        x = graph.add("Gemm", x, graph.constant(f"weight_{k}", weight), graph.constant(f"bias_{k}", bias))
        if k < len(policy.layers) - 1:
            x = graph.add({"tanh": "Tanh", "relu": "Relu"}[policy.activation], x)
    x = _action(policy, graph, x)
    x = graph.add("Reshape", x, graph.constant("shape", np.array([-1, *policy.shape], np.int64)))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(policy.dtype))
    graph.add("Cast", x, output="action", to=kind)
    whole = helper.make_graph(
        graph.nodes, "policy",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", policy.sizes[0]])],
        [helper.make_tensor_value_info("action", kind, ["batch", *policy.shape])],
        graph.constants, doc_string="; ".join([policy.title, *policy.observation]),
    )  # fmt: skip
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR,
                              producer_name="minipg", producer_version=__version__)  # fmt: skip
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _action(policy: Blueprint, graph: _Graph, x: str) -> str:
    """From the outputs to the numbers of an action. Returns their name."""
    action = policy.action
    if isinstance(action, Choices):
        if action.masked:
            limits = [np.array([number], np.int64) for number in (0, policy.sizes[-1], 1)]
            mask = graph.add("Slice", "obs", *(graph.constant(f"mask_{i}", limit) for i, limit in enumerate(limits)))
            x = graph.add("Where", graph.add("Cast", mask, to=_BOOL), x, graph.constant("masked", np.float32(MASKED)))
        ends = np.cumsum(action.sizes).tolist()
        chosen = []
        for k, (first, end, start) in enumerate(zip([0, *ends], ends, action.start, strict=False)):
            limits = [np.array([number], np.int64) for number in (first, end, 1)]
            part = graph.add("Slice", x, *(graph.constant(f"slice_{k}_{i}", limit) for i, limit in enumerate(limits)))
            best = graph.add("ArgMax", part, axis=1, keepdims=1)
            chosen.append(graph.add("Add", best, graph.constant(f"start_{k}", np.array([[start]], np.int64))))
        return graph.add("Concat", *chosen, axis=1)
    if isinstance(action, Reals):
        low, high = graph.constant("low", action.low), graph.constant("high", action.high)
        if action.scaled:
            one, half = (graph.constant(name, np.float32(number)) for name, number in (("one", 1), ("half", 0.5)))
            share = graph.add("Mul", graph.add("Add", graph.add("Tanh", x), one), half)
            of_low = graph.add("Mul", graph.add("Sub", one, share), low)
            x = graph.add("Add", of_low, graph.add("Mul", share, high))
        return graph.add("Min", graph.add("Max", x, low), high)
    return graph.add("Greater", x, graph.constant("zero", np.float32(0)))


class _Graph:
    """Nodes and constants, each output with a name of its own."""

    def __init__(self, helper: Any, numpy_helper: Any) -> None:
        self._helper, self._numpy_helper = helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: int) -> str:
        """Append a node. Returns the name of its output."""
        output = output or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operation, inputs, [output], **attributes))
        return output

    def constant(self, name: str, array: Array | np.generic) -> str:
        """Add a constant. Returns its name."""
        self.constants.append(self._numpy_helper.from_array(np.asarray(array), name))
        return name
