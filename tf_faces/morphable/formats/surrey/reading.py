"""The part of `formats.surrey` that runs in a process of its own.

eos reads its binary files without checking sizes against the file, so that a damaged
one may ask for any amount of memory.  Here this ends a child with little memory, not
the program:

    python -m tf_faces.morphable.formats.surrey.reading MODEL BLENDSHAPES OUTPUT.npz

BLENDSHAPES may be empty.  Errors end it with status 1 and a line on standard error.
"""

import sys

import numpy as np

_MEMORY = 8 << 30


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Not on Windows.
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(model_path: str, blendshapes_path: str = "") -> dict[str, np.ndarray]:
    """The arrays of an eos model, in eos' conventions, and of blend shapes."""
    import eos

    stored = eos.morphablemodel.load_model(model_path)
    shapes = stored.get_shape_model()
    arrays = {
        "mean": np.asarray(shapes.get_mean(), np.float32).reshape(-1, 1),
        "triangles": np.asarray(shapes.get_triangle_list(), np.int64),
        "basis": np.asarray(shapes.get_orthonormal_pca_basis(), np.float32),
        "variances": np.asarray(shapes.get_eigenvalues(), np.float64).reshape(-1),
        "texture_coordinates": np.asarray(stored.get_texture_coordinates(), np.float32),
        "texture_triangles": np.asarray(
            stored.get_texture_triangle_indices(), np.int64
        ),
    }
    definitions = stored.get_landmark_definitions() or {}
    points = [definitions.get(str(number + 1), -1) for number in range(68)]
    arrays["landmarks"] = np.asarray(points, np.int64)
    expressions = stored.get_expression_model()
    if blendshapes_path:
        expressions = eos.morphablemodel.load_blendshapes(blendshapes_path)
    if isinstance(expressions, list):
        if expressions:
            columns = [np.asarray(x.deformation, np.float32) for x in expressions]
            columns = [column.reshape(-1) for column in columns]
            arrays["blendshapes"] = np.stack(columns, axis=1)
            names = [str(shape.name) for shape in expressions]
            arrays["blendshape_names"] = np.array(names, np.str_)
    elif expressions is not None:
        mean = np.asarray(expressions.get_mean(), np.float32)
        basis = expressions.get_orthonormal_pca_basis()
        variances = np.asarray(expressions.get_eigenvalues(), np.float64)
        arrays["expression_mean"] = mean.reshape(-1, 1)
        arrays["expression_basis"] = np.asarray(basis, np.float32)
        arrays["expression_variances"] = variances.reshape(-1)
    return arrays


def main(arguments: list[str]) -> int:
    """Reads and writes as the head of this file says; returns the exit status."""
    model_path, blendshapes_path, output = arguments
    _limit_memory()
    try:
        np.savez(output, **read(model_path, blendshapes_path))
    except (Exception, MemoryError) as error:  # eos raises whatever its reader meets.
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
