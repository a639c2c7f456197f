from tf_faces.apps import export

if __name__ == "__main__":
    raise SystemExit(export.main())
