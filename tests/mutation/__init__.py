"""Do the fast tests notice single mistakes?  `python -m tests.mutation --help`."""
