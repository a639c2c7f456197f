from tf_faces.apps import face_model

if __name__ == "__main__":
    raise SystemExit(face_model.main())
