"""Gradients of a minibatch that is computed in parts, where memory holds no more.

The parts follow each other, so that one part's activations are gone before the next
one's come.  Gradients and terms are means over the parts, and equal those of the
undivided minibatch within float rounding if the minibatch statistic sees the same
groups.  It does where a part holds whole groups: parts are taken across the minibatch
for that.  Parts smaller than a group make groups as small as themselves, as more
devices would; then results differ.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf


def parts_of(count: int, most: int, group_size: int) -> int:
    """Returns into how many parts a replica's minibatch is divided.

    Args:
      count: samples of the minibatch.
      most: samples that are computed at once at most; 0 for no limit.
      group_size: of the minibatch statistic; 0 or 1 for none.

    Returns:
      The least number whose parts are equal, not larger than `most`, and whole groups
      (or at most one).
    """
    if most < 1 or count <= most:
        return 1
    group = max(group_size, 1)
    return next(
        parts
        for parts in range(2, count + 1)
        if count % parts == 0
        and count // parts <= most
        and ((count // parts) % group == 0 or count // parts < group)
    )


def part_rows(values, index, parts: int, group_size: int):
    """Returns the samples of one part.

    Sample n of N belongs to group n mod (N / g); part p of P takes the groups from
    p N / (g P) on, in their order.

    Args:
      values: [N, ...].
      index: scalar, of the part.
      parts: P, a divisor of N.
      group_size: g of the minibatch statistic; 0 or 1 for none.

    Returns:
      [N / P, ...].
    """
    count = values.shape[0]
    size = count // parts
    group = min(max(group_size, 1), size)
    shape = values.shape[1:]
    grouped = tf.reshape(values, [group, parts, size // group, *shape])
    return tf.reshape(tf.gather(grouped, index, axis=1), [size, *shape])


def means_over_parts(
    function: Callable, batch: Sequence[tf.Tensor], parts: int, group_size: int
):
    """Calls a function on each part of a minibatch and returns the means of its values.

    Args:
      function: parts of the tensors -> a structure of tensors and Nones.
      batch: tensors [N, ...].
      parts: 1 calls the function on the minibatch as it is.
      group_size: see `part_rows`.
    """
    if parts == 1:
        return function(*batch)

    def values_of(index):
        found = function(*(part_rows(v, index, parts, group_size) for v in batch))
        leaves = tf.nest.flatten(found)
        return found, [leaf for leaf in leaves if leaf is not None]

    structure, sums = values_of(tf.constant(0))

    def add(index, *former):
        # Only when the former part is done: else all would be in memory at once.
        with tf.control_dependencies(former):
            index = tf.identity(index)
        _, found = values_of(index)
        return (index + 1, *(a + b for a, b in zip(former, found, strict=True)))

    _, *sums = tf.while_loop(
        lambda index, *_: index < parts,
        add,
        (tf.constant(1), *sums),
        parallel_iterations=1,
        maximum_iterations=parts - 1,
    )
    means = iter([total / parts for total in sums])
    leaves = [
        None if leaf is None else next(means) for leaf in tf.nest.flatten(structure)
    ]
    return tf.nest.pack_sequence_as(structure, leaves)
