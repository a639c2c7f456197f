from tf_faces.apps import dataset_tool

if __name__ == "__main__":
    raise SystemExit(dataset_tool.main())
