from tf_faces.apps.face_manifold import options

if __name__ == "__main__":
    raise SystemExit(options.main())
