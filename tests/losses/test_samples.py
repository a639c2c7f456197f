"""One number a sample: a batch gives what its samples give alone; known values."""

import numpy as np
import pytest

from tf_faces.losses import adversarial, landmarks, perceptual, reconstruction

RNG = np.random.default_rng(4)
PICTURES = RNG.uniform(0, 1, (2, 3, 40, 36, 2)).astype(np.float32)
DEPTHS = RNG.uniform(-1, 1, (2, 3, 5)).astype(np.float32)
SCORES = RNG.uniform(0.1, 0.9, (2, 3)).astype(np.float32)

LOSSES = [
    (reconstruction.l1, PICTURES),
    (reconstruction.l2, PICTURES),
    (reconstruction.structural, PICTURES),
    (landmarks.heatmap_mse, PICTURES),
    (landmarks.adaptive_wing, PICTURES),
    (landmarks.depth, DEPTHS),
    (adversarial.softplus_discriminator, SCORES),
    (adversarial.vanilla_discriminator, SCORES),
]


def by_layers(target, found):
    def layers(picture):
        return [picture, picture[:, ::2, ::3], 2 * picture[..., :1]]

    return perceptual.perceptual(layers(target), layers(found))


@pytest.mark.parametrize(
    ("loss", "pair"),
    [*LOSSES, (by_layers, PICTURES)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_batches_are_their_samples(loss, pair):
    together = np.asarray(loss(*pair))
    assert together.shape == (3,)
    alone = [np.asarray(loss(pair[0][i : i + 1], pair[1][i : i + 1])) for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5)
    assert len(set(together.tolist())) == 3


def test_sums_over_layers_and_means_over_places():
    target, found = np.zeros((2, 2, 4, 4, 3), np.float32)
    found[0] += 3
    found[1, 0, 0, 0] = 12
    layers = [target, target[:, :1, :1]], [found, found[:, :1, :1]]
    np.testing.assert_allclose(perceptual.perceptual(*layers), [18, 3 + 48])
    with pytest.raises(ValueError, match="argument 2|zip"):
        perceptual.perceptual(layers[0], layers[1][:1])


def test_distances_of_known_pictures():
    target, found = np.zeros((2, 1, 4, 4, 3), np.float32)
    found[0, 0, 0, 0] = 0.5
    np.testing.assert_allclose(reconstruction.l1(target, found), [255 * 0.5 / 48])
    np.testing.assert_allclose(reconstruction.l2(target, found), [0.25 / 48])
    np.testing.assert_allclose(landmarks.heatmap_mse(target, found), [300 * 0.25 / 48])
    depths = np.float32([[0.0, 0.5]]), np.float32([[0.2, 0.5]])
    np.testing.assert_allclose(landmarks.depth(*depths), [300 * 0.02], rtol=1e-5)


def test_equal_pictures_have_the_same_structure():
    picture = PICTURES[0]
    np.testing.assert_allclose(
        reconstruction.structural(picture, picture), 0, atol=1e-5
    )
    # Brightness is not looked at; turned contrast is the opposite.
    shifted = reconstruction.structural(picture, picture + np.float32(0.2))
    np.testing.assert_allclose(shifted, 0, atol=1e-3)
    assert (np.asarray(reconstruction.structural(picture, 1 - picture)) > 1.9).all()
    found = reconstruction.contrast_structure(picture, picture, window=11)
    assert found.shape == (3, 30, 26, 2)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, 1), (-0.5, 1, 1), (-0.51, 0.9, 2), (0, 128, 1), (0, 129, 255),
     (-1, 200, 256)],
)  # fmt: skip
def test_guessed_ranges(low, high, expected):
    target = np.zeros((1, 2, 2, 3), np.float32)
    target[0, 0, 0, 0], target[0, 1, 1, 2] = low, high
    found = np.asarray(reconstruction.guessed_range(target))
    assert found.shape == (1, 1, 1, 1) and found[0, 0, 0, 0] == expected


def test_the_wing_is_whole_and_flat_at_zero():
    target = np.float32([[0.0, 0.3, 1.0]])
    found = np.asarray(landmarks.adaptive_wing_map(target, target))
    np.testing.assert_allclose(found, 0, atol=1e-6)
    # As published, both parts meet at theta; the original's jump there.
    below, above = target + np.float32(0.4999), target + np.float32(0.5001)
    gap = np.abs(
        landmarks.adaptive_wing_map(target, above)
        - landmarks.adaptive_wing_map(target, below)
    )
    assert gap.max() < 0.01
    jump = np.abs(
        landmarks.adaptive_wing_map(target, above, faithful=True)
        - landmarks.adaptive_wing_map(target, below, faithful=True)
    )
    assert jump.min() > 1
    # 14 log(1 + 0.2^(2.1 - y)) of a small difference.
    small = landmarks.adaptive_wing_map(target, target + np.float32(0.2))
    expected = 14 * np.log1p(0.2 ** (2.1 - target))
    np.testing.assert_allclose(small, expected, rtol=1e-4)


def test_probabilities_of_the_plain_losses():
    real, fake = np.float32([0.9]), np.float32([0.2])
    np.testing.assert_allclose(
        adversarial.vanilla_discriminator(real, fake),
        -np.log(0.9) - np.log(0.8),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        adversarial.vanilla_generator(fake), -np.log(0.2), rtol=1e-5
    )
    soft = np.log1p(np.exp(np.array([0.9, 0.2])))
    np.testing.assert_allclose(
        adversarial.softplus_discriminator(real, fake), soft[1] - soft[0], rtol=1e-4
    )
    np.testing.assert_allclose(
        adversarial.softplus_generator(fake), -soft[1], rtol=1e-5
    )
