"""Which tests belong to which part of the package."""

import dataclasses
import fnmatch
import pathlib


@dataclasses.dataclass(frozen=True)
class Room:
    """One part of the package and its tests.

    Attributes:
      sources: patterns of its files below tf_faces.
      tests: files and folders below tests.
      without: patterns of files that are left out of `sources`.
      imports: modules of others that its tests need, imported once for all.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    def files(self, root: pathlib.Path) -> list[str]:
        """Returns the source files, relative to `root`, sorted."""
        found = {
            path.relative_to(root).as_posix()
            for pattern in self.sources
            for path in (root / "tf_faces").glob(pattern)
        }
        return sorted(
            path
            for path in found
            if not any(fnmatch.fnmatch(path, f"*/{other}") for other in self.without)
        )


_SCIENCE = ("scipy.io", "scipy.ndimage", "scipy.sparse.linalg", "scipy.spatial")

ROOMS = {
    "core": Room(
        ("core/*.py",),
        ("core", "configs", "golden/coarse_fine/test_model_files.py",
         "golden/tbgan/test_run_folder.py"),
    ),
    "configs": Room(
        ("configs/*.py",),
        ("configs", "contract/test_presets.py", "golden/tbgan/test_schedule.py"),
    ),
    "geometry": Room(
        ("geometry/*.py", "geometry/mesh_files/*.py"),
        ("geometry", "golden/prnet", "golden/coarse_fine",
         "golden/face_manifold/test_mesh_files.py",
         "golden/face_manifold/test_mesh_operations.py"),
        imports=_SCIENCE,
    ),
    "ops": Room(
        ("ops/**/*.py",),
        ("ops", "golden/prnet/test_render.py", "golden/coarse_fine/test_zbuffer.py",
         "golden/coarse_fine/test_render.py", "golden/prnet/test_render_faces.py"),
    ),
    "kernels": Room(
        ("ops/render_depth/cc/**/*.cc", "ops/render_depth/cc/**/*.h",
         "ops/render_depth/cc/**/*.inc"),
        ("ops", "golden/prnet/test_render.py", "golden/coarse_fine/test_zbuffer.py",
         "golden/coarse_fine/test_render.py"),
        without=("gpu/*",),  # Compiled only where there is a GPU.
    ),
    "layers": Room(
        ("layers/*.py",),
        ("layers", "golden/tbgan/test_networks.py",
         "golden/tbgan/test_activations.py"),
    ),
    "losses": Room(
        ("losses/*.py",),
        ("losses", "golden/tbgan/test_losses.py", "golden/coarse_fine/test_losses.py",
         "golden/parface/test_losses.py"),
    ),
    "metrics": Room(("metrics/*.py",), ("metrics", "golden/parface/test_metrics.py")),
    "models": Room(
        ("models/**/*.py",),
        ("models", "golden/tbgan/test_networks.py", "golden/tbgan/test_activations.py",
         "golden/face_manifold/test_networks.py", "golden/prnet/test_network.py",
         "golden/coarse_fine/test_networks.py", "golden/parface/test_networks.py",
         "golden/parface/test_heatmaps.py", "golden/parface/test_losses.py"),
    ),
    "data": Room(
        ("data/**/*.py",),
        ("data", "golden/tbgan/test_records.py", "golden/tbgan/test_process_reals.py",
         "golden/tbgan/test_grids.py", "golden/tbgan/test_helpers.py",
         "golden/face_manifold/test_samplers.py", "golden/coarse_fine/test_data.py",
         "golden/parface/test_datasets.py", "golden/parface/test_geometry.py",
         "golden/parface/test_heatmaps.py", "golden/prnet/test_ground_truth.py"),
        imports=_SCIENCE,
    ),
    "morphable": Room(
        ("morphable/**/*.py",),
        ("morphable", "golden/prnet/test_model_fit.py",
         "golden/coarse_fine/test_model_files.py",
         "golden/coarse_fine/test_model_parameters.py",
         "golden/face_manifold/test_model_bfm.py"),
        imports=_SCIENCE,
    ),
    "convert": Room(
        ("convert/*.py",),
        ("convert", "golden/face_manifold/test_networks.py",
         "golden/coarse_fine/test_checkpoints.py", "golden/parface/test_networks.py"),
    ),
    "training": Room(
        ("training/**/*.py",),
        ("training", "golden/tbgan/test_adam.py", "golden/tbgan/test_schedule.py",
         "golden/tbgan/test_helpers.py",
         "golden/tbgan/test_training_steps.py",
         "golden/face_manifold/test_training.py", "golden/coarse_fine/test_losses.py",
         "golden/parface/test_landmark_steps.py",
         "golden/parface/test_self_supervised_steps.py"),
        imports=("ml_collections", "PIL.Image"),
    ),
    "pipelines": Room(
        ("pipelines/**/*.py",),
        ("pipelines", "golden/tbgan/test_util.py",
         "golden/face_manifold/test_programs.py", "golden/parface/test_demo.py",
         "golden/prnet/test_demo.py", "golden/prnet/test_end_to_end.py",
         "golden/prnet/test_plot.py", "golden/coarse_fine/test_sample.py"),
        imports=_SCIENCE,
    ),
    "export": Room(("export/*.py",), ("export",)),
    "viz": Room(
        ("viz/*.py",), ("viz", "golden/face_manifold/test_renders.py"), imports=_SCIENCE
    ),
}  # fmt: skip
