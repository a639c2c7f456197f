from tf_faces.apps import train

if __name__ == "__main__":
    raise SystemExit(train.main())
