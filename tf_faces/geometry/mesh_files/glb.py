"""GLB (binary glTF 2.0) with texture, vertex colours and morph targets.

trimesh makes the file; colours (linear, as glTF wants them) and morph targets are
added to its container here.  Reading goes through our own bounded reader, because a
GLB is a nest of offsets that a hostile file may set at will.

glTF: right-handed, y up, a face looks along +z, counter-clockwise from outside, metres;
v of a texture coordinate runs down there and up in `Mesh`.
"""

import dataclasses
import io
import json
import pathlib
import struct
from collections.abc import Mapping

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError, missing_dependency
from tf_faces.geometry import normals, uv
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import obj

MAXIMUM_BYTES = obj.MAXIMUM_BYTES

_MAGIC = 0x46546C67
_JSON_CHUNK = 0x4E4F534A
_BINARY_CHUNK = 0x004E4942
_FLOAT = 5126
_COMPONENT_TYPES = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclasses.dataclass(frozen=True)
class GlbContent:
    """What a GLB file of ours holds.

    Attributes:
      mesh: the mesh at rest.
      morph_targets: name -> float32 [V, 3] offsets at weight 1.
    """

    mesh: Mesh
    morph_targets: dict[str, np.ndarray]


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


def split_at_seams(mesh: Mesh) -> tuple[Mesh, np.ndarray]:
    """Gives every vertex one texture coordinate, doubling the vertices on seams.

    Returns:
      The mesh with texture_triangles None, and int64 [V'] the original vertex of
      each new vertex (to carry other per-vertex data over).
    """
    if mesh.texture_coordinates is None or mesh.texture_triangles is None:
        return mesh, np.arange(len(mesh.vertices))
    used, texture_sources, triangles = uv.split_seams(
        mesh.triangles, mesh.texture_triangles
    )
    # Vertices without a triangle stay, so that nothing disappears from the file.
    idle = np.setdiff1d(np.arange(len(mesh.vertices)), used)
    sources = np.concatenate([used, idle])
    texture_sources = np.concatenate([texture_sources, np.zeros_like(idle)])
    coordinates = np.asarray(mesh.texture_coordinates, np.float32)[texture_sources]
    colors = mesh.vertex_colors
    return (
        mesh.replace(
            vertices=mesh.vertices[sources],
            triangles=triangles,
            vertex_colors=None if colors is None else colors[sources],
            texture_coordinates=coordinates,
            texture_triangles=None,
        ),
        sources,
    )


def glb_bytes(
    mesh: Mesh, morph_targets: Mapping[str, np.ndarray] | None = None
) -> bytes:
    """Returns the content of a GLB file.

    Args:
      mesh: the mesh; its texture wins over its vertex colours.
      morph_targets: name -> [V, 3] offsets of the vertices at weight 1; weights are
        0 at rest.  Normals follow.

    Raises:
      InputError: if a target does not fit the mesh, or there is nothing to show.
      MissingDependencyError: if trimesh is absent.
    """
    try:
        import trimesh
    except ImportError as error:
        raise missing_dependency("trimesh", "mesh", "Writing GLB") from error
    from PIL import Image

    if not len(mesh.triangles):
        raise InputError("GLB needs a mesh of at least 1 triangle. Received: 0")
    if not np.isfinite(mesh.vertices).all():
        raise InputError("GLB needs finite vertices. Received: NaN or infinity")
    split, sources = split_at_seams(mesh)
    texture = None if split.texture_coordinates is None else split.texture
    material = trimesh.visual.material.PBRMaterial(
        name=mesh.name,
        metallicFactor=0.0,
        roughnessFactor=0.7,
        doubleSided=True,
        baseColorTexture=None if texture is None else Image.fromarray(texture),
    )
    coordinates = split.texture_coordinates
    if coordinates is None:
        coordinates = np.zeros((len(split.vertices), 2), np.float32)
    shown = trimesh.Trimesh(
        vertices=split.vertices,
        faces=split.triangles,
        # Normals over the original topology, so that seams stay invisible.
        vertex_normals=normals.vertex_normals(mesh.vertices, mesh.triangles)[sources],
        visual=trimesh.visual.TextureVisuals(uv=coordinates, material=material),
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
        _add_morph_targets(tree, primitive, writer, mesh, sources, morph_targets)
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
        offsets = np.asarray(offsets, np.float32)
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


def unpack(content: bytes, source: str) -> tuple[dict, bytes]:
    """Splits a GLB file into its JSON tree and binary chunk.

    Raises:
      FormatError: if the container is damaged.
    """
    if len(content) < 20 or struct.unpack_from("<I", content)[0] != _MAGIC:
        raise FormatError(f"{source}: found no GLB header.")
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
        tree = json.loads(content[20 : 20 + length].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: the JSON chunk is damaged ({error}).") from error
    if not isinstance(tree, dict):
        raise FormatError(f"{source}: the JSON chunk holds no object.")
    position, binary = 20 + length, b""
    if position + 8 <= total:
        length, kind = struct.unpack_from("<II", content, position)
        if kind != _BINARY_CHUNK or position + 8 + length > total:
            raise FormatError(f"{source}: the binary chunk is damaged.")
        binary = content[position + 8 : position + 8 + length]
    return tree, binary


# --- reading -----------------------------------------------------------------------


def read_glb(path: files.PathLike) -> GlbContent:
    """Reads the triangles of the first scene's meshes, joined into one mesh.

    Node transforms are applied; morph targets are kept if there is one primitive.
    Compressed, sparse and outside buffers are refused by name.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, or an offset, count or index points outside.
    """
    path = files.require_file(path, "GLB file")
    if path.stat().st_size > MAXIMUM_BYTES:
        raise FormatError(
            f"{path}: {path.stat().st_size} bytes, expected at most {MAXIMUM_BYTES}."
        )
    tree, binary = unpack(path.read_bytes(), str(path))
    try:
        return _Reader(path, tree, binary).read()
    except FormatError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{path}: not a glTF tree of the expected form "
            f"({type(error).__name__}: {error})."
        ) from error


class _Reader:
    def __init__(self, path, tree, binary):
        self.path, self.tree, self.binary = path, tree, binary

    def _item(self, collection, index):
        items = self.tree[collection]
        if not isinstance(index, int) or isinstance(index, bool):
            raise FormatError(f"{self.path}: an index of {collection} is {index!r}.")
        if not 0 <= index < len(items):
            raise FormatError(
                f"{self.path}: found the index {index} of {collection}, expected 0 to "
                f"{len(items) - 1}."
            )
        return items[index]

    def _view(self, index):
        view = self._item("bufferViews", index)
        buffer = self._item("buffers", view["buffer"])
        if view["buffer"] != 0 or "uri" in buffer:
            raise FormatError(f"{self.path}: refers to a buffer outside the file.")
        start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        if start < 0 or length < 0 or start + length > len(self.binary):
            raise FormatError(
                f"{self.path}: a view of bytes {start} to {start + length} in a chunk "
                f"of {len(self.binary)} bytes."
            )
        return view, start, length

    def accessor(self, index, widths):
        """Returns an accessor's values as [count, width]; integers normalised."""
        accessor = self._item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise FormatError(f"{self.path}: sparse accessors are not supported.")
        dtype = _COMPONENT_TYPES[accessor["componentType"]]
        width, count = _WIDTHS[accessor["type"]], int(accessor["count"])
        if width not in widths:
            raise FormatError(f"{self.path}: found an accessor {accessor['type']}.")
        view, start, length = self._view(accessor["bufferView"])
        offset = int(accessor.get("byteOffset", 0))
        size = width * dtype.itemsize
        stride = int(view.get("byteStride", size))
        if (
            min(offset, count - 1) < 0
            or not size <= stride <= 252
            or offset + (count - 1) * stride + size > length
        ):
            raise FormatError(
                f"{self.path}: an accessor of {count} items leaves its view of "
                f"{length} bytes."
            )
        values = np.ndarray(
            (count, width),
            dtype,
            buffer=self.binary,
            offset=start + offset,
            strides=(stride, dtype.itemsize),
        )
        if accessor.get("normalized") and dtype.kind != "f":
            scaled = values.astype(np.float32) / np.float32(np.iinfo(dtype).max)
            return np.maximum(scaled, -1)
        if dtype.kind == "f" and not np.isfinite(values).all():
            raise FormatError(f"{self.path}: an accessor holds NaN or infinity.")
        return values.copy()

    def read(self) -> GlbContent:
        parts: list[tuple] = []
        scenes = self.tree.get("scenes")
        if scenes:
            scene = self._item("scenes", self.tree.get("scene", 0))
            for node in scene.get("nodes", []):
                self._walk(node, np.eye(4), 0, parts)
        else:
            for mesh in self.tree.get("meshes", []):
                parts += [(entry, mesh, np.eye(4)) for entry in mesh["primitives"]]
        parts = [part for part in parts if part[0].get("mode", 4) == 4]
        if not parts:
            raise FormatError(f"{self.path}: found no triangles.")
        if len(parts) > 4096:
            raise FormatError(f"{self.path}: found more than 4096 primitives.")
        pieces = [self._primitive(*part) for part in parts]
        mesh = _join([piece[0] for piece in pieces], self.path.stem)
        return GlbContent(mesh, pieces[0][1] if len(pieces) == 1 else {})

    def _walk(self, index, parent, depth, parts):
        if depth > 64 or len(parts) > 4096:
            raise FormatError(f"{self.path}: the tree of nodes is too deep or wide.")
        node = self._item("nodes", index)
        matrix = parent @ _node_matrix(node)
        if not np.isfinite(matrix).all():
            raise FormatError(f"{self.path}: a node's transform is not finite.")
        if "mesh" in node:
            mesh = self._item("meshes", node["mesh"])
            parts += [(entry, mesh, matrix) for entry in mesh["primitives"]]
        self._visited = getattr(self, "_visited", 0) + 1
        if self._visited > 100_000:
            raise FormatError(f"{self.path}: the tree of nodes is too deep or wide.")
        for child in node.get("children", []):
            self._walk(child, matrix, depth + 1, parts)

    def _primitive(self, primitive, mesh, matrix):
        attributes = primitive["attributes"]
        if primitive.get("extensions", {}).get("KHR_draco_mesh_compression"):
            raise FormatError(f"{self.path}: Draco compression is not supported.")
        rest = self.accessor(attributes["POSITION"], (3,)).astype(np.float64)
        vertices = rest @ matrix[:3, :3].T + matrix[:3, 3]
        count = len(vertices)
        if "indices" in primitive:
            indices = self.accessor(primitive["indices"], (1,))[:, 0]
            if indices.dtype.kind != "u" or len(indices) % 3:
                raise FormatError(f"{self.path}: the indices form no triangles.")
        else:
            indices = np.arange(count - count % 3)
        if len(indices) and indices.max() >= count:
            raise FormatError(
                f"{self.path}: found the vertex index {indices.max()}, expected 0 to "
                f"{count - 1}."
            )
        colors = coordinates = texture = None
        if "COLOR_0" in attributes:
            linear = self.accessor(attributes["COLOR_0"], (3, 4))[:, :3]
            colors = linear_to_srgb(self._per_vertex(linear, count))
        if "TEXCOORD_0" in attributes:
            flipped = self.accessor(attributes["TEXCOORD_0"], (2,))
            coordinates = self._per_vertex(flipped, count).astype(np.float32)
            coordinates = np.stack([coordinates[:, 0], 1 - coordinates[:, 1]], axis=1)
            texture = self._texture(primitive)
        targets = {}
        names = mesh.get("extras", {}).get("targetNames", [])
        for number, target in enumerate(primitive.get("targets", [])):
            name = str(names[number]) if number < len(names) else f"target {number}"
            if "POSITION" in target:
                offsets = self.accessor(target["POSITION"], (3,)).astype(np.float64)
                moved = self._per_vertex(offsets, count) @ matrix[:3, :3].T
                targets[name] = moved.astype(np.float32)
        result = Mesh(
            vertices=vertices,
            triangles=indices.reshape(-1, 3).astype(np.int32),
            vertex_colors=colors,
            texture_coordinates=coordinates if texture is not None else None,
            texture=texture,
        )
        return result, targets

    def _per_vertex(self, values, count):
        if len(values) != count:
            raise FormatError(
                f"{self.path}: an attribute of {len(values)} rows, expected {count}."
            )
        return values

    def _texture(self, primitive):
        if "material" not in primitive:
            return None
        material = self._item("materials", primitive["material"])
        color = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
        if color is None:
            return None
        source = self._item("textures", color["index"])["source"]
        image = self._item("images", source)
        if "bufferView" not in image:
            raise FormatError(f"{self.path}: refers to a picture outside the file.")
        _, start, length = self._view(image["bufferView"])
        return obj.read_texture(io.BytesIO(self.binary[start : start + length]))


def _node_matrix(node) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = (float(value) for value in node.get("rotation", (0, 0, 0, 1)))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    scale = np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
    matrix[:3, :3] = rotation * scale
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix


def _join(meshes: list[Mesh], name: str) -> Mesh:
    """Joins meshes; texture and colours survive where all parts share them."""
    if len(meshes) == 1:
        return meshes[0].replace(name=name)
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    colors = [m.vertex_colors for m in meshes if m.vertex_colors is not None]
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        triangles=np.concatenate(
            [
                mesh.triangles + offset
                for mesh, offset in zip(meshes, offsets, strict=True)
            ]
        ),
        vertex_colors=(np.concatenate(colors) if len(colors) == len(meshes) else None),
        name=name,
    )
