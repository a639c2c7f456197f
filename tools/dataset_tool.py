from tf_faces.apps.tbgan import dataset_tool

if __name__ == "__main__":
    raise SystemExit(dataset_tool.main())
