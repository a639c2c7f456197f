"""Mistakes that once went unnoticed; `python -m tests.mutation --known` makes them."""

import pathlib
from typing import NamedTuple

from tests.mutation.mutations import Mutation, read


class Mistake(NamedTuple):
    """One mistake by hand.

    Attributes:
      room: whose tests should notice.
      path: file below tf_faces.
      what: the mistake in words.
      right: text that is in the file once.
      wrong: what takes its place.
    """

    room: str
    path: str
    what: str
    right: str
    wrong: str


_TBGAN = "training/tbgan/system.py"

MISTAKES = (
    Mistake(
        "training", "training/tbgan/adam.py",
        "the loss scale never grows",
        "            local_variable(self._scale_log2).assign_add(self._increment)\n",
        "            pass\n",
    ),
    Mistake(
        "training", "training/tbgan/adam.py",
        "gradients are not unscaled",
        "name: self.unscale(tf.cast(gradient, tf.float32))",
        "name: tf.cast(gradient, tf.float32)",
    ),
    Mistake(
        "training", "training/tbgan/adam.py",
        "moments of unused variables do not decay",
        "                gradient = tf.zeros(variable.shape)\n",
        "                continue\n",
    ),
    Mistake(
        "training", "training/loop.py",
        "TensorBoard does not forget what lay after a restored snapshot",
        "                    events.restart(self.progress.images)\n",
        "",
    ),
    Mistake(
        "training", "training/loop.py",
        "the clock runs on while a signal's snapshot is saved",
        "            self._stop_clock()\n            self._save()\n        raise Term",
        "            self._save()\n        raise Term",
    ),
    Mistake(
        "training", "training/logging.py",
        "no start mark after a resume",
        "            self.restart(self._first_step)\n",
        "            pass\n",
    ),
    Mistake(
        "training", "training/loop.py",
        "the writer of events does not know where a resumed run begins",
        "logging.EventWriter(self.run.path, self.progress.images)",
        "logging.EventWriter(self.run.path)",
    ),
    Mistake(
        "training", "training/loop.py",
        "the pictures of a tick are not in the event file",
        "            pictures = system.write_results(self.run, progress)\n"
        "            events.write_pictures(progress.images, pictures)\n",
        "            system.write_results(self.run, progress)\n",
    ),
    Mistake(
        "training", "training/checkpoints.py",
        "a snapshot's files are not on the disk before the rename",
        "        os.fsync(stream.fileno())\n",
        "",
    ),
    Mistake(
        "training", "training/checkpoints.py",
        "a snapshot's folder is not on the disk before the rename",
        "        _sync_directory(temporary)\n",
        "",
    ),
    Mistake(
        "training", _TBGAN,
        "a resumed run does not know its former level of detail",
        '        self._former_level = state["former_level"]\n',
        "",
    ),
    Mistake(
        "training", _TBGAN,
        "a resumed run begins with the first images",
        '        self._index = self.dataset.index_from_state(state["data"])\n',
        "",
    ),
    Mistake(
        "training", _TBGAN,
        "all repeats of an iteration draw the same numbers",
        "(progress.restores, progress.iterations, repeat)",
        "(progress.restores, progress.iterations)",
    ),
    Mistake(
        "training", _TBGAN,
        "the G step takes the D step's latents",
        "                    drawn.generator_latents,\n",
        "                    drawn.discriminator_latents,\n",
    ),
    Mistake(
        "training", "training/tbgan/step.py",
        "the G step's latents are drawn by the D step's seed",
        "generator_latents=normal(2)",
        "generator_latents=normal(0)",
    ),
    Mistake(
        "training", _TBGAN,
        "bytes are not mapped to the range of the networks",
        "                self.dataset.dynamic_range,\n",
        "                config.train.drange_net,\n",
    ),
    Mistake(
        "training", "training/tbgan/sheets.py",
        "labels of the sheets are fed as they are",
        "            labels = tf.nn.softmax(labels).numpy()\n",
        "            pass\n",
    ),
    Mistake(
        "training", _TBGAN,
        "fakes are drawn by G",
        "sheets.Sheets(self.config, self.dataset, self.average)",
        "sheets.Sheets(self.config, self.dataset, self.generator)",
    ),
    Mistake(
        "training", _TBGAN,
        "the seed changes on resume",
        '        self._former_level = state["former_level"]\n',
        '        self._former_level = state["former_level"]\n'
        "        self.seed += 1\n",
    ),
)  # fmt: skip


def mutations(room: str, root: pathlib.Path) -> list[Mutation]:
    """Returns the known mistakes of a room.

    Raises:
      ValueError: if a text is not in its file just once.
    """
    found = []
    for mistake in MISTAKES:
        if mistake.room != room:
            continue
        path = f"tf_faces/{mistake.path}"
        source, right = read(root, path), mistake.right.encode()
        if source.count(right) != 1:
            raise ValueError(
                f"{path}: {mistake.what}: the text is there {source.count(right)} "
                "times, expected once."
            )
        start = source.index(right)
        line = source.count(b"\n", 0, start) + 1
        found.append(
            Mutation(
                path, "known", start, start + len(right), mistake.wrong.encode(), line
            )
        )
    return found
