"""The programs: flags in, one call, messages out; no mathematics.

The highest rank: no other room imports it.  `entry.run` turns failures into one
sentence and an exit status; `main` lists the programs that serve all systems, and each
system has a folder with its own.  `tools/` and `train.py` only call a program's `main`.
"""
