"""Reading of the recorded optimisation steps."""

import json

import numpy as np

from tests.golden.parface import recordings
from tf_faces.convert import parface as convert

GRADIENT = 1e-2  # Of the sum of absolute values.
FIRST = 5e-2  # Of the largest of the first sixteen.
STATISTIC = 1e-4


def scenarios(arrays) -> dict[str, dict]:
    """{name: options} of the scenarios of a recording."""
    return {
        key.removesuffix("/args"): json.loads(str(arrays[key]))
        for key in arrays
        if key.endswith("/args")
    }


class Reader:
    """The arrays of one scenario, and which of them were compared."""

    def __init__(self, arrays, scenario: str):
        prefix = f"{scenario}/"
        self.arrays = {
            key.removeprefix(prefix): value
            for key, value in arrays.items()
            if key.startswith(prefix)
        }
        self.unseen = set(self.arrays) - {"n", "args", "landmarks3d"}

    def __contains__(self, name) -> bool:
        return name in self.arrays

    def take(self, name):
        self.unseen.discard(name)
        return self.arrays[name]

    def draws(self, when: str) -> dict:
        return {
            key.removeprefix(f"{when}/draw/"): self.take(key)
            for key in list(self.arrays)
            if key.startswith(f"{when}/draw/")
        }

    def stats(self, when: str, found, relative: float, absolute=None) -> None:
        prefix = f"{when}/stat/"
        absolute = absolute or {}
        for key in [key for key in self.arrays if key.startswith(prefix)]:
            name = key.removeprefix(prefix)
            # Without the Jensen-Shannon term, which never existed, both are one.
            ours = float(found["loss_lms" if name == "loss_lms w/o js" else name])
            np.testing.assert_allclose(
                ours,
                self.take(key),
                rtol=relative,
                atol=absolute.get(name, 1e-7),
                err_msg=key,
            )

    def gradients(self, when: str, found) -> None:
        prefix = f"{when}/grad/"
        names = {
            key.removeprefix(prefix).rpartition("/")[0]
            for key in self.arrays
            if key.startswith(prefix)
        }
        together = {}
        for part in found.values():
            together.update(part)
        for name in names:
            gradient = convert.to_original(together[name].numpy())
            check = self.take(f"{prefix}{name}/chk")
            np.testing.assert_allclose(
                recordings.checksum(gradient)[1], check[1], rtol=GRADIENT, err_msg=name
            )
            first = self.take(f"{prefix}{name}/first16")
            recordings.close_to_largest(
                gradient.reshape(-1)[: len(first)],
                first,
                max(FIRST, 0.01 * np.abs(gradient).mean() / np.abs(first).max()),
                f"{when} {name}",
            )

    def gradients_taken(self, when: str) -> None:
        """Later gradients follow from Adam's sign-like steps: only their size."""
        for key in [key for key in self.arrays if key.startswith(f"{when}/grad/")]:
            assert np.isfinite(self.take(key)).all()

    def stepped(self, when: str, optimizers: dict, gradients) -> None:
        prefix = f"{when}/stepped/optimizer_"
        recorded = {
            optimizers[key.removeprefix(prefix)]
            for key in list(self.arrays)
            if key.startswith(prefix) and self.take(key)
        }
        assert recorded == set(gradients), when

    def statistics(self, when: str, tensors, relative: float) -> None:
        prefix = f"{when}/bn/"
        for key in [key for key in self.arrays if key.startswith(prefix)]:
            layer, _, kind = key.removeprefix(prefix).rpartition("/")
            leaf = {"mean": "running_mean", "var": "running_var"}[kind]
            found = np.asarray(tensors[f"{layer}.{leaf}"])
            recordings.close_to_largest(found, self.take(key), relative, key)

    def changes(self, when: str, tensors, before, rate: float, steps: int) -> None:
        """Parameters that moved, by how much; those that did not stay exactly."""
        prefix = f"{when}/delta/"
        names = {
            key.removeprefix(prefix).rpartition("/")[0]
            for key in self.arrays
            if key.startswith(prefix)
        }
        assert names
        for name in names:
            delta = convert.to_original(np.asarray(tensors[name])) - before[name]
            check = self.take(f"{prefix}{name}/chk")
            first = self.take(f"{prefix}{name}/first16")
            if not check[1]:
                assert not delta.any(), name
                assert not first.any(), name
                continue
            np.testing.assert_allclose(
                recordings.checksum(delta)[1], check[1], rtol=0.1, err_msg=name
            )
            # Adam's early steps are signs: where the gradient is almost nothing they
            # may go the other way; a step without momentum is below rate * sqrt(2).
            close = (
                np.abs(delta.reshape(-1)[: len(first)] - first) <= 0.5 * rate * steps
            )
            assert np.abs(first).max() <= 1.45 * rate * steps, name
            assert close.mean() >= 0.5, (name, delta.reshape(-1)[:16], first)
