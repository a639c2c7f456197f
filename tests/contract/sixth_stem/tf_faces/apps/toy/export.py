"""The toy's part of the export program."""

EXAMPLES = ""


def add_options(group):
    """None."""


def export(folder, output, options):
    """Writes the SavedModel and returns its folder."""
    from tf_faces.export import toy as writing
    from tf_faces.pipelines import toy

    return writing.export(toy.open_run(folder), output, warmup=not options.no_warmup)
