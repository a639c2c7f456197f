"""Former place of FLAME's and LSFM's readers, for programs that still import it."""

from tf_faces.morphable.formats.flame import load_flame, read_flame_arrays
from tf_faces.morphable.formats.lsfm import load_landmark_ids, load_lsfm_mean

__all__ = ["load_flame", "load_landmark_ids", "load_lsfm_mean", "read_flame_arrays"]
