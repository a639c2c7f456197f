"""How the tests of the face_manifold program call it and read its mistakes."""

import scipy.io

from tf_faces.apps.face_manifold import options as program

MODEL = ["--model", "builtin:tiny"]


def save_mat(path, faces, row, **changes):
    values = {
        "Shape_Para": faces.shape[row][:, None],
        "Exp_Para": faces.expression[row][:, None],
        **changes,
    }
    scipy.io.savemat(path, {name: v for name, v in values.items() if v is not None})


# Commands with a folder for results; the tests use theirs more than once.
_WRITING = {
    *("test", "denoise", "create-synthetic", "scatter", "complete", "interpolate"),
    "evaluate",
}


def run(workshop, *arguments, overwrite=True):
    if arguments[0] in _WRITING and overwrite:
        arguments = (*arguments, "--overwrite")
    return program.main(
        [
            arguments[0],
            *map(str, arguments[1:]),
            "--trained-models",
            str(workshop / "trained_models"),
        ]
    )


def fails(capfd, status, *words):
    """One sentence on standard error that holds all words, and exit status 2."""
    captured = capfd.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("Error: ")]
    assert status == 2, captured
    assert len(lines) == 1 and "Traceback" not in captured.err
    for word in words:
        assert word in lines[0], lines[0]
