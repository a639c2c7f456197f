"""The yardstick of dataset_tool writes what dataset_tool writes."""

import numpy as np

from benchmarks import plain_dataset_tool
from tests.data import coupled_source
from tf_faces.data.record_sets import coupled, frames, writer


def test_the_plain_loop_writes_the_same_samples(tmp_path):
    folder = coupled_source.write(tmp_path / "maps", count=3, side=16)
    names = (folder / name for name in ("texture", "shape", "normals"))
    source = coupled.CoupledSource(*names)
    samples = coupled.from_pkl_img_norm(source)
    writer.write_record_set(tmp_path / "set", samples, processes=1)
    plain = plain_dataset_tool.write(tmp_path, samples.items)
    ours = sorted((tmp_path / "set").glob("*.tfrecords"), reverse=True)
    assert len(plain) == len(ours) == 3
    for one, other in zip(plain, ours, strict=True):
        with frames.RecordFile(one) as first, frames.RecordFile(other) as second:
            assert len(first) == len(second) == 3
            for index in range(3):
                np.testing.assert_array_equal(first.image(index), second.image(index))
