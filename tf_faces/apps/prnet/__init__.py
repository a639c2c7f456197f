"""Programs of PRNet."""

# Names of `tf-faces`: the module below and what it does.
PROGRAMS = {
    "prnet": (
        "options",
        "photographs to meshes, landmarks, poses, depth and textures",
    ),
}
