"""A configuration of seconds, and systems that have only what a test gives them."""

from tf_faces.configs import prnet as presets
from tf_faces.training import ahead
from tf_faces.training.prnet import system


def settings(**changes):
    config = presets.get_config("smoke")
    for name, value in changes.items():
        *groups, field = name.split(".")
        owner = config
        for group in groups:
            owner = owner[group]
        with owner.ignore_type():
            owner[field] = value
    return config


def bare(config, **attributes):
    made = system.PrnetSystem.__new__(system.PrnetSystem)
    made.config, made._validation, made._latest = config, {}, {}
    vars(made).update(attributes)
    if "source" in attributes:
        made._batches = ahead.Ahead(lambda *given: made.source.batch(*given))
    return made
