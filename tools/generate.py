from tf_faces.apps import generate

if __name__ == "__main__":
    raise SystemExit(generate.main())
