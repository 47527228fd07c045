"""The short way to two good numbers for one's own task: `unyoke tune`."""
