"""What every room stands on: errors, files, pictures, pickles, runs, seeds, settings.

The lowest rank: nothing of the package is imported here but its version.  `errors` has
the exceptions that end programs in one sentence; `files` and `pictures` read untrusted
files and write atomically; `pickles` and `matlab_files` read without executing;
`configuration` and `stems` find a system's presets and its rooms; `runs` keeps the
folder of a training run.
"""
