"""`tf-faces tbgan import` and `weights`: snapshots of the originals, in and out."""

import argparse

from tf_faces.apps.tbgan import sources
from tf_faces.core import folders
from tf_faces.core.errors import InputError


def import_snapshot(options: argparse.Namespace) -> None:
    """Makes a run of a pickle."""
    from tf_faces.pipelines.tbgan import importing

    written = importing.import_snapshot(
        options.snapshot, options.run, options.label_softmax
    )
    print(f"Written: {written}")
    print(
        f"Use it:  tf-faces generate {options.run} --uv_dictionary 512_UV_dict.pkl, "
        f"tf-faces export {options.run}"
    )


def write_weights(options: argparse.Namespace) -> None:
    """Writes one network's weights as .npz."""
    from tf_faces.convert import tbgan as weights
    from tf_faces.training import checkpoints

    folders.require_free_file(options.output, overwrite=options.overwrite)
    run = sources.find(options.run, options.result_dir)
    folder = run / "snapshots"
    snapshot = (
        checkpoints.load_newest(folder)
        if options.snapshot is None
        else checkpoints.load(folder / f"snapshot-{options.snapshot:09d}")
    )
    if snapshot is None:
        raise InputError(f"{run}: holds no snapshot yet.")
    arrays = snapshot.arrays(options.network)
    weights.write_arrays(options.output, arrays)
    total = sum(array.size for array in arrays.values())
    print(f"Written: {options.output}, {len(arrays)} variables, {total} numbers")
