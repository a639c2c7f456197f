from tf_faces.apps.tbgan import generate

if __name__ == "__main__":
    raise SystemExit(generate.main())
