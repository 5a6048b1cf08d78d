"""The crash matrix and the storm: real processes, killed where it hurts."""
