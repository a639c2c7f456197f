"""The original's programs as commands."""

import argparse
import pathlib

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps import inputs
from tf_faces.apps.prnet import common
from tf_faces.core import files, folders, pictures
from tf_faces.core.errors import InputError
from tf_faces.data.prnet import charts
from tf_faces.pipelines import prnet as pipeline
from tf_faces.pipelines.prnet import drawing, results, texture_editing
from tf_faces.viz import html_viewer, videos
from tf_faces.viz import pictures as shown_pictures


def run_basics(options: argparse.Namespace) -> int:
    """Landmarks, mesh and .mat of every picture of a folder."""
    common.require_output(options)
    paths = common.list_pictures(options.input_dir)
    reconstructor = common.make_reconstructor(options)

    def work(path):
        image, faces = common.faces_of(reconstructor, path)
        for name, face in zip(common.face_names(path, faces), faces, strict=True):
            results.write_basics(options.output_dir, name, face, image)

    return inputs.for_each(paths, work)


def demo_options(options: argparse.Namespace) -> results.Options:
    """Which files the flags ask for.

    Raises:
      InputError: if one is for a file that is not asked for.
    """
    everything = options.all
    if not options.is3d:
        told = "without the mesh, --is3d false, which it is for"
        options_of.refuse_given(options, ("isFront", "isTexture"), told)
    if not (options.isTexture or options.glb or everything):
        told = "without a texture, expected --isTexture, --glb or --all"
        options_of.refuse_given(options, ("isMask", "texture_size"), told)
    options_of.settle(options, texture_size=256)
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

    return inputs.for_each(paths, work)


def _region(options, layout):
    """bool [R, R], the part of the map that mode 0 replaces."""
    size = layout.resolution
    if options.region is not None:
        region = pictures.read(options.region, 1) > 127
        if region.shape != (size, size):
            raise InputError(
                f"{options.region}: {region.shape[1]} x {region.shape[0]} pixels, "
                f"expected the map's {size} x {size}."
            )
        return region
    uv_data = pathlib.Path(options.uv_data)
    if layout.name != str(uv_data):  # A run's own, or PRNet's of another size.
        return charts.eye_region(layout.landmarks, size)
    return texture_editing.changed_pixels(
        pictures.read(uv_data / "uv_face.png"),
        pictures.read(uv_data / "uv_face_eyes.png"),
    )


def demo_texture(options: argparse.Namespace) -> None:
    """Replaces eyes, another region or the whole face by those of other pictures."""
    if options.mode == 1:
        told = "with --mode 1, the whole face, expected --mode 0"
        options_of.refuse_given(options, ("region",), told)
    folders.require_free_file(options.output_path, overwrite=options.overwrite)
    reconstructor = common.make_reconstructor(options)

    def textured(path):
        image, faces = common.faces_of(reconstructor, pathlib.Path(path))
        face = texture_editing.closed(faces[0])
        texture = face.texture(image / 255.0, interpolation="nearest")
        return image, face, texture

    image, face, texture = textured(options.image_path)
    references = options.ref_path.split(",")
    new = texture_editing.mixed([textured(path)[2] for path in references])
    if options.match_colors:
        new = texture_editing.match_colors(new, texture, face.layout.mask)
    if options.mode == 0:
        region = _region(options, reconstructor.layout)
        new = np.where(region[..., None], new, texture)
    edited = texture_editing.edit(image, face, new, blend=not options.no_blend)
    pictures.write(options.output_path, edited)
    print(f"{options.output_path} written.", flush=True)


def view(options: argparse.Namespace) -> int:
    """An HTML page with every face: before its photograph, and in its colours."""
    folders.require_free_file(options.output, overwrite=options.overwrite)
    paths = common.list_pictures(options.input_dir)
    reconstructor = common.make_reconstructor(options)
    items = []

    def work(path):
        image, faces = common.faces_of(reconstructor, path)
        for name, face in zip(common.face_names(path, faces), faces, strict=True):
            texture = pictures.to_bytes(face.texture(image / 255.0))
            items.append(
                html_viewer.Item(
                    face.mesh(image, texture, name),
                    name,
                    before=drawing.mesh_over(face, image, name),
                    before_caption="the mesh before the photograph",
                    after_caption="with its texture",
                )
            )

    status = inputs.for_each(paths, work)
    if items:
        page = html_viewer.write_page(options.output, items, "Reconstructed faces")
        print(f"{page} written.", flush=True)
    return status


def _drawn(face, image: np.ndarray, kind: str) -> np.ndarray:
    if kind == "landmarks":
        return drawing.plot_landmarks(image, face.landmarks)
    if kind == "vertices":
        return drawing.plot_vertices(image, face.vertices)
    if kind == "pose":
        return drawing.plot_pose_box(image, face.pose.camera_original, face.landmarks)
    depth = face.depth()
    shown = shown_pictures.depth_picture(depth)
    return np.where(depth[..., None] != 0, shown, image)


def video(options: argparse.Namespace) -> int:
    """Draws faces over a video; where a face was, it is looked for next."""
    source = pathlib.Path(options.input)
    rate = 25.0
    output = pathlib.Path(options.output)
    if not source.is_dir() and output.resolve() == source.resolve():
        raise InputError(f"--output: found {source}, the video; expected another.")
    folders.require_free_file(output, overwrite=options.overwrite)
    if source.is_dir():
        listed = common.list_pictures(source)
        frames = ((path.stem, path) for path in listed)
    else:
        rate, found = videos.read_video(source)
        frames = ((f"{number:06d}", frame) for number, frame in enumerate(found))
    rate = options.frames_per_second or rate
    if not (np.isfinite(rate) and 0 < rate <= 1000):
        raise InputError(f"--frames_per_second: found {rate}, expected 0 to 1000.")
    reconstructor = common.make_reconstructor(options)
    folder = None if options.kpt_dir is None else pathlib.Path(options.kpt_dir)
    failed = []
    count = 0

    def shown():
        nonlocal count
        last = None
        for name, frame in frames:
            try:
                image = pipeline.as_picture(frame)
                faces = _tracked(reconstructor, image, last)
            except InputError as error:
                failed.append(f"{name}: {error}")
                last = None
                if not isinstance(frame, np.ndarray):
                    continue  # A picture that cannot be read cannot be shown.
                yield frame
                continue
            last = faces[0].landmarks
            for number, face in enumerate(faces):
                if folder is not None:
                    end = "" if len(faces) == 1 else f"_face{number}"
                    path = folder / f"{name}{end}_kpt.txt"
                    results.write_text_table(path, face.landmarks)
            count += 1
            for face in faces:
                image = _drawn(face, image, options.draw)
            yield image

    written = videos.write_video(output, shown(), frames_per_second=rate)
    print(f"{written}: {count} frames with faces.", flush=True)
    return inputs.report_failures(failed, "frames")


def _tracked(reconstructor, image, last):
    """The faces of a frame: by the detector, else where the face was, else anywhere."""
    height, width = image.shape[:2]
    if reconstructor.detector is not None:
        return reconstructor.faces(image)
    if last is not None and _is_plausible(last, height, width):
        return reconstructor.faces(image, landmarks=last)
    return reconstructor.faces(image, box=(0, width - 1, 0, height - 1))


def _is_plausible(landmarks, height: int, width: int) -> bool:
    """Whether landmarks are large enough and lie in the frame, so as to go on there."""
    extent = np.ptp(landmarks[:, :2], axis=0)
    middle = landmarks[:, :2].mean(axis=0)
    return bool(
        extent.min() > 16
        and (extent < 2 * np.array([width, height])).all()
        and (middle >= 0).all()
        and (middle < [width, height]).all()
    )


def check(options: argparse.Namespace) -> None:
    """Says what a checkpoint holds."""
    from tf_faces.convert import prnet as weights

    if options.output is not None:
        folders.require_free_file(
            f"{options.output}.index", overwrite=options.overwrite
        )
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
