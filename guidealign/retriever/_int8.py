"""A float32 graph in eight bits, so that a text's vector does not depend on its neighbours.

Weights are symmetric per output column, word embeddings per row. Activations are quantised while
serving, each token by its own largest value: onnxruntime's dynamic quantisation takes one scale
for a whole batch, so that a query answered beside others would get another vector than alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidealign.retriever._onnx import GRAPH_FILE, TOKENIZER_FILE, describe, read_description

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WEIGHT_MOST = 64
"""7 bits: two products with 8-bit activations still fit 16 bits, so that processors without
VNNI, which add pairs up there, give the same result as those that have it."""
_ACTIVATION_MOST, _ACTIVATION_ZERO = 127, 128
_TABLE_ROWS = 1_000
"""Lookup tables with fewer rows (positions, segments) weigh nothing and stay as they are."""
_LEAST = 1e-12


def write_int8(source: Path, target: Path) -> None:
    """Writes the int8 form of a serving folder beside it."""
    target.mkdir()
    _quantize(source / GRAPH_FILE, target / GRAPH_FILE)
    shutil.copyfile(source / TOKENIZER_FILE, target / TOKENIZER_FILE)
    describe(target, replace(read_description(source), form="int8"))


def _quantize(source: Path, target: Path) -> None:
    """Rewrites the matrix products with constant weights and the large lookup tables."""
    import onnx
    from onnx import helper

    model = onnx.load(str(source))
    graph = model.graph
    rewriter = _Rewriter(graph)
    nodes = [new for node in graph.node for new in rewriter.rewrite(node)]
    kept = [i for i in graph.initializer if i.name not in rewriter.replaced]
    for field, content in ((graph.node, nodes), (graph.initializer, kept + rewriter.added)):
        del field[:]
        field.extend(content)
    # Of the types that were there before.
    del graph.value_info[:]
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, str(target))


class _Rewriter:
    def __init__(self, graph: Any) -> None:
        self._weights = {i.name: i for i in graph.initializer}
        self._quantized: set[str] = set()
        self.replaced: set[str] = set()
        self.added: list[Any] = []
        import numpy as np

        self._add("int8_most", np.array(_ACTIVATION_MOST, np.float32))
        self._add("int8_zero", np.array(_ACTIVATION_ZERO, np.uint8))
        self._add("int8_one", np.array(1, np.float32))
        self._add("int8_least", np.array(_LEAST, np.float32))
        self._add("int8_last", np.array([-1], np.int64))

    def rewrite(self, node: Any) -> Iterable[Any]:
        """The nodes that stand in place of one."""
        weight = self._weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is not None and len(weight.dims) == 2:
            return self._product(node)
        table = self._weights.get(node.input[0]) if node.op_type == "Gather" else None
        if table is not None and table.dims[0] >= _TABLE_ROWS:
            return self._lookup(node)
        return [node]

    def _product(self, node: Any) -> list[Any]:
        """x @ w as integers, then times the scales of row and column."""
        from onnx import helper

        x, weight, out = node.input[0], node.input[1], node.output[0]
        values = self._take(weight)
        # Query, key and value read the same rows: they are quantised once.
        before = [] if x in self._quantized else self._rows(x, values.shape[0])
        self._quantized.add(x)
        if weight not in self.replaced:
            self._add_quantized(weight, values, axis=0, most=_WEIGHT_MOST)
        product = helper.make_node(
            "MatMulIntegerToFloat",
            [f"{x}_int8", f"{weight}_int8", "int8_one", f"{weight}_scale", "int8_zero"],
            [f"{out}_unscaled"],
            domain="com.microsoft",
        )
        scaled = helper.make_node("Mul", [f"{out}_unscaled", f"{x}_scale"], [out])
        return [*before, product, scaled]

    def _rows(self, x: str, width: int) -> list[Any]:
        """Each row of x by its own largest value; as bytes around 128, which is what is fast."""
        import numpy as np
        from onnx import helper

        self._add(f"{x}_row_shape", np.array([-1, width], np.int64))
        steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
            ("Abs", [x], "size", {}),
            ("ReduceMax", [f"{x}_size", "int8_last"], "largest", {"keepdims": 1}),
            ("Max", [f"{x}_largest", "int8_least"], "most", {}),
            ("Div", [f"{x}_most", "int8_most"], "scale", {}),
            ("Reshape", [f"{x}_scale", "int8_last"], "scales", {}),
            ("Shape", [f"{x}_scales"], "count", {}),
            ("Expand", ["int8_zero", f"{x}_count"], "zeros", {}),
            ("Reshape", [x, f"{x}_row_shape"], "rows", {}),
            ("QuantizeLinear", [f"{x}_rows", f"{x}_scales", f"{x}_zeros"], "flat", {"axis": 0}),
            ("Shape", [x], "shape", {}),
            ("Reshape", [f"{x}_flat", f"{x}_shape"], "int8", {}),
        ]
        return [
            helper.make_node(kind, inputs, [f"{x}_{name}"], **attributes)
            for kind, inputs, name, attributes in steps
        ]

    def _lookup(self, node: Any) -> list[Any]:
        from onnx import TensorProto, helper

        table, ids, out = node.input[0], node.input[1], node.output[0]
        if table not in self.replaced:
            self._add_quantized(table, self._take(table), axis=1, most=_ACTIVATION_MOST)
        return [
            helper.make_node("Gather", [f"{table}_int8", ids], [f"{out}_int8"]),
            helper.make_node("Cast", [f"{out}_int8"], [f"{out}_whole"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{table}_scale", ids], [f"{out}_scale"]),
            helper.make_node("Mul", [f"{out}_whole", f"{out}_scale"], [out]),
        ]

    def _take(self, name: str) -> NDArray[np.float32]:
        from onnx import numpy_helper

        values: NDArray[np.float32] = numpy_helper.to_array(self._weights[name])
        return values

    def _add_quantized(
        self, name: str, values: NDArray[np.float32], *, axis: int, most: int
    ) -> None:
        import numpy as np

        scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), _LEAST) / most
        self._add(f"{name}_int8", np.rint(values / scale).astype(np.int8))
        self._add(f"{name}_scale", (scale if axis else scale[0]).astype(np.float32))
        self.replaced.add(name)

    def _add(self, name: str, values: NDArray[Any]) -> None:
        from onnx import numpy_helper

        self.added.append(numpy_helper.from_array(values, name))
