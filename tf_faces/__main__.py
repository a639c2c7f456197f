"""`python -m tf_faces` is `tf-faces`."""

from tf_faces.apps import main

if __name__ == "__main__":
    raise SystemExit(main.main())
