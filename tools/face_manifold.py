from tf_faces.apps import face_manifold

if __name__ == "__main__":
    raise SystemExit(face_manifold.main())
