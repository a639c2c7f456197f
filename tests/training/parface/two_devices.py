"""Run by test_devices.py in a process of its own: TensorFlow must split the processor
before its first op.  Prints one JSON object.

One step of each kind is taken on one device and on two, and what is compared are the
losses, the gradients that Adam remembers, and the statistics of the batch norms.
"""

import json
import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tensorflow as tf

from tests.training.parface.stand_ins import settings
from tf_faces.models.parface import decoder, encoder, layers
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training import distribution
from tf_faces.training import parface as training
from tf_faces.training.parface import stages

_SMALL = {
    "width": 2,
    "latent_width": 4,
    "num_landmarks": 3,
    "embedding_dims": 5,
    # Steps so small that what is stepped first changes nothing of what follows.
    "lr": 1e-9,
    "lr_heatmaps": 1e-9,
    "lr_encoder": 1e-9,
}
KINDS = {
    "heat_maps": {"stage": "landmarks_2d", "train_encoder": False},
    "heat_maps_and_encoder": {"stage": "landmarks_2d", "train_encoder": True},
    "depths": {"stage": "landmarks_3d", "train_encoder": True, "finetune_2d": True},
    "wasserstein": {"with_ssim_loss": True, "with_zgan": True},
    "vanilla": {"with_wgan_gp": False, "with_gan": True, "with_gen_loss": True},
}


def state(kind, strategy):
    """{name: array} after one step."""
    config = settings(**_SMALL, **KINDS[kind])
    with strategy.scope():
        networks = ParFaceNetworks(training.network_configuration(config), seed=1)
    stage = stages.Stage(config, networks, strategy)
    rng = np.random.default_rng(3)
    batch = {
        "image": rng.integers(0, 256, (4, 128, 128, 3), np.uint8),
        "landmarks": rng.uniform(20, 100, (4, 3, 2)).astype(np.float32),
        "landmarks_3d": rng.uniform(20, 100, (4, 3, 3)).astype(np.float32),
    }
    names, values = stage.train(batch, 0, 0)
    found = {f"stats/{n}": v for n, v in zip(names, values.numpy(), strict=True)}
    for prefix, optimizer in stage.optimizers.items():
        for name, slot in optimizer.named_variables().items():
            if name.startswith("first_moment"):
                found[f"{prefix}/{name}"] = slot.numpy() / (1 - optimizer.beta1)
    for name, variable in networks.named_tensors().items():
        if "running_" in name:
            found[f"statistics/{name}"] = variable.numpy()
    return found


def _smooth_activations() -> None:
    """Puts a smooth function in the place of the rectifiers.

    Where batches are normalised, a sum's last digit decides on which side of a kink a
    value lies, and gradients of a few channels differ by a tenth between two orders of
    the same batch.
    """
    for module in (layers, encoder, decoder):
        module.activate = lambda features, activation: tf.nn.softplus(features)


def main() -> None:
    """Compares, and prints the largest differences in parts of the largest value."""
    strategy = distribution.make_strategy("cpu:2", 1, "test")
    one = distribution.tf.distribute.get_strategy()
    report = {"replicas": strategy.num_replicas_in_sync}
    for kind in sys.argv[1:] or KINDS:
        if not kind.startswith("heat_maps"):
            _smooth_activations()
        first, second = state(kind, one), state(kind, strategy)
        assert first.keys() == second.keys()
        report[kind] = {
            name: float(np.abs(second[name] - value).max() / (np.abs(value).max()))
            for name, value in first.items()
            if np.abs(value).max() > 1e-6
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
