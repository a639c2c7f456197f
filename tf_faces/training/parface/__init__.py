"""Training of ParFace: what the training program asks for."""

import ml_collections

from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training import distribution, loop
from tf_faces.training.parface import data_sets, stages, weights
from tf_faces.training.parface.system import ParFaceSystem

# What a resumed run may change without training anything else.
FREE_ON_RESUME = (
    "desc",
    "data_dir",
    "result_dir",
    "devices",
    "workers",
    "save_freq",
    "batchsize_eval",
    "resume",
    "train.snapshot_epochs",
    "train.keep_snapshots",
    "train.nonfinite_policy",
    "train.restore_limit",
)


def network_configuration(config: ml_collections.ConfigDict) -> ParFaceConfig:
    """The networks that a configuration describes."""
    return ParFaceConfig(
        input_size=config.input_size,
        num_landmarks=config.num_landmarks,
        latent_size=config.embedding_dims,
        width=config.width,
        landmark_width=config.landmark_width,
        latent_width=config.latent_width,
        activation=config.activation,
        normalized=config.normalize,
        decoding=config.decoding,
    )


def prepare_data(config: ml_collections.ConfigDict, dry_run: bool = False) -> bool:
    """Nothing to prepare: `build` opens the data sets; returns True."""
    del config, dry_run
    return True


def build(config: ml_collections.ConfigDict) -> ParFaceSystem:
    """Opens the data, makes the networks and takes the weights of the stage before.

    Raises:
      InputError: for data or options that do not fit, each other or the devices.
    """
    strategy = distribution.make_strategy(config.devices, config.num_gpus, config.desc)
    replicas = strategy.num_replicas_in_sync
    if config.batchsize % replicas:
        raise InputError(
            f"batchsize: found {config.batchsize}, expected a multiple of {replicas}, "
            "the number of devices."
        )
    if config.xla and replicas > 1:
        raise InputError(
            f"--xla: found {replicas} devices, expected one: XLA cannot compile a step "
            "that spans devices."
        )
    if config.stage == "self_supervised" and config.with_perceptual_loss:
        stages.require_perceptual_options(config)
    config.num_gpus = replicas
    seeding.seed_everything(config.random_seed)
    training = data_sets.open_mixture(config, train=True)
    validation = data_sets.open_mixture(config, train=False)
    with strategy.scope():
        networks = ParFaceNetworks(
            network_configuration(config), config.random_seed, config.true_wasserstein
        )
    past = weights.Past()
    if config.resnet_weights:
        taken = weights.load_resnet(networks, config.resnet_weights)
        print(f"{config.resnet_weights}: {taken} tensors of encoder and depth head")
    if config.resume:
        past = weights.restore(networks, config.resume, config.result_dir)
        print(f"Going on from {config.resume}, epoch {past.epoch}")
    if config.reset:
        stages.reset_discriminator(networks, config.random_seed)
    system = ParFaceSystem(config, networks, past, training, validation, strategy)
    print(f"Training faces: {len(training)}")
    print(f"Validation faces: {0 if validation is None else len(validation)}")
    for prefix, part in networks.parts().items():
        print(f"{prefix:<7}{part.count_params():>12,} parameters")
    config.total_images = system.epochs * system.epoch_images
    return system


def loop_options(config: ml_collections.ConfigDict) -> loop.Options:
    """Returns the loop's options of a resolved configuration (after `build`)."""
    train = config.train
    return loop.Options(
        total_images=int(config.total_images),
        picture_ticks=1,
        snapshot_ticks=train.snapshot_epochs,
        keep_snapshots=train.keep_snapshots,
        nonfinite_policy=train.nonfinite_policy,
        restore_limit=train.restore_limit,
        configuration=config.to_dict(),
        free_configuration=FREE_ON_RESUME,
    )


def plan(config: ml_collections.ConfigDict, system: ParFaceSystem) -> str:
    """Returns what would be done, for --dry_run."""
    return (
        f"{config.stage}: epochs {system.past.epoch + 1} to {config.epochs} of "
        f"{system.loader.batches} batches of {config.batchsize} faces, steps of "
        f"{', '.join(sorted(system.stage.optimizers))}"
    )
