"""Pictures of depth, normals and anything else as uint8 [H, W, 3]; contact sheets."""

from collections.abc import Sequence

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.core.pictures import to_bytes

TRUE_POINTS = (0, 200, 0)
FOUND_POINTS = (40, 90, 255)


def depth_picture(
    depth: np.ndarray,
    covered: np.ndarray | None = None,
    *,
    nearest: float | None = None,
    farthest: float | None = None,
) -> np.ndarray:
    """Depth in grey: the nearest point white, the farthest dark grey, nothing black.

    Args:
      depth: [H, W], larger is nearer.
      covered: bool [H, W]; None takes what is finite and not 0.
      nearest, farthest: depths shown as white and dark grey; None takes the extremes.

    Returns:
      uint8 [H, W, 3].
    """
    depth = np.asarray(depth, np.float64)
    if depth.ndim != 2:
        raise InputError(f"depth must have shape [H, W]. Received: {depth.shape}")
    if covered is None:
        covered = np.isfinite(depth) & (depth != 0)
    if not covered.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    farthest = depth[covered].min() if farthest is None else farthest
    nearest = depth[covered].max() if nearest is None else nearest
    span = nearest - farthest
    share = (depth - farthest) / span if span > 0 else np.ones_like(depth)
    grey = np.where(covered, 0.15 + 0.85 * np.clip(share, 0, 1), 0)
    return np.repeat(to_bytes(grey)[..., None], 3, axis=-1)


def normal_picture(
    normals: np.ndarray, covered: np.ndarray | None = None
) -> np.ndarray:
    """Normals as colours: (x, y, z) of -1..1 to (red, green, blue); nothing black.

    Args:
      normals: [H, W, 3], unit length where there is something.
      covered: bool [H, W]; None takes what is not the zero vector.

    Returns:
      uint8 [H, W, 3].
    """
    normals = np.asarray(normals, np.float64)
    if normals.ndim != 3 or normals.shape[-1] != 3:
        raise InputError(
            f"normals must have shape [H, W, 3]. Received: {normals.shape}"
        )
    if covered is None:
        covered = (normals != 0).any(axis=-1)
    return to_bytes(np.where(covered[..., None], normals / 2 + 0.5, 0))


def contact_sheet(
    pictures: Sequence[np.ndarray],
    columns: int | None = None,
    *,
    captions: Sequence[str] | None = None,
    gap: int = 4,
    background: int = 255,
) -> np.ndarray:
    """Lays pictures out in rows.

    Args:
      pictures: uint8 [h, w, 3] or [h, w]; smaller ones are centred in their cell.
      columns: None makes the sheet about square.
      captions: one line of text below each picture.
      gap: pixels between cells.
      background: grey value of what is between.

    Returns:
      uint8 [H, W, 3].
    """
    from PIL import Image, ImageDraw

    if not pictures:
        raise InputError("pictures must not be empty. Received: 0 pictures")
    if captions is not None and len(captions) != len(pictures):
        raise InputError(
            f"captions must have {len(pictures)} entries. Received: {len(captions)}"
        )
    columns = columns or int(np.ceil(np.sqrt(len(pictures))))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    colored = [
        np.repeat(p[..., None], 3, -1) if p.ndim == 2 else p[..., :3] for p in pictures
    ]
    height = max(picture.shape[0] for picture in colored)
    width = max(picture.shape[1] for picture in colored)
    caption_height = 16 if captions else 0
    cell = (height + caption_height + gap, width + gap)
    sheet = np.full(
        (rows * cell[0] + gap, columns * cell[1] + gap, 3), background, np.uint8
    )
    for index, picture in enumerate(colored):
        row, column = divmod(index, columns)
        top = gap + row * cell[0] + (height - picture.shape[0]) // 2
        left = gap + column * cell[1] + (width - picture.shape[1]) // 2
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    if captions:
        image = Image.fromarray(sheet)
        drawing = ImageDraw.Draw(image)
        ink = (0, 0, 0) if background > 127 else (255, 255, 255)
        for index, caption in enumerate(captions):
            row, column = divmod(index, columns)
            place = (gap + column * cell[1] + 2, gap + row * cell[0] + height + 2)
            drawing.text(place, caption, fill=ink)
        sheet = np.asarray(image)
    return sheet


def with_landmarks(
    image: np.ndarray, truth: np.ndarray | None, found: np.ndarray | None
) -> np.ndarray:
    """A picture with landmarks: the truth green, what was found blue, lines between.

    Args:
      image: uint8 [S, S, 3].
      truth, found: [K, 2] in its pixels; None is not drawn.
    """
    from PIL import Image, ImageDraw

    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    radius = max(image.shape[0] / 160, 0.6)
    if truth is not None and found is not None:
        for one, other in zip(truth, found, strict=True):
            pen.line([tuple(map(float, one)), tuple(map(float, other))], (255, 160, 0))
    for points, color in ((truth, TRUE_POINTS), (found, FOUND_POINTS)):
        if points is None:
            continue
        for x, y in np.asarray(points, float)[:, :2]:
            box = [x - radius, y - radius, x + radius, y + radius]
            pen.ellipse(box, fill=color)
    return np.asarray(drawn)
