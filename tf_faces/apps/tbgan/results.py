"""What a finished training of TBGAN shows: pictures and, if asked, meshes and a
SavedModel."""

import ml_collections

from tf_faces.core import runs

# Of the sheets of texture, shape and normals.
_SUFFIXES = ("", "_shp", "_nor")


def present(run: runs.RunFolder, config: ml_collections.ConfigDict) -> None:
    """Makes the results that `config.finish` asks for, and says where all lie."""
    finish = config.finish
    if finish.samples and not (run.path / "uv_dictionary.npz").is_file():
        print(
            "Meshes:   none, because the data came without uv_dictionary.npz; "
            f"tf-faces generate {run.path} --uv_dictionary FILE makes them."
        )
    elif finish.samples or finish.saved_model:
        from tf_faces.export import tbgan as writing
        from tf_faces.pipelines import tbgan

        pipeline = tbgan.open_run(run.path)
        if finish.samples:
            from tf_faces.apps.tbgan import generate

            generate.write_gallery(pipeline, run.path / "faces", count=finish.samples)
        if finish.saved_model:
            print(f"SavedModel: {writing.export(pipeline, run.path / 'export')}")
    sheets = [
        path
        for path in run.path.glob("fakes*.png")
        if not path.stem.endswith(_SUFFIXES[1:])
    ]
    if sheets:
        newest = max(sheets)
        shown = [newest.with_name(f"{newest.stem}{part}.png") for part in _SUFFIXES]
        print("Pictures: " + ", ".join(str(path) for path in shown if path.exists()))
