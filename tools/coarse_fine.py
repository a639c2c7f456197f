import pathlib
import sys

# The package of this clone, installed or not.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tf_faces.apps.coarse_fine import options  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(options.main())
