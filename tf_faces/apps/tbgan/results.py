"""What a finished training shows: pictures and, if asked, meshes and a SavedModel."""

import ml_collections

from tf_faces.core import runs

# Of the sheets of texture, shape and normals.
SUFFIXES = ("", "_shp", "_nor")


def present(run: runs.RunFolder, config: ml_collections.ConfigDict) -> int:
    """Makes the results that `config.finish` asks for, and says where all lie.

    Returns:
      The exit status of the first program that failed, else 0.
    """
    finish = config.get("finish", {})
    if finish.get("samples") and not (run.path / "uv_dictionary.npz").is_file():
        print(
            "Meshes:   none, because the data came without uv_dictionary.npz; "
            f"tools/generate.py {run.path} --uv_dictionary FILE makes them."
        )
    elif finish.get("samples"):
        from tf_faces.apps.tbgan import generate

        arguments = [str(run.path), "--output", str(run.path / "faces")]
        arguments += ["--count", str(finish.samples)]
        if finish.smoothing != "auto":
            arguments += ["--smoothing", finish.smoothing]
        status = generate.main(arguments)
        if status:
            return status
    if finish.get("saved_model"):
        from tf_faces.apps import export

        status = export.main([str(run.path), "--output", str(run.path / "export")])
        if status:
            return status
    sheets = [
        path
        for path in run.path.glob("fakes*.png")
        if not path.stem.endswith(("_shp", "_nor"))
    ]
    if sheets:
        newest = max(sheets)
        shown = [newest.with_name(f"{newest.stem}{part}.png") for part in SUFFIXES]
        print("Pictures: " + ", ".join(str(path) for path in shown if path.exists()))
    print(f"Curves:   tensorboard --logdir {run.path.parent}", flush=True)
    return 0
