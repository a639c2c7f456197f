"""How many products a graph takes, and how fast this processor multiplies.

What remains of a step's time beyond its products at the rate of one large matrix
product is what better code could save.
"""

import math
import time


def multiply_adds(graph) -> int:
    """Counts the multiply-adds of convolutions and matrix products.

    Args:
      graph: of a concrete function, all shapes known; what it calls is counted too.
    """
    called = {name: function.graph for name, function in graph._functions.items()}

    def of(graph) -> int:
        total = 0
        for operation in _needed(graph):
            kind = operation.type
            if kind in ("PartitionedCall", "StatefulPartitionedCall"):
                total += of(called[operation.get_attr("f").name])
            elif kind == "MatMul":
                columns = operation.outputs[0].shape.as_list()
                first = operation.inputs[0].shape.as_list()
                inner = first[0 if operation.get_attr("transpose_a") else 1]
                total += math.prod(columns) * inner
            elif kind in ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"):
                total += _of_convolution(operation, kind)
        return total

    return of(graph)


def _needed(graph) -> list:
    """The operations that a function's outputs and side effects hang on."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    found: dict = {}
    while waiting:
        operation = waiting.pop()
        if operation.name in found:
            continue
        found[operation.name] = operation
        waiting += [tensor.op for tensor in operation.inputs]
        waiting += operation.control_inputs
    return list(found.values())


def _of_convolution(operation, kind: str) -> int:
    """Pixels of the smaller picture, times all weights."""
    first, second = (part.shape.as_list() for part in operation.inputs[:2])
    found = operation.outputs[0].shape.as_list()
    if kind == "Conv2D":
        return math.prod(found[:3]) * math.prod(second[:3]) * found[3]
    small = operation.inputs[2].shape.as_list()
    weights = found if kind == "Conv2DBackpropFilter" else second
    return math.prod(small[:3]) * math.prod(weights)


def product_rate(size: int = 2048, repeats: int = 5) -> float:
    """Multiply-adds a second, wall time, of a float32 matrix product on all threads."""
    import tensorflow as tf

    given = tf.random.stateless_normal((size, size), (0, 0))
    multiply = tf.function(lambda: tf.matmul(given, given))
    multiply().numpy()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        multiply().numpy()
        times.append(time.perf_counter() - start)
    return size**3 / min(times)
