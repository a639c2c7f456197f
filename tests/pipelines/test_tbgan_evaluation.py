"""Evaluation of snapshots on tiny sets: passes, modalities, stores, refusals."""

import numpy as np
import pytest

from tests import tiny_training
from tf_faces.convert import feature_networks
from tf_faces.core.errors import InputError
from tf_faces.data import tbgan as data
from tf_faces.metrics import feature_statistics
from tf_faces.models import tbgan as networks
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import evaluation, feature_measures


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    tiny_training.make_data(folder / "maps", count=24, resolution=16)
    return data.TfrecordDataset(folder / "maps", max_label_size="full", shuffle_mb=0)


@pytest.fixture(scope="module")
def pipeline():
    generator = networks.Generator(
        networks.GeneratorConfig(
            num_channels=9, resolution=16, label_size=7, fmap_base=32, fmap_max=4,
            lod_sep=3,
        )
    )  # fmt: skip
    return tbgan.TbganPipeline.from_generator(generator)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_FACES_CACHE", str(tmp_path))
    return tmp_path / "statistics"


def measured(dataset, snapshots=(), **options):
    options = {"images": 16, "minibatch": 8, "passes": 1, **options}
    return list(
        evaluation.evaluate(evaluation.Reals(dataset, False), snapshots, **options)
    )


def test_rows_and_modalities(dataset, pipeline):
    rows = measured(dataset, [(1500, lambda: pipeline)], passes=2)
    assert [(row.title, row.images) for row in rows] == [
        ("Reals", None), ("Reals2", None), ("1.5", 1500),
    ]  # fmt: skip
    names = list(rows[0].values)
    sides = ("texture", "shape", "normals", "joint")
    assert names == [
        *(f"SWDx1e3_{level}_{side}" for side in sides for level in ("16", "avg")),
        *(f"MS-SSIM_{side}" for side in sides),
    ]
    distances = [[row.values[name] for name in names[:8]] for row in rows]
    assert set(distances[0]) == {0}
    assert min(distances[1]) > 0
    # Noise is further from the set than the set from itself.
    assert all(a < b for a, b in zip(distances[1], distances[2], strict=True))


def test_modalities_are_measured_on_their_channels(dataset, pipeline):
    """Exchanging two modalities of the fakes moves the shape's distance only there."""
    rows = measured(dataset, [(0, lambda: pipeline)], metrics=["msssim"])
    images = np.stack(list(dataset.images(0)))[:16]
    from tf_faces.data import images as image_files
    from tf_faces.metrics import multiscale_similarity

    shape = image_files.to_uint8(np.moveaxis(images[:, 3:6], 1, -1), (-1, 1))
    expected = multiscale_similarity.multiscale_similarity(shape[::2], shape[1::2])
    assert rows[0].values["MS-SSIM_shape"] == pytest.approx(expected.mean(), rel=1e-9)
    whole = image_files.to_uint8(np.moveaxis(images, 1, -1), (-1, 1))
    expected = multiscale_similarity.multiscale_similarity(whole[::2], whole[1::2])
    assert rows[0].values["MS-SSIM_joint"] == pytest.approx(expected.mean(), rel=1e-9)


def test_second_pass_goes_on_in_the_set(dataset):
    reals = evaluation.Reals(dataset, False)
    random = np.random.RandomState(0)
    first = np.concatenate([x for x, _ in reals.batches(16, 8, random)])
    second, labels = zip(*reals.batches(16, 6, random), strict=True)
    assert [len(part) for part in second] == [6, 6, 4]
    second = np.concatenate(second)
    np.testing.assert_array_equal(second[8:], first[:8])
    np.testing.assert_array_equal(
        np.concatenate(labels), dataset.labels[np.arange(16, 32) % 24]
    )


def test_mirrored_reals(dataset):
    plain = np.concatenate(
        [x for x, _ in evaluation.Reals(dataset, False).batches(8, 8, None)]
    )
    random = np.random.RandomState(4)
    ((turned, _),) = evaluation.Reals(dataset, True).batches(8, 8, random)
    flips = np.random.RandomState(4).rand(8) < 0.5
    assert flips.any() and not flips.all()
    for before, after, flip in zip(plain, turned, flips, strict=True):
        np.testing.assert_array_equal(after, before[:, ::-1] if flip else before)


def test_fakes_have_the_labels_of_the_last_pass(dataset, pipeline):
    fed = []

    class Spy:
        resolution, channels, latent_size = 16, 9, pipeline.latent_size
        source = "spy"
        labels_for = staticmethod(pipeline.labels_for)

        def maps(self, latents, labels, minibatch):
            fed.append(labels)
            return pipeline.maps(latents, labels, minibatch)

    measured(dataset, [(0, Spy)], passes=2, metrics=["msssim"])
    rows = dataset.labels[np.arange(16, 32) % 24]
    np.testing.assert_array_equal(np.concatenate(fed), pipeline.labels_for(rows))


def test_a_seed_gives_the_same_numbers(dataset, pipeline):
    snapshots = [(0, lambda: pipeline)]
    first, again, other = (
        measured(dataset, snapshots, metrics=["swd"], seed=seed)[-1].values
        for seed in (3, 3, 4)
    )
    assert first == again != other


def test_features_of_reals_are_kept(dataset, pipeline, cache):
    calls = []
    plain = feature_networks.random_network()

    def counted(images):
        calls.append(len(images))
        return plain.features(images)

    network = feature_networks.FeatureNetwork("random", plain.digest, counted)
    snapshots = [(0, lambda: pipeline)]
    options = {"metrics": ["fid", "kid", "pr"], "network": network}
    first = measured(dataset, snapshots, **options)
    assert list(first[0].values)[:4] == [
        "FD-random_texture", "KIDx1e3-random_texture", "Precision-random_texture",
        "Recall-random_texture",
    ]  # fmt: skip
    made = len(calls)
    again = measured(dataset, snapshots, **options)
    # The fakes only.
    assert len(calls) - made == made // 2
    assert [row.values for row in first] == [row.values for row in again]
    assert len(list(cache.iterdir())) == 3
    assert first[0].values["FD-random_shape"] == pytest.approx(0, abs=1e-3)
    assert first[1].values["FD-random_shape"] > 1
    assert list(first[0].values)[-4:] == [
        "FD-random_joint", "KIDx1e3-random_joint", "Precision-random_joint",
        "Recall-random_joint",
    ]  # fmt: skip


def test_joint_features_see_which_modalities_belong_together():
    """Shapes given to other textures change the joint distance alone."""
    random = np.random.default_rng(2)
    texture = random.standard_normal((40, 3))
    pairs = {"texture": texture, "shape": texture @ random.standard_normal((3, 3))}
    network = feature_networks.FeatureNetwork("inception-2015", "", None)
    parts = {name: feature_measures.FeatureMetric(network, ["fid"], 0)
             for name in pairs}  # fmt: skip
    joint = feature_measures.JointFeatureMetric(list(parts.values()), ["fid"])
    assert joint.names() == ["FD-inception-2015"]
    for order in (slice(None), slice(None, None, -1)):
        parts["texture"].feed_features(pairs["texture"])
        parts["shape"].feed_features(pairs["shape"][order])
        end = "end_reference" if order.step is None else "end"
        alone = [getattr(part, end)()[0] for part in parts.values()]
        (together,) = getattr(joint, end)()
        assert alone == pytest.approx([0, 0], abs=1e-6)
        assert (together > 1) == (order.step == -1)
    means = np.concatenate([pairs["texture"], pairs["shape"][::-1]], axis=1)
    expected = feature_statistics.frechet_distance(
        feature_statistics.Gaussian.of(np.concatenate(list(pairs.values()), axis=1)),
        feature_statistics.Gaussian.of(means),
    )
    assert together == pytest.approx(expected)


def test_table(dataset):
    row = evaluation.Row("Reals", None, 3.2, {"SWDx1e3_16": 1.25, "MS-SSIM": 0.5})
    lines = evaluation.table_lines(list(row.values), [row])
    assert lines == [
        "Snapshot  Time_eval   SWDx1e3_16   MS-SSIM   ",
        "---       ---         ---          ---       ",
        "Reals     3s          1.2500       0.5000    ",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["fid"]}, "needs a network"),
        ({"metrics": ["swd", "swd"]}, "each once"),
        ({"metrics": ["psnr"]}, "found psnr"),
        ({"images": 15}, "even numbers"),
        ({"minibatch": 3}, "even numbers"),
        ({"images": 1, "metrics": ["swd"]}, "two images"),
        ({"passes": 0}, "one pass"),
    ],
)
def test_refused(dataset, options, message):
    with pytest.raises(InputError, match=message):
        measured(dataset, **options)


def test_classes_are_needed_for_the_score(dataset):
    with pytest.raises(InputError, match="'is' needs classes"):
        measured(dataset, metrics=["is"], network=feature_networks.random_network())


def test_other_sizes_are_refused(dataset, tmp_path):
    small = networks.Generator(
        networks.GeneratorConfig(num_channels=9, resolution=8, label_size=7,
                                 fmap_base=32, fmap_max=4)
    )  # fmt: skip
    other = tbgan.TbganPipeline.from_generator(small)
    with pytest.raises(InputError, match="8x8x9, expected 16x16x9"):
        measured(dataset, [(0, lambda: other)], metrics=["swd"])
    tiny = data.TfrecordDataset(tiny_training.make_data(tmp_path / "t", 8, 8))
    with pytest.raises(InputError, match="need 16 pixels"):
        measured(tiny, images=4)
