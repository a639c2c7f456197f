"""GLB files for tests, built from arrays and plain dictionaries."""

import io
import json
import pathlib
import struct

import numpy as np
from PIL import Image

COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

# A tetrahedron, counter-clockwise from outside, of volume 1/6.
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint16)
PLACES = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]], np.float32)


def volume(mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices[mesh.triangles].astype(np.float64), 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def picture_bytes(color, form="PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(stream, form)
    return stream.getvalue()


class GlbFile:
    """Collects views, accessors and everything else; `tree` may be changed freely."""

    def __init__(self):
        self.binary = bytearray()
        self.tree = {
            "asset": {"version": "2.0"},
            "bufferViews": [],
            "accessors": [],
            "meshes": [],
            "nodes": [],
            "scenes": [{"nodes": []}],
        }

    def view(self, content: bytes, **options) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        self.tree["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)}
            | options
        )
        self.binary += content
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, values, **options) -> int:
        values = np.ascontiguousarray(values)
        width = values.shape[1] if values.ndim == 2 else 1
        self.tree["accessors"].append(
            {
                "bufferView": self.view(values.tobytes()),
                "componentType": COMPONENTS[values.dtype.str[1:]],
                "count": len(values),
                "type": KINDS[width],
            }
            | options
        )
        return len(self.tree["accessors"]) - 1

    def primitive(self, indices=TRIANGLES, positions=VERTICES, **options) -> dict:
        """A primitive; arrays among the options are attributes, the rest its own."""
        attributes = {"POSITION": self.accessor(positions)}
        for name in [x for x in options if isinstance(options[x], np.ndarray)]:
            attributes[name] = self.accessor(options.pop(name))
        made = {"attributes": attributes, **options}
        if indices is not None:
            made["indices"] = self.accessor(indices.reshape(-1))
        return made

    def add_mesh(self, *primitives, **options) -> int:
        self.tree["meshes"].append({"primitives": list(primitives), **options})
        return len(self.tree["meshes"]) - 1

    def add_node(self, is_root=True, **options) -> int:
        self.tree["nodes"].append(options)
        number = len(self.tree["nodes"]) - 1
        if is_root:
            self.tree["scenes"][0]["nodes"].append(number)
        return number

    def add_picture(self, color=(200, 10, 10), **options) -> int:
        """An image, a texture and a material; returns the material's number."""
        images = self.tree.setdefault("images", [])
        images.append(
            {"bufferView": self.view(picture_bytes(color)), "mimeType": "image/png"}
        )
        textures = self.tree.setdefault("textures", [])
        textures.append({"source": len(images) - 1})
        surface = {"baseColorTexture": {"index": len(textures) - 1}}
        return self.add_material(surface | options)

    def add_material(self, surface: dict, **options) -> int:
        materials = self.tree.setdefault("materials", [])
        materials.append({"pbrMetallicRoughness": surface, **options})
        return len(materials) - 1

    def save(self, path: pathlib.Path) -> pathlib.Path:
        binary = bytes(self.binary) + b"\0" * (-len(self.binary) % 4)
        others = self.tree.get("buffers", [])
        tree = self.tree | {"buffers": [{"byteLength": len(binary)}, *others]}
        path.write_bytes(packed(tree, [(b"BIN\0", binary)]))
        return path


def packed(tree: dict, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A GLB file of a tree and the chunks behind it, each of a kind and its bytes."""
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = b"".join(
        struct.pack("<I4s", len(content), kind) + content
        for kind, content in [(b"JSON", text), *chunks]
    )
    return struct.pack("<4s2I", b"glTF", 2, 12 + len(body)) + body
