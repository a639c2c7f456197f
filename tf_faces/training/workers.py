"""What processes that train together agree on, beyond gradients.

All hold the same weights and take the same steps; the chief alone reads and writes the
run folder.  So a state is restored in the chief and handed to the others, whatever
they held, and a signal to one of them stops all after the same iteration.

A process that is lost makes the collective operations of all others fail.  Those
cannot be repaired within a process: `lost_peers_are_told` turns the failure into
`WorkerLost`, and the program starts anew (`tf_faces.apps.train`).
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_faces.core import machine
from tf_faces.core.errors import InputError, WorkerLost

# What collective operations fail with when a process goes away, and what joining fails
# with while the others have not noticed yet that this process is a new one.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.AlreadyExistsError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)
# Lengths of what is sent at once, in numbers of four bytes.
_LONG, _SHORT = 1 << 20, 1 << 12


class Workers:
    """The processes of one training, seen from one of them.

    All methods must be called by all processes in the same order.

    Attributes:
      is_chief: whether this process reads and writes the run folder.
      count: number of processes.
    """

    def __init__(
        self,
        cluster: machine.Cluster | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ):
        """Joins the processes of a strategy; without arguments there is one.

        Args:
          cluster: of `machine.parse_cluster`.
          strategy: a MultiWorkerMirroredStrategy.
        """
        cluster = cluster or machine.Cluster()
        self.is_chief = cluster.is_chief
        self.count = cluster.workers
        self._strategy = strategy
        self._sum: Any = None

    def any(self, flag: bool) -> bool:
        """Returns whether any process said true."""
        if self.count == 1:
            return flag
        return bool(self._total(np.array([flag], np.int32))[0])

    def share(self, value: Any) -> Any:
        """Returns the chief's value in every process, as JSON gives it back."""
        if self.count == 1:
            return value
        content = json.dumps(value).encode() if self.is_chief else b""
        size = int(self._total(np.array([len(content)], np.int32))[0])
        return json.loads(self._send(content, size))

    def share_array(self, array: np.ndarray) -> np.ndarray:
        """Returns the chief's array in every process, to the last bit.

        Args:
          array: of the same shape and type everywhere.
        """
        if self.count == 1:
            return array
        content = self._send(np.ascontiguousarray(array).tobytes(), array.nbytes)
        return np.frombuffer(content, array.dtype).reshape(array.shape)

    def share_variables(self, variables: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets the variables of every process to the chief's.

        Args:
          variables: {group: {name: variable}}, as `System.variables` gives them.
        """
        if self.count == 1:
            return
        for named in variables.values():
            for variable in named.values():
                variable.assign(self.share_array(np.asarray(variable.numpy())))

    def require_same(self, configuration: Mapping[str, Any]) -> None:
        """Checks that every process was started with one configuration.

        Raises:
          InputError: in the processes that differ from the chief.
        """
        if self.count == 1:
            return
        mine = json.loads(json.dumps(configuration))
        chiefs = self.share(configuration)
        different = sorted(
            name for name in {*mine, *chiefs} if mine.get(name) != chiefs.get(name)
        )
        if self.any(bool(different)):
            raise InputError(
                "--strategy=multi_worker: the processes have different configurations"
                f"{f' ({different[0]})' if different else ''}, expected one."
            )

    @contextlib.contextmanager
    def lost_peers_are_told(self) -> Iterator[None]:
        """Turns failures of collective operations into `WorkerLost`."""
        try:
            yield
        except _LOST as error:
            if self.count == 1:
                raise
            told = str(error.message)
            found = re.search(r"aborted by: (.*)", told)
            reason = " ".join((found[1] if found else told).split())[:200]
            raise WorkerLost(
                f"Another process of {self.count} was lost ({reason}); expected all "
                "to stay. Started again with --resume, they go on together."
            ) from error

    def _send(self, content: bytes, size: int) -> bytes:
        """Returns the chief's `content` of `size` bytes everywhere."""
        numbers = np.zeros(-(-size // 4), np.int32)
        if self.is_chief:
            numbers.view(np.uint8)[:size] = np.frombuffer(content, np.uint8)
        start = 0
        while start < len(numbers):
            # Of two lengths only: every length is a graph of its own.
            length = _LONG if len(numbers) - start >= _LONG else _SHORT
            part = numbers[start : start + length]
            padded = np.zeros(length, np.int32)
            padded[: len(part)] = part
            part[:] = self._total(padded)[: len(part)]
            start += length
        return numbers.view(np.uint8)[:size].tobytes()

    def _total(self, values: np.ndarray) -> np.ndarray:
        """Sum of the processes' arrays: int32 [n]."""
        if self._sum is None:
            self._sum = tf.function(self._summed, autograph=False)
        # Whole numbers in float64, which every device adds without rounding.
        with self.lost_peers_are_told():
            total = self._sum(tf.constant(values, tf.float64))
        return total.numpy().astype(np.int32)

    def _summed(self, values):
        strategy = self._strategy
        assert strategy is not None
        replicas_of_each = strategy.num_replicas_in_sync // self.count

        def part():
            context = tf.distribute.get_replica_context()
            # The first replica of each process speaks for it.
            speaks = context.replica_id_in_sync_group % replicas_of_each == 0
            mine = tf.where(speaks, values, tf.zeros_like(values))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

        return strategy.experimental_local_results(strategy.run(part))[0]
