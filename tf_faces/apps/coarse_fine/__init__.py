"""Programs of CoarseNet and FineNet."""

# Names of `tf-faces`: the module below and what it does.
PROGRAMS = {
    "coarse-fine": (
        "options",
        "photographs to faces with fine depth; their training sets and measures",
    ),
}
