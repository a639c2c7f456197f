"""Programs of TBGAN and of its record sets."""

# Names of `tf-faces`: the module below and what it does.
PROGRAMS = {
    "dataset": (
        "dataset_tool",
        "makes, shows, compares and checks TFRecord sets of training images",
    ),
    "generate": ("generate", "meshes, pictures and a page of a trained TBGAN's faces"),
    "tbgan": ("options", "measures, pictures and videos of runs, old snapshots"),
}
