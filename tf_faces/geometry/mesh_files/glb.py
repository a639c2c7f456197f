"""GLB (binary glTF 2.0): container, and writing with texture, colours, morph targets.

trimesh makes the file; colours (linear, as glTF wants them) and morph targets are
added to its container here.

glTF: right-handed, y up, a face looks along +z, counter-clockwise from outside, metres;
v of a texture coordinate runs down there and up in `Mesh`.
"""

import json
import pathlib
import struct
from collections.abc import Mapping

import numpy as np

from tf_faces.core import files, units
from tf_faces.core.errors import (
    FormatError,
    InputError,
    TwoValuesError,
    in_words,
    missing_dependency,
)
from tf_faces.geometry import normals
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import polygons

_MAGIC = 0x46546C67
_JSON_CHUNK = 0x4E4F534A
_BINARY_CHUNK = 0x004E4942
_FLOAT = 5126


# --- colours -----------------------------------------------------------------------


def srgb_to_linear(colors: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear light 0..1 (IEC 61966-2-1)."""
    colors = np.clip(np.asarray(colors, np.float32), 0, 1)
    return np.where(
        colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4
    ).astype(np.float32)


def linear_to_srgb(colors: np.ndarray) -> np.ndarray:
    """Linear light 0..1 to sRGB 0..1 (IEC 61966-2-1)."""
    colors = np.clip(np.asarray(colors, np.float32), 0, 1)
    return np.where(
        colors <= 0.0031308, colors * 12.92, 1.055 * colors ** (1 / 2.4) - 0.055
    ).astype(np.float32)


# --- writing -----------------------------------------------------------------------


def glb_bytes(
    mesh: Mesh, morph_targets: Mapping[str, np.ndarray] | None = None
) -> bytes:
    """Returns the content of a GLB file, in metres.

    Args:
      mesh: the mesh; its texture wins over its vertex colours, its own normals over
        those of its triangles.  Where its unit is not
        known, its numbers are taken for metres.
      morph_targets: name -> [V, 3] offsets of the vertices at weight 1, in the unit of
        the mesh; weights are 0 at rest.  Normals follow.

    Raises:
      InputError: if a target does not fit the mesh, numbers are not finite, or there is
        nothing to show.
      MissingDependencyError: if trimesh is absent.
    """
    try:
        import trimesh
    except ImportError as error:
        raise missing_dependency("trimesh", "mesh", "Writing GLB") from error
    from PIL import Image

    if not len(mesh.triangles):
        raise InputError("GLB needs a mesh of at least 1 triangle. Received: 0")
    polygons.require_finite(mesh)
    scale = 1.0
    if mesh.unit is not None:
        scale = units.factor(mesh.unit, "m")
        mesh = mesh.to_unit("m")
    split, sources = mesh.split_at_seams()
    texture, normal_texture = split.texture, split.normal_texture
    if normal_texture is not None and split.texture_coordinates is None:
        raise InputError("a normal_texture needs texture_coordinates. Received: None")
    if texture is not None and split.texture_coordinates is None:
        raise InputError("a texture needs texture_coordinates. Received: None")
    material = trimesh.visual.material.PBRMaterial(
        name=mesh.name,
        metallicFactor=0.0,
        roughnessFactor=0.7,
        doubleSided=True,
        baseColorTexture=None if texture is None else Image.fromarray(texture),
        normalTexture=(
            None if normal_texture is None else Image.fromarray(normal_texture)
        ),
    )
    shown = trimesh.Trimesh(
        vertices=split.vertices,
        faces=split.triangles,
        # Normals over the original topology, so that seams stay invisible.
        vertex_normals=(
            normals.vertex_normals(mesh.vertices, mesh.triangles)[sources]
            if split.vertex_normals is None
            else split.vertex_normals
        ),
        visual=trimesh.visual.TextureVisuals(
            uv=split.texture_coordinates, material=material
        ),
        process=False,
        validate=False,
    )
    scene = trimesh.Scene()
    scene.add_geometry(shown, geom_name=mesh.name, node_name=mesh.name)
    content = trimesh.exchange.gltf.export_glb(scene, include_normals=True)
    tree, binary = unpack(content, "the GLB just made")
    tree["asset"]["generator"] = "tf_faces"
    writer = _Appender(tree, binary)
    primitive = tree["meshes"][0]["primitives"][0]
    _set_bounds(tree, primitive, split.vertices)
    if split.vertex_colors is not None and texture is None:
        linear = srgb_to_linear(split.vertex_colors)
        primitive["attributes"]["COLOR_0"] = writer.append(linear)
    if morph_targets:
        scaled = {
            name: (np.asarray(offsets, np.float64) * scale).astype(np.float32)
            for name, offsets in morph_targets.items()
        }
        _add_morph_targets(tree, primitive, writer, mesh, sources, scaled)
    return pack(tree, bytes(writer.binary))


def write_glb(
    path: files.PathLike,
    mesh: Mesh,
    morph_targets: Mapping[str, np.ndarray] | None = None,
) -> list[pathlib.Path]:
    """Writes a mesh as GLB, atomically; see `glb_bytes`."""
    files.write_bytes(path, glb_bytes(mesh, morph_targets))
    return [pathlib.Path(path)]


def _set_bounds(tree, primitive, vertices) -> None:
    # glTF demands min and max of positions, to float32 precision.
    accessor = tree["accessors"][primitive["attributes"]["POSITION"]]
    accessor["min"] = vertices.min(axis=0).astype(float).tolist()
    accessor["max"] = vertices.max(axis=0).astype(float).tolist()


def _add_morph_targets(tree, primitive, writer, mesh, sources, morph_targets) -> None:
    rest = normals.vertex_normals(mesh.vertices, mesh.triangles)
    primitive["targets"] = []
    for name, offsets in morph_targets.items():
        if offsets.shape != mesh.vertices.shape or not np.isfinite(offsets).all():
            raise InputError(
                f"the morph target {name!r} must hold finite numbers of shape "
                f"{mesh.vertices.shape}. Received: {offsets.shape}"
            )
        turned = normals.vertex_normals(mesh.vertices + offsets, mesh.triangles) - rest
        primitive["targets"].append(
            {
                "POSITION": writer.append(offsets[sources], with_bounds=True),
                "NORMAL": writer.append(turned[sources]),
            }
        )
    tree["meshes"][0]["weights"] = [0.0] * len(morph_targets)
    tree["meshes"][0].setdefault("extras", {})["targetNames"] = list(morph_targets)


class _Appender:
    """Adds float32 arrays to a glTF tree and its binary chunk."""

    def __init__(self, tree, binary):
        self.tree, self.binary = tree, bytearray(binary)

    def append(self, array: np.ndarray, with_bounds: bool = False) -> int:
        array = np.ascontiguousarray(array, "<f4")
        self.binary += b"\0" * (-len(self.binary) % 4)
        view = {
            "buffer": 0,
            "byteOffset": len(self.binary),
            "byteLength": array.nbytes,
        }
        self.binary += array.tobytes()
        self.tree["bufferViews"].append(view)
        accessor = {
            "bufferView": len(self.tree["bufferViews"]) - 1,
            "componentType": _FLOAT,
            "count": len(array),
            "type": "VEC3",
        }
        if with_bounds:
            accessor["min"] = array.min(axis=0).astype(float).tolist()
            accessor["max"] = array.max(axis=0).astype(float).tolist()
        self.tree["accessors"].append(accessor)
        return len(self.tree["accessors"]) - 1


# --- the container -----------------------------------------------------------------


def pack(tree: dict, binary: bytes) -> bytes:
    """Joins the JSON tree and the binary chunk to a GLB file."""
    binary += b"\0" * (-len(binary) % 4)
    tree["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return b"".join(
        [
            struct.pack("<III", _MAGIC, 2, 28 + len(text) + len(binary)),
            struct.pack("<II", len(text), _JSON_CHUNK),
            text,
            struct.pack("<II", len(binary), _BINARY_CHUNK),
            binary,
        ]
    )


def _without_null(entries: dict) -> dict:
    """An object without the entries that a program wrote down as absent."""
    return {name: value for name, value in entries.items() if value is not None}


def unpack(content: bytes, source: str) -> tuple[dict, bytes]:
    """Splits a GLB file into its JSON tree and binary chunk.

    Raises:
      FormatError: if the container is damaged.
    """
    if len(content) < 20 or struct.unpack_from("<I", content)[0] != _MAGIC:
        hint = " (glTF as text is not read)" if content.lstrip()[:1] == b"{" else ""
        raise FormatError(f"{source}: found no GLB header{hint}.")
    version, total = struct.unpack_from("<II", content, 4)
    if version != 2 or total > len(content):
        raise FormatError(
            f"{source}: version {version} of {total} bytes, found {len(content)} "
            "bytes, expected a whole GLB of version 2."
        )
    length, kind = struct.unpack_from("<II", content, 12)
    if kind != _JSON_CHUNK or 20 + length > total:
        raise FormatError(f"{source}: the JSON chunk is damaged.")
    try:
        tree = files.parse_json(
            content[20 : 20 + length].decode("utf-8-sig"), _without_null
        )
    except TwoValuesError as error:
        raise FormatError(f"{source}: its JSON chunk: {in_words(error)}.") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise FormatError(
            f"{source}: the JSON chunk is damaged; export it again."
        ) from error
    if not isinstance(tree, dict):
        raise FormatError(f"{source}: the JSON chunk holds no object.")
    # Chunks of kinds that are not known are to be passed over.
    position = 20 + length
    while position + 8 <= total:
        length, kind = struct.unpack_from("<II", content, position)
        if position + 8 + length > total:
            raise FormatError(f"{source}: the binary chunk is damaged.")
        if kind == _BINARY_CHUNK:
            return tree, content[position + 8 : position + 8 + length]
        position += 8 + length
    return tree, b""
