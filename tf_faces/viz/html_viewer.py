"""One HTML file that shows faces to turn, with expressions as sliders.

The page holds its models (GLB as data URIs), its style and the model-viewer script, so
it opens from a disk without a network and can be mailed as it is.  A content security
policy in the page forbids it to load anything else.
"""

import base64
import dataclasses
import html
import importlib.resources
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import glb
from tf_faces.viz import previews

# Half the size of what is shown, in metres: about that of a head.
_SHOWN_RADIUS = 0.12

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; connect-src data: blob:; "
    "worker-src blob:"
)


@dataclasses.dataclass(frozen=True)
class Item:
    """One face of the page.

    Attributes:
      mesh: the face.
      caption: shown below it.
      morph_targets: expression name -> offsets [V, 3] at weight 1, in the mesh's unit;
        each becomes a slider.
      before: shown at the left of `mesh`, at the same scale, turning with it.
      before_caption, after_caption: shown below the two.
    """

    mesh: Mesh
    caption: str = ""
    morph_targets: Mapping[str, np.ndarray] | None = None
    before: Mesh | None = None
    before_caption: str = "before"
    after_caption: str = "after"


def page(
    items: Sequence[Item], title: str = "Faces", *, auto_rotate: bool = False
) -> str:
    """Returns the HTML of a page.

    Args:
      items: the faces, in the order of the page.
      title: the heading.
      auto_rotate: turn the faces until somebody touches them.

    Raises:
      InputError: if there are no items, or one cannot be shown.
    """
    if not items:
        raise InputError("items must not be empty. Received: 0 faces")
    models: list[str] = []
    entries: list[dict] = []
    for item in items:
        shown = [item.mesh] if item.before is None else [item.mesh, item.before]
        frame = previews.Frame.around(*shown)
        scale = _SHOWN_RADIUS / frame.radius
        targets = {
            name: np.asarray(offsets, np.float32) * np.float32(scale)
            for name, offsets in (item.morph_targets or {}).items()
        }
        entry = {
            "caption": item.caption,
            "sliders": list(targets),
            "model": len(models),
            "before": None,
            "beforeCaption": item.before_caption,
            "afterCaption": item.after_caption,
        }
        models.append(_encoded(item.mesh, frame, scale, targets))
        if item.before is not None:
            entry["before"] = len(models)
            models.append(_encoded(item.before, frame, scale, {}))
        entries.append(entry)
    data = {"items": entries, "models": models, "autoRotate": auto_rotate}
    # "<" must not appear: it could end the script element that holds the data.
    text = json.dumps(data).replace("<", "\\u003c")
    name = html.escape(title)
    hint = "Drag to turn, scroll to come closer, two fingers or right button to move."
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<link rel="icon" href="data:,">',
            f"<title>{name}</title>",
            f"<style>\n{_asset('viewer.css')}</style>",
            f"<h1>{name}</h1>",
            f'<p class="hint">{hint}</p>',
            "<main></main>",
            f'<script type="application/json" id="faces">{text}</script>',
            "<!--\n" + _asset("model-viewer.NOTICE.txt") + "-->",
            f"<script>\n{_asset('model-viewer-umd.min.js')}</script>",
            f"<script>\n{_asset('viewer.js')}</script>",
            "</html>",
            "",
        ]
    )


def write_page(
    path: files.PathLike,
    items: Sequence[Item],
    title: str = "Faces",
    *,
    auto_rotate: bool = False,
) -> pathlib.Path:
    """Writes the page of `page`, atomically; returns its path.

    Raises:
      InputError: if the name does not end in .html or .htm.
    """
    suffix = pathlib.Path(path).suffix
    if suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: found the suffix {suffix!r}, expected .html.")
    files.write_text(path, page(items, title, auto_rotate=auto_rotate))
    return pathlib.Path(path)


def _encoded(mesh: Mesh, frame: previews.Frame, scale: float, targets) -> str:
    vertices = (mesh.vertices - frame.center) * scale
    moved = mesh.replace(vertices=vertices, unit="m")
    return base64.b64encode(glb.glb_bytes(moved, targets)).decode("ascii")


def _asset(name: str) -> str:
    folder = importlib.resources.files("tf_faces.viz") / "assets"
    return (folder / name).read_text("utf-8")
