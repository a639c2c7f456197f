"""The original's programs as commands."""

import argparse
import pathlib

import numpy as np

from tf_faces.apps.prnet import common
from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError
from tf_faces.pipelines.prnet import results, texture_editing
from tf_faces.viz import html_viewer


def run_basics(options: argparse.Namespace) -> int:
    """Landmarks, mesh and .mat of every picture of a folder."""
    common.require_output(options)
    paths = common.list_pictures(options.input_dir)
    reconstructor = common.make_reconstructor(options)

    def work(path):
        image, faces = common.faces_of(reconstructor, path)
        for name, face in zip(common.face_names(path, faces), faces, strict=True):
            results.write_basics(options.output_dir, name, face, image)

    return common.for_each(paths, work)


def demo_options(options: argparse.Namespace) -> results.Options:
    """Which files the flags ask for."""
    if options.texture_size < 1:
        raise InputError(
            f"--texture_size: found {options.texture_size}, expected at least 1."
        )
    everything = options.all
    return results.Options(
        mesh=options.is3d,
        mat=options.isMat or everything,
        landmarks=options.isKpt or everything,
        pose=options.isPose or everything,
        image=options.isImage or everything,
        frontal=options.isFront,
        depth=options.isDepth or everything,
        texture=options.isTexture,
        masked=options.isMask,
        texture_size=options.texture_size,
        drawings=options.isShow or everything,
        visibility=options.visibility or everything,
        glb=options.glb or everything,
        sheet=options.sheet or everything,
    )


def demo(options: argparse.Namespace) -> int:
    """All results of every picture of a folder."""
    chosen = demo_options(options)
    common.require_output(options)
    paths = common.list_pictures(options.input_dir)
    reconstructor = common.make_reconstructor(options)

    def work(path):
        image, faces = common.faces_of(reconstructor, path)
        for name, face in zip(common.face_names(path, faces), faces, strict=True):
            results.write_demo(options.output_dir, name, face, image, chosen)

    return common.for_each(paths, work)


def _region(options, uv_data):
    """bool [R, R], the part of the map that mode 0 replaces."""
    if options.region is not None:
        return pictures.read(options.region, 1) > 127
    return texture_editing.changed_pixels(
        pictures.read(uv_data / "uv_face.png"),
        pictures.read(uv_data / "uv_face_eyes.png"),
    )


def demo_texture(options: argparse.Namespace) -> None:
    """Replaces eyes, another region or the whole face by those of other pictures."""
    reconstructor = common.make_reconstructor(options)
    size = reconstructor.layout.resolution

    def textured(path):
        image, faces = common.faces_of(reconstructor, pathlib.Path(path))
        face = faces[0]
        texture = face.texture(image / 255.0, interpolation="nearest")
        return image, face, texture

    image, face, texture = textured(options.image_path)
    references = options.ref_path.split(",")
    new = texture_editing.mixed([textured(path)[2] for path in references])
    mask = reconstructor.layout.mask
    if options.match_colors:
        new = texture_editing.match_colors(new, texture, mask)
    if options.mode == 0:
        region = _region(options, pathlib.Path(options.uv_data))
        if region.shape != (size, size):
            raise InputError(
                f"the region has {region.shape[1]} x {region.shape[0]} pixels, "
                f"expected the map's {size} x {size}."
            )
        new = np.where(region[..., None], new, texture)
    edited = texture_editing.edit(image, face, new, blend=not options.no_blend)
    pictures.write(options.output_path, edited)
    print(f"{options.output_path} written.", flush=True)


def view(options: argparse.Namespace) -> int:
    """An HTML page with the mesh of every picture of a folder."""
    paths = common.list_pictures(options.input_dir)
    reconstructor = common.make_reconstructor(options)
    items = []

    def work(path):
        image, faces = common.faces_of(reconstructor, path)
        for name, face in zip(common.face_names(path, faces), faces, strict=True):
            texture = pictures.to_bytes(face.texture(image / 255.0))
            items.append(html_viewer.Item(face.mesh(image, texture, name), name))

    status = common.for_each(paths, work)
    if items:
        page = html_viewer.write_page(options.output, items, "Reconstructed faces")
        print(f"{page} written.", flush=True)
    return status


def check(options: argparse.Namespace) -> None:
    """Says what a checkpoint holds."""
    from tf_faces.convert import prnet as weights

    network, source = weights.load_checkpoint(options.weights_path)
    print(source.describe())
    print(
        f"{len(network.variables_by_name())} variables, {network.count_params()} "
        f"numbers, {network.multiply_adds() / 1e9:.2f} G multiply-adds a crop, "
        f"{source.unused} variables unused; SHA-256 {source.sha256}"
    )
    if options.output is not None:
        prefix = weights.write_checkpoint(options.output, network)
        print(f"{prefix}.index written, {files.sha256(f'{prefix}.index')[:16]}...")
