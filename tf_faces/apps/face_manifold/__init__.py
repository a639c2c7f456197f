"""Programs of Face Manifold."""

# Names of `tf-faces`: the module below and what it does.
PROGRAMS = {
    "face-manifold": (
        "options",
        "corrupted training sets, denoising, synthetic faces and their measures",
    ),
}
