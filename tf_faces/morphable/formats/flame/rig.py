"""FLAME's articulated part: pose correctives and linear blend skinning.

Source: Li et al., "Learning a model of facial shape and expression from 4D scans",
SIGGRAPH Asia 2017; SMPL, Loper et al. 2015, for the skinning.
"""

import dataclasses

import numpy as np

from tf_faces.core import files, short_texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry import rotations
from tf_faces.morphable.formats import flame

JOINTS = ("global", "neck", "jaw", "left_eye", "right_eye")


@dataclasses.dataclass(frozen=True, eq=False)
class FlameRig:
    """Joints and weights; n vertices, j joints.

    Attributes:
      pose_basis: float32 [n, 3, 9 (j - 1)], correctives of the joints' rotations.
      joint_regressor: float64 [j, n], joints from vertices at rest.
      parents: int [j], the joint each hangs on; -1 for the root.
      weights: float32 [n, j], rows sum to one.
    """

    pose_basis: np.ndarray
    joint_regressor: np.ndarray
    parents: np.ndarray
    weights: np.ndarray

    __repr__ = short_texts.of_fields

    def arrays(self) -> dict[str, np.ndarray]:
        """The rig under FLAME's keys, for `formats.flame.save_flame_npz`."""
        joints = np.arange(len(self.parents))
        # The root's parent is stored as 2^32 - 1.
        parents = np.where(self.parents < 0, 2**32 - 1, self.parents)
        return {
            "posedirs": self.pose_basis,
            "J_regressor": self.joint_regressor,
            "kintree_table": np.stack([parents, joints]).astype(np.int64),
            "weights": self.weights,
        }

    def pose(self, vertices: np.ndarray, rotation_vectors: np.ndarray) -> np.ndarray:
        """Turns the joints of a face.

        Args:
          vertices: [n, 3] of the linear model.
          rotation_vectors: [j, 3], axis times angle in radians of each joint.

        Returns:
          float64 [n, 3].
        """
        vertices = np.asarray(vertices, np.float64)
        turns = np.asarray(rotation_vectors, np.float64)
        if turns.shape != (len(self.parents), 3):
            raise InputError(
                f"rotation_vectors must have shape [{len(self.parents)}, 3]. "
                f"Received: {turns.shape}"
            )
        matrices = rotations.rotation_vector_to_matrix(turns)
        features = (matrices[1:] - np.eye(3)).reshape(-1)
        joints = self.joint_regressor @ vertices
        posed = vertices + self.pose_basis @ features
        world = np.zeros((len(self.parents), 4, 4))
        for joint, parent in enumerate(self.parents):
            local = np.eye(4)
            local[:3, :3] = matrices[joint]
            local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
            world[joint] = world[parent] @ local if parent >= 0 else local
        # Relative to rest: the joint's own place at rest moves to its new one.
        world[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
        blended = np.einsum("nj,jab->nab", self.weights, world[:, :3])
        return np.einsum("nab,nb->na", blended[:, :, :3], posed) + blended[:, :, 3]


def load(path: files.PathLike) -> FlameRig:
    """Reads the rig of a FLAME pickle or .npz.

    Raises:
      FormatError: if the file has no rig or parents that are no tree.
    """
    arrays = flame.read_flame_arrays(path)
    if "J_regressor" not in arrays:
        raise FormatError(f"{path}: has no J_regressor, so no joints.")
    if not len(arrays["J_regressor"]):
        raise FormatError(f"{path}: J_regressor has no joints.")
    parents = arrays["kintree_table"][0].astype(np.int64)
    # The root's parent is stored as 2^32 - 1.
    parents[0] = -1
    if any(not 0 <= parent < joint for joint, parent in enumerate(parents[1:], 1)):
        raise FormatError(f"{path}: kintree_table is no tree: {parents.tolist()}.")
    return FlameRig(
        pose_basis=arrays["posedirs"].astype(np.float32),
        joint_regressor=arrays["J_regressor"].astype(np.float64),
        parents=parents,
        weights=arrays["weights"].astype(np.float32),
    )
