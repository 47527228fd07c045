"""What a command line asks for, checked before anything is trained."""
