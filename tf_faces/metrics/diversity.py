"""How diverse and how plausible sets of faces are.

All distances of whole faces are root mean square distances of their vertices in
millimetres, computed from the coefficients through the basis' Gram matrix: no mesh is
made.  The words are those of statistical shape models (Styner et al. 2003).
"""

import dataclasses
import inspect
from collections.abc import Mapping

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.morphable.model import UNITS, MorphableModel

_ROWS_A_PIECE = 1024


@dataclasses.dataclass(frozen=True)
class Measures:
    """One set of faces against real ones.

    Attributes:
      trace: of the covariance of the coefficients, raw units squared.
      trace_ratio: that divided by the trace of the real faces.
      nearest_real: mean distance to the nearest real face, each coefficient divided
        by its deviation among the real faces, over the root of their number.
      mahalanobis: mean Mahalanobis distance from the real faces' mean, over the root
        of the number of coefficients (1 for faces of the real law).
      specificity: mean distance of a face of the set to the nearest real one, mm;
        small if every face looks like a real one.
      generalisation: mean distance of a held-out real face to the nearest face of the
        set, mm; small if the set reaches every real face.
    """

    trace: float
    trace_ratio: float
    nearest_real: float
    mahalanobis: float
    specificity: float
    generalisation: float


COLUMNS = tuple(field.name for field in dataclasses.fields(Measures))


def trace(faces: np.ndarray) -> float:
    """Trace of the unbiased covariance of [N, L].

    Raises:
      InputError: for fewer than 2 faces.
    """
    faces = np.asarray(faces, np.float64)
    if len(faces) < 2:
        raise InputError(f"a covariance needs at least 2 faces. Received: {len(faces)}")
    return float(faces.var(axis=0, ddof=1).sum())


def vertex_metric(model: MorphableModel, group: str) -> np.ndarray:
    """Returns M [L, L] such that |(a - b) M| is the RMS vertex distance in mm.

    Args:
      model: face model of raw kind.
      group: "shape" or "expression".
    """
    basis = getattr(model, f"{group}_basis")
    flat = basis.reshape(-1, basis.shape[2])
    gram = (flat.T @ flat).astype(np.float64) / model.vertex_count
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return root * (UNITS[model.unit] / UNITS["mm"])


def nearest(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Euclidean distance of each row of [N, D] to the nearest of [M, D]: [N]."""
    queries, references = (np.asarray(x, np.float64) for x in (queries, references))
    squares = np.square(references).sum(axis=1)
    result = np.empty(len(queries))
    for start in range(0, len(queries), _ROWS_A_PIECE):
        part = queries[start : start + _ROWS_A_PIECE]
        distances = squares - 2 * part @ references.T
        best = distances.argmin(axis=1)
        # Again without the cancellation of large squares.
        result[start : start + len(part)] = np.linalg.norm(
            part - references[best], axis=1
        )
    return result


def shrunk_covariance(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [L] and Ledoit-Wolf covariance [L, L] of [N, L], in deviations.

    The faces are divided by their deviations first, so that the shrinkage target (a
    multiple of the identity) suits coefficients of very different size; multiply rows
    and columns by the deviations to get raw units.

    Reference: Ledoit and Wolf, A well-conditioned estimator for large-dimensional
    covariance matrices, 2004.
    """
    faces = np.asarray(faces, np.float64)
    count, length = faces.shape
    mean = faces.mean(axis=0)
    centred = (faces - mean) / deviations(faces)
    sample = centred.T @ centred / count
    scale = np.trace(sample) / length
    distance = np.square(sample - scale * np.eye(length)).sum() / length
    squares = np.square(centred)
    spread = (squares.T @ squares / count - sample**2).sum() / length / count
    weight = min(spread, distance) / distance if distance > 0 else 1.0
    return mean, (1 - weight) * sample + weight * scale * np.eye(length)


def deviations(faces: np.ndarray) -> np.ndarray:
    """Standard deviations [L] of [N, L]; 1 where a coefficient never changes."""
    found = np.asarray(faces, np.float64).std(axis=0, ddof=1)
    return np.where(found > 0, found, 1.0)


def mahalanobis(faces: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Mahalanobis distances [N] of [N, L] from the law of `real` [M, L]."""
    mean, covariance = shrunk_covariance(real)
    centred = (np.asarray(faces, np.float64) - mean) / deviations(real)
    solved = np.linalg.solve(covariance, centred.T).T
    return np.sqrt(np.maximum((centred * solved).sum(axis=1), 0.0))


def measure(
    faces: np.ndarray, real: np.ndarray, held_out: np.ndarray, metric: np.ndarray
) -> Measures:
    """Measures one set.

    Args:
      faces: [N, L] raw coefficients of the set.
      real: [M, L] of real faces.
      held_out: [K, L] of other real faces.
      metric: [L, L] from `vertex_metric`.
    """
    length = faces.shape[1]
    scales = deviations(real) * np.sqrt(length)
    return Measures(
        trace=trace(faces),
        trace_ratio=trace(faces) / trace(real),
        nearest_real=float(nearest(faces / scales, real / scales).mean()),
        mahalanobis=float(mahalanobis(faces, real).mean() / np.sqrt(length)),
        specificity=float(nearest(faces @ metric, real @ metric).mean()),
        generalisation=float(nearest(held_out @ metric, faces @ metric).mean()),
    )


def reconstruction(faces: np.ndarray, rebuilt: np.ndarray, metric: np.ndarray) -> float:
    """Mean distance in mm between faces [N, L] and what a network made of them."""
    difference = np.asarray(rebuilt, np.float64) - faces
    return float(np.linalg.norm(difference @ metric, axis=1).mean())


def table(measured: Mapping[str, Measures]) -> str:
    """Returns the sets as lines of plain text."""
    width = max(len(name) for name in measured)
    lines = [" ".join([f"{'set':<{width}}", *(f"{name:>15}" for name in COLUMNS)])]
    for name, values in measured.items():
        numbers = (f"{getattr(values, column):>15.5g}" for column in COLUMNS)
        lines.append(" ".join([f"{name:<{width}}", *numbers]))
    return "\n".join(lines)


# --- scatter --------------------------------------------------------------------------


def principal_plane(
    fitted: np.ndarray, components: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [L] and the first principal directions [components, L] of [N, L].

    One exact singular value decomposition; each direction's largest loading is
    positive, so that pictures of the same faces agree.
    """
    fitted = np.asarray(fitted, np.float64)
    mean = fitted.mean(axis=0)
    _, _, directions = np.linalg.svd(fitted - mean, full_matrices=False)
    directions = directions[:components]
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return mean, directions * signs[:, None]


def on_plane(faces: np.ndarray, plane: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Coordinates [N, components] of [N, L] on a `principal_plane`, raw units."""
    mean, directions = plane
    return (np.asarray(faces, np.float64) - mean) @ directions.T


EMBEDDINGS = ("pca", "tsne", "isomap", "mds")


def _random_start(scaling: type) -> dict[str, str]:
    """The start of a scaling: its default is about to change, as scikit-learn warns."""
    has_start = "init" in inspect.signature(scaling).parameters
    return {"init": "random"} if has_start else {}


def embed(sets: Mapping[str, np.ndarray], method: str, seed: int = 0) -> dict:
    """Places all faces on a plane: {set: [N, 2]}.

    Args:
      sets: {name: [N, L]}.
      method: "pca" (exact, raw units) or a non-linear one of scikit-learn on
        coefficients divided by their deviations: "tsne", "isomap", "mds".
      seed: of the non-linear ones.

    Raises:
      InputError: for another method.
      MissingDependencyError: if scikit-learn is needed and absent.
    """
    stacked = np.concatenate(
        [np.asarray(values, np.float64) for values in sets.values()]
    )
    if method == "pca":
        plane = principal_plane(stacked)
        return {name: on_plane(values, plane) for name, values in sets.items()}
    if method not in EMBEDDINGS:
        raise InputError(
            f"method must be one of {', '.join(EMBEDDINGS)}. Received: {method!r}"
        )
    try:
        from sklearn import manifold
    except ImportError as error:
        from tf_faces.core.errors import missing_dependency

        raise missing_dependency("scikit-learn", "plots", f"Method {method}") from error
    scaled = (stacked - stacked.mean(axis=0)) / deviations(stacked)
    embedder = {
        "tsne": lambda: manifold.TSNE(
            random_state=seed, perplexity=min(30.0, (len(scaled) - 1) / 3)
        ),
        "isomap": lambda: manifold.Isomap(n_neighbors=min(10, len(scaled) - 1)),
        "mds": lambda: manifold.MDS(
            random_state=seed, n_init=1, **_random_start(manifold.MDS)
        ),
    }[method]()
    placed = embedder.fit_transform(scaled)
    ends = np.cumsum([len(values) for values in sets.values()])
    return dict(zip(sets, np.split(placed, ends[:-1]), strict=True))
