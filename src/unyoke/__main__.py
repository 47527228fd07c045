"""``python -m unyoke`` is the command ``unyoke``."""

from unyoke.cli import main

if __name__ == "__main__":
    main(prog_name="unyoke")
