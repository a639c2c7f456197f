"""GLB (binary glTF 2.0): reading meshes with texture, colours and morph targets."""

import dataclasses
import io
import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import glb, neighbours, obj, polygons
from tf_faces.geometry.mesh_files.glb_accessors import MAXIMUM_ROWS, Accessors

MAXIMUM_PRIMITIVES = 4096
MAXIMUM_NODES = 100_000
MAXIMUM_DEPTH = 64

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
# Extensions that are understood, or change nothing but light and shade.
_EXTENSIONS = (
    "KHR_texture_transform",
    "KHR_mesh_quantization",
    "EXT_texture_webp",
    "KHR_lights_punctual",
    "KHR_xmp_json_ld",
)
_SHADING = "KHR_materials_"
# Extensions of nodes that change where, or whether, a mesh is shown.
_PLACING = ("EXT_mesh_gpu_instancing", "KHR_node_visibility")
_MALFORMED = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
)


@dataclasses.dataclass(frozen=True)
class GlbContent:
    """What a GLB file holds.

    Attributes:
      mesh: the mesh at rest, in metres.
      morph_targets: name -> float32 [V, 3] offsets at weight 1.
    """

    mesh: Mesh
    morph_targets: dict[str, np.ndarray]


def read_glb(path: files.PathLike) -> GlbContent:
    """Reads the triangles of the first scene's meshes, joined into one mesh.

    Node transforms and skins are applied (what mirrors turns the triangles round), as
    are KHR_texture_transform, the set of texture coordinates that the material names
    and, where it has no picture, its colour factor.  Strips and fans become triangles;
    points and lines are left aside.  Morph targets are joined by name.

    Several primitives become one mesh.  It has colours if one has (white elsewhere),
    coordinates if one has ((0, 0) elsewhere), and a texture if all show the same
    picture; otherwise there is none, and a warning says so.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, an offset, count or index points outside, or it
        needs what is not read: Draco, another required extension, another file.
    """
    path = files.require_file(path, "GLB file")
    size = path.stat().st_size
    if size > obj.MAXIMUM_BYTES:
        raise FormatError(
            f"{path}: {size} bytes, expected at most {obj.MAXIMUM_BYTES}."
        )
    tree, binary = glb.unpack(path.read_bytes(), str(path))
    try:
        # What leads beyond numbers is found by the checks of what comes out.
        with np.errstate(over="ignore", invalid="ignore"):
            return _Reader(path, tree, binary).read()
    except FormatError:
        raise
    except _MALFORMED as error:
        if isinstance(error, KeyError):
            reason = f"a part of it lacks the entry {error.args[0]!r}"
        else:
            reason = "an entry is of the wrong kind or length"
        raise FormatError(
            f"{path}: not a glTF tree of the expected form ({reason}); export it again."
        ) from error


@dataclasses.dataclass(frozen=True)
class _Part:
    """One primitive in the place where a node puts it; `image` is its picture."""

    mesh: Mesh
    image: int | None
    targets: dict[str, np.ndarray]


class _Reader(Accessors):
    def __init__(self, path: pathlib.Path, tree: dict[str, Any], binary: bytes):
        super().__init__(path, tree, binary)
        self._visited = self._rows = 0
        # Where the walk through the scene has put each node.
        self._placed: dict[int, np.ndarray] = {}

    def read(self) -> GlbContent:
        asset = self.tree.get("asset", {})
        version = str(asset.get("version", "2.0"))
        needed = str(asset.get("minVersion", "2.0"))
        if needed != "2.0" or not version.startswith("2."):
            found = version if needed == "2.0" else needed
            raise FormatError(
                f"{self.path}: needs glTF {found[:20]}, expected 2.0; export it so."
            )
        for name in self.tree.get("extensionsRequired", []):
            if name not in _EXTENSIONS and not str(name).startswith(_SHADING):
                raise FormatError(
                    f"{self.path}: needs the glTF extension {name}, which is not "
                    "supported."
                )
        found: list[tuple] = []
        for node in self._roots():
            self._walk(node, np.eye(4), 0, found)
        if not self.tree.get("nodes"):
            for mesh in self.tree.get("meshes", []):
                found += [(entry, mesh, {}, np.eye(4)) for entry in mesh["primitives"]]
        for part in found:
            if part[0].get("mode", _TRIANGLES) not in range(_FAN + 1):
                raise FormatError(
                    f"{self.path}: found the mode {part[0]['mode']!r} of a primitive, "
                    f"expected 0 to {_FAN}."
                )
        found = [part for part in found if part[0].get("mode", 4) >= _TRIANGLES]
        self._limit_primitives(found)
        parts = [self._primitive(*part) for part in found]
        if not any(len(part.mesh.triangles) for part in parts):
            raise FormatError(f"{self.path}: found no triangles.")
        return self._join(parts)

    def _roots(self) -> list[int]:
        """The topmost nodes of the scene, or of the file if it has no scene."""
        if self.tree.get("scenes"):
            scene = self.item("scenes", self.tree.get("scene", 0))
            return scene.get("nodes", [])
        nodes = self.tree.get("nodes", [])
        children = {child for node in nodes for child in node.get("children", [])}
        return [number for number in range(len(nodes)) if number not in children]

    def _limit_primitives(self, found) -> None:
        if len(found) > MAXIMUM_PRIMITIVES:
            raise FormatError(
                f"{self.path}: found more than {MAXIMUM_PRIMITIVES} primitives."
            )

    def _walk(self, index, parent, depth, found) -> None:
        self._visited += 1
        if depth > MAXIMUM_DEPTH or self._visited > MAXIMUM_NODES:
            raise FormatError(f"{self.path}: the tree of nodes is too deep or wide.")
        node = self.item("nodes", index)
        matrix = parent @ _node_matrix(node)
        if not np.isfinite(matrix).all():
            raise FormatError(f"{self.path}: a node's transform is not finite.")
        if not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise FormatError(
                f"{self.path}: found a node's matrix with the last row "
                f"{matrix[3].tolist()}, expected 0, 0, 0, 1."
            )
        self._placed[index] = matrix
        if "mesh" in node:
            for name in _PLACING:
                if name in node.get("extensions", {}):
                    raise FormatError(f"{self.path}: {name} is not supported.")
            mesh = self.item("meshes", node["mesh"])
            if any(node.get("weights", mesh.get("weights", []))):
                neighbours.warn(
                    self.path, "weights of morph targets are left aside (all 0)."
                )
            found += [(entry, mesh, node, matrix) for entry in mesh["primitives"]]
            self._limit_primitives(found)
        for child in node.get("children", []):
            self._walk(child, matrix, depth + 1, found)

    def _primitive(self, primitive, mesh, node, matrix) -> _Part:
        attributes = primitive["attributes"]
        if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
            raise FormatError(f"{self.path}: Draco compression is not supported.")
        rest = self.accessor(attributes["POSITION"], (3,)).astype(np.float64)
        count = len(rest)
        triangles = self._triangles(primitive, count)
        self._rows += count + 3 * len(triangles)
        if self._rows > 2 * MAXIMUM_ROWS:
            raise FormatError(
                f"{self.path}: found more than {2 * MAXIMUM_ROWS} vertices and corners."
            )
        if "skin" in node:
            matrices = self._skin_matrices(node["skin"], attributes, count)
        else:
            matrices = matrix[None, :3]
        if _mirrors(matrices):
            triangles = triangles[:, ::-1]
        colors = coordinates = None
        if "COLOR_0" in attributes:
            colors = self.accessor(attributes["COLOR_0"], (3, 4), count, True)[:, :3]
        image, factor, set_number, transform = self._material(primitive)
        if f"TEXCOORD_{set_number}" in attributes:
            values = self.accessor(attributes[f"TEXCOORD_{set_number}"], (2,), count)
            values = values.astype(np.float64) @ transform[:2, :2].T + transform[:2, 2]
            coordinates = np.stack([values[:, 0], 1 - values[:, 1]], axis=1)
            coordinates = self._float32(coordinates)
        elif image is not None:
            neighbours.warn(
                self.path, f"a picture needs TEXCOORD_{set_number}, which is absent."
            )
            image = None
        if image is None and factor != (1, 1, 1):
            colors = (np.ones((count, 3)) if colors is None else colors) * factor
        elif factor != (1, 1, 1):
            shown = ", ".join(f"{value:.3g}" for value in factor)
            neighbours.warn(
                self.path, f"the colour factor ({shown}) of a picture is left aside."
            )
        return _Part(
            Mesh(
                vertices=self._float32(_turned(matrices, rest) + matrices[..., 3]),
                triangles=triangles,
                vertex_colors=None if colors is None else glb.linear_to_srgb(colors),
                texture_coordinates=coordinates,
            ),
            image,
            self._targets(primitive, mesh, count, matrices),
        )

    def _skin_matrices(self, index, attributes, count: int) -> np.ndarray:
        """float64 [count, 3, 4]: where the joints put each vertex.

        Joints alone move a skinned mesh; its own node does not.
        """
        skin = self.item("skins", index)
        joints = skin["joints"]
        if not joints or any(joint not in self._placed for joint in joints):
            raise FormatError(f"{self.path}: a skin has no joints in the scene.")
        places = np.stack([self._placed[joint] for joint in joints])
        if "inverseBindMatrices" in skin:
            inverse = self.accessor(skin["inverseBindMatrices"], (16,), len(joints))
            # Column after column.
            places = places @ inverse.reshape(-1, 4, 4).transpose(0, 2, 1)
        result, total = np.zeros((count, 3, 4)), np.zeros(count)
        number = 0
        while f"JOINTS_{number}" in attributes:
            chosen = self.accessor(attributes[f"JOINTS_{number}"], (4,), count)
            weights = self.accessor(
                attributes[f"WEIGHTS_{number}"], (4,), count, as_fraction=True
            )
            if chosen.dtype.kind != "u" or chosen.max() >= len(joints):
                raise FormatError(
                    f"{self.path}: found the joint {chosen.max()}, expected 0 to "
                    f"{len(joints) - 1}."
                )
            for column in range(4):
                weight = weights[:, column].astype(np.float64)
                result += weight[:, None, None] * places[chosen[:, column], :3]
                total += weight
            number += 1
        if not (total > 0).all():
            raise FormatError(f"{self.path}: a skin has vertices without weights.")
        return result / total[:, None, None]

    def _float32(self, values: np.ndarray) -> np.ndarray:
        result = values.astype(np.float32)
        if not np.isfinite(result).all():
            raise FormatError(f"{self.path}: a transform leads beyond float32.")
        return result

    def _triangles(self, primitive, count: int) -> np.ndarray:
        """int32 [T, 3] of triangles, a strip or a fan, with or without indices."""
        if "indices" in primitive:
            indices = self.accessor(primitive["indices"], (1,))[:, 0]
        else:
            indices = np.arange(count, dtype=np.uint32)
        mode = primitive.get("mode", _TRIANGLES)
        if indices.dtype.kind != "u" or (mode == _TRIANGLES and len(indices) % 3):
            raise FormatError(f"{self.path}: the indices form no triangles.")
        if indices.max() >= count:
            raise FormatError(
                f"{self.path}: found the vertex index {indices.max()}, expected 0 to "
                f"{count - 1}."
            )
        indices = indices.astype(np.int32)
        if mode == _STRIP:
            return indices[polygons.strip(len(indices))]
        if mode == _FAN:
            return indices[polygons.fans(np.array([max(len(indices), 2)]))[0]]
        return indices.reshape(-1, 3)

    def _targets(self, primitive, mesh, count, matrices) -> dict[str, np.ndarray]:
        """Morph targets by their names, which are made different where they are not."""
        found: dict[str, np.ndarray] = {}
        names: list = []
        # Exporters of VRM put the names into the primitives.
        for extras in (primitive.get("extras"), mesh.get("extras")):
            if isinstance(extras, dict) and extras.get("targetNames"):
                names = extras["targetNames"]
        for number, target in enumerate(primitive.get("targets", [])):
            name = str(names[number]) if number < len(names) else f"target {number}"
            while name in found:  # Another one may be called like that as well.
                name = f"{name} ({number})"
            offsets = np.zeros((count, 3))
            if "POSITION" in target:
                offsets = self.accessor(target["POSITION"], (3,), count)
            self._rows += count
            if self._rows > 2 * MAXIMUM_ROWS:
                raise FormatError(f"{self.path}: found too many morph targets.")
            found[name] = self._float32(_turned(matrices, offsets))
        return found

    def _material(self, primitive) -> tuple[int | None, tuple, int, np.ndarray]:
        """Image, colour factor, set of texture coordinates and their transform."""
        if "material" not in primitive:
            return None, (1, 1, 1), 0, np.eye(3)
        material = self.item("materials", primitive["material"])
        surface = material.get("pbrMetallicRoughness", {})
        shown = surface.get("baseColorTexture")
        factor = surface.get("baseColorFactor")
        other = material.get("extensions", {}).get(
            "KHR_materials_pbrSpecularGlossiness", {}
        )
        shown = other.get("diffuseTexture", shown)
        factor = other.get("diffuseFactor", factor) or (1, 1, 1)
        red, green, blue = (float(value) for value in factor[:3])
        if not all(0 <= value <= 1 for value in (red, green, blue)):
            raise FormatError(
                f"{self.path}: found the colour factor {list(factor)}, expected "
                "numbers in 0..1."
            )
        if material.get("alphaMode", "OPAQUE") != "OPAQUE":
            neighbours.warn(self.path, "transparency of a material is left aside.")
        if shown is None:
            if "emissiveTexture" in material:
                neighbours.warn(
                    self.path, "a picture that only shines (emissive) is left aside."
                )
            return None, (red, green, blue), 0, np.eye(3)
        moved = shown.get("extensions", {}).get("KHR_texture_transform", {})
        set_number = int(moved.get("texCoord", shown.get("texCoord", 0)))
        image = self._image_of_texture(shown["index"])
        return image, (red, green, blue), set_number, self._texture_matrix(moved)

    def _texture_matrix(self, moved: dict[str, Any]) -> np.ndarray:
        """[3, 3] for columns (u, v, 1) with v down: scaled, turned, moved."""
        angle = float(moved.get("rotation", 0))
        cosine, sine = np.cos(angle), np.sin(angle)
        scale = np.array(moved.get("scale", (1, 1)), np.float64).reshape(2)
        matrix = np.eye(3)
        # Counter-clockwise as seen, where v runs down.
        matrix[:2, :2] = np.array([[cosine, sine], [-sine, cosine]]) * scale
        matrix[:2, 2] = np.array(moved.get("offset", (0, 0)), np.float64).reshape(2)
        if not np.isfinite(matrix).all():
            raise FormatError(f"{self.path}: a texture's transform is not finite.")
        return matrix

    def _image_of_texture(self, index) -> int:
        texture = self.item("textures", index)
        extensions = texture.get("extensions", {})
        if "source" in texture:
            return texture["source"]
        if "EXT_texture_webp" in extensions:
            return extensions["EXT_texture_webp"]["source"]
        if not extensions:
            raise FormatError(f"{self.path}: a texture has no picture, expected one.")
        raise FormatError(
            f"{self.path}: a texture has no picture but that of "
            f"{', '.join(extensions)}, which is not supported."
        )

    def _read_picture(self, number: int) -> np.ndarray:
        image = self.item("images", number)
        if "bufferView" in image:
            _, content, start, length = self.view(image["bufferView"])
            content = content[start : start + length]
        else:
            content = self.data_uri(image["uri"], "picture")
        try:
            return obj.read_texture(io.BytesIO(content))
        except InputError as error:
            raise FormatError(f"{self.path}: {error}") from error

    def _join(self, parts: list[_Part]) -> GlbContent:
        """Joins the parts to one mesh (see `read_glb`)."""
        meshes = [part.mesh for part in parts]
        counts = [len(mesh.vertices) for mesh in meshes]
        offsets = np.cumsum([0, *counts[:-1]])
        images = {part.image for part in parts}
        texture = None
        if len(images) > 1:
            neighbours.warn(
                self.path,
                "read without texture: its parts do not all show the same picture.",
            )
        elif (image := images.pop()) is not None:
            texture = self._read_picture(image)

        def joined(name: str, default: float, width: int) -> np.ndarray | None:
            found = [getattr(mesh, name) for mesh in meshes]
            if all(values is None for values in found):
                return None
            return np.concatenate(
                [
                    np.full((count, width), default, np.float32) if x is None else x
                    for x, count in zip(found, counts, strict=True)
                ]
            )

        names = dict.fromkeys(name for part in parts for name in part.targets)
        if len(names) * sum(counts) > 4 * MAXIMUM_ROWS:
            raise FormatError(f"{self.path}: found too many morph targets.")
        return GlbContent(
            Mesh(
                vertices=np.concatenate([mesh.vertices for mesh in meshes]),
                triangles=np.concatenate(
                    [
                        mesh.triangles + offset
                        for mesh, offset in zip(meshes, offsets, strict=True)
                    ]
                ),
                vertex_colors=joined("vertex_colors", 1, 3),
                texture_coordinates=joined("texture_coordinates", 0, 2),
                texture=texture,
                name=self.path.stem,
                unit="m",
            ),
            {
                name: np.concatenate(
                    [
                        part.targets.get(name, np.zeros((count, 3), np.float32))
                        for part, count in zip(parts, counts, strict=True)
                    ]
                )
                for name in names
            },
        )


def _turned(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors [V, 3] under the linear part of matrices [V or 1, 3, 4]."""
    vectors = vectors.astype(np.float64)
    if len(matrices) == 1:
        return vectors @ matrices[0, :, :3].T
    return np.einsum("vij,vj->vi", matrices[..., :3], vectors)


def _mirrors(matrices: np.ndarray) -> bool:
    """Whether the mean of maps [N, 3, 4] turns a right hand into a left one.

    Lengths of axes do not decide it; each is taken out first, that products of very
    long or very short ones stay within float64 (LAPACK's det divides by them).
    """
    largest = max(np.abs(matrices).max(), np.finfo(np.float64).tiny)
    axes = (matrices[..., :3] / largest).mean(axis=0).T
    lengths = np.abs(axes).max(axis=1, keepdims=True)
    axes = np.divide(axes, lengths, out=np.zeros_like(axes), where=lengths > 0)
    return bool(np.dot(np.cross(axes[0], axes[1]), axes[2]) < 0)


def _node_matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    turn = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64).reshape(4)
    x, y, z, w = turn / (np.linalg.norm(turn) or 1.0)
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
