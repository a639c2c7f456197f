"""Speed of Face Manifold: networks, pictures and whole commands, side by side.

    python benchmarks/face_manifold.py [--model builtin:full] [--faces 4000]

Networks: the faces one at a time, as the original's programs feed them, and together.

Pictures of 256 x 256, by one core: `plain` lights with the geometry functions that
define what is right and draws with the rasteriser's NumPy twin, a face at a time;
`painter` is what the programs use.  The stages of the latter follow.

Commands: `create-synthetic` from start to durable files, with networks of random
weights (their numbers do not change the time) and as many processors as there are.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before NumPy and TensorFlow start: one core.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

TABLE_SECONDS = 10  # for 10,000 faces without pictures
FACES_A_SECOND = 100


def seconds(function, repeats: int = 1) -> float:
    """Processor seconds of one call, the first left out."""
    function()
    start = time.process_time()
    for _ in range(repeats):
        function()
    return (time.process_time() - start) / repeats


def measure_networks() -> None:
    import numpy as np

    from tf_faces.models.face_manifold import denoisers
    from tf_faces.models.face_manifold.config import DenoiserConfig

    print(f"{'network':<12} {'one a call':>12} {'together':>12}   faces a second")
    for group in ("shape", "expression"):
        denoiser = denoisers.Denoiser(DenoiserConfig.original(group), seed=0)
        rows = np.random.default_rng(0).standard_normal((4096, denoiser.config.length))
        single = seconds(lambda d=denoiser, r=rows: d.denoise(r[:1]), 50)
        together = seconds(lambda d=denoiser, r=rows: d.denoise(r), 3) / len(rows)
        print(f"{group:<12} {1 / single:>12.0f} {1 / together:>12.0f}")


def measure_pictures(model_name: str) -> None:
    import numpy as np

    from tf_faces.core.pictures import to_bytes
    from tf_faces.geometry import cameras, lighting, normals
    from tf_faces.morphable import io, raw_form
    from tf_faces.ops import render_depth
    from tf_faces.viz import painter as pictures

    model = io.opaque_part(raw_form.load(model_name)).with_winding("cw")
    count = pictures.FACES_A_PIECE
    faces = raw_form.draw_faces(model, count, 0)
    view = pictures.View()
    painter = pictures.Painter(model)
    lamps = np.float32(lighting.FACE_MANIFOLD_LIGHT_POSITIONS)
    intensities = np.float32(lighting.FACE_MANIFOLD_LIGHT_INTENSITIES)
    ambient = lighting.FACE_MANIFOLD_AMBIENT

    def plain() -> np.ndarray:
        placed = model.vertices(faces.shape[0], faces.expression[0]) * view.scale
        lit = lighting.point_lights(
            placed,
            normals.vertex_normals_face3d(placed, model.triangles),
            pictures.colors(model, faces.texture[:1])[0],
            lamps,
            intensities,
            ambient=ambient,
        )
        drawn = render_depth.rasterize_numpy(
            cameras.to_image_face3d(placed, view.height, view.width),
            model.triangles,
            view.height,
            view.width,
            attributes=np.clip(lit, 0, 1),
        )
        return to_bytes(drawn.attributes)

    def whole() -> np.ndarray:
        drawn = pictures.render(model, faces, view, rule="top_left", painter=painter)
        return to_bytes(drawn.images)

    difference = np.abs(whole()[0].astype(int) - plain().astype(int))
    together = seconds(whole, 4) / count
    single = seconds(plain)
    print(
        f"\npictures of {model.vertex_count} vertices, milliseconds of a core each: "
        f"plain {single * 1e3:.0f}, painter {together * 1e3:.2f}, ratio "
        f"{single / together:.0f} (largest difference {difference.max()} of 255)"
    )
    vertices = model.vertices(faces.shape, faces.expression) * np.float32(view.scale)
    albedo = pictures.colors(model, faces.texture)
    placed = np.ascontiguousarray(cameras.to_image_face3d(vertices, 256, 256))
    all_lamps = np.broadcast_to(lamps, (count, *lamps.shape))
    stages = {
        "vertices": lambda: model.vertices(faces.shape, faces.expression),
        "colours": lambda: pictures.colors(model, faces.texture),
        "normals": lambda: painter.normals(vertices),
        "light": lambda: painter.light(
            vertices, albedo, all_lamps, intensities, ambient
        ),
        "rasteriser": lambda: render_depth.rasterize(
            placed, painter.triangles, 256, 256, attributes=albedo, rule="top_left"
        ),
    }
    for name, stage in stages.items():
        within = " (of light)" if name == "normals" else ""
        print(f"  {name:<12} {seconds(stage, 4) / count * 1e3:8.2f}{within}")


def measure_commands(model_name: str, count: int) -> None:
    from tf_faces.convert import face_manifold as convert
    from tf_faces.models.face_manifold import denoisers
    from tf_faces.models.face_manifold.config import DenoiserConfig
    from tf_faces.morphable import raw_form

    model = raw_form.load(model_name)
    lengths = {"shape": model.shape_count, "expression": model.expression_count}
    environment = {k: v for k, v in os.environ.items() if k not in _ONE_THREAD}
    environment["PYTHONPATH"] = str(ROOT)
    print(f"\n{'create-synthetic':<42} {'seconds':>8} {'faces/s':>8}  mark")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for seed, (group, length) in enumerate(lengths.items()):
            unit = DenoiserConfig.original(group).unit
            denoiser = denoisers.Denoiser(DenoiserConfig(group, length, unit), seed)
            convert.save(folder / "weights" / group / "final.npz", denoiser)
        for number, (words, size, mark) in enumerate(
            (
                (["--render", "none"], 10_000, f"{TABLE_SECONDS} s"),
                ([], count, f"{FACES_A_SECOND} faces/s, each drawn twice"),
                (["--layout", "300w-lp"], count, f"{FACES_A_SECOND} faces/s"),
            )
        ):
            command = [sys.executable, str(ROOT / "tools/face_manifold.py")]
            command += ["create-synthetic", "--model", model_name, "--size", str(size)]
            command += ["--trained-models", str(folder / "weights"), *words]
            command += ["--output", str(folder / f"faces{number}")]
            start = time.perf_counter()
            subprocess.run(
                command, env=environment, check=True, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            took = time.perf_counter() - start
            name = " ".join(["--size", str(size), *words])
            print(f"{name:<42} {took:>8.1f} {size / took:>8.0f}  {mark}")


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="builtin:full")
    parser.add_argument("--faces", type=int, default=4000)
    parser.add_argument("--no_commands", dest="commands", action="store_false")
    arguments = parser.parse_args(argv)
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    from tf_faces.core import machine, tensorflow_start

    tensorflow_start.prepare()
    machine.keep_freed_memory(shared_by_threads=True)
    print(f"{machine.processors()} processors")
    measure_networks()
    measure_pictures(arguments.model)
    if arguments.commands:
        measure_commands(arguments.model, arguments.faces)


if __name__ == "__main__":
    main()
