"""Multi-resolution TFRecord sets: frames on disk, writing, reading, checking."""
