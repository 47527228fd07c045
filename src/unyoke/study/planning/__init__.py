"""From a command line to a landscape, checked before anything is trained."""
