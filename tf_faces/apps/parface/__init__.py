"""Programs of ParFace."""

# Names of `tf-faces`: the module below and what it does.
PROGRAMS = {
    "parface": (
        "options",
        "landmarks of photographs: evaluation, demos, annotation, asymmetry",
    ),
}
