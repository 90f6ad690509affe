"""Entry point of `longctx` and `python -m longctx`.

`python -m` puts the current directory first on the path, so a folder named `cache` or `ingest` in it would stand in
for ours. It is taken off again, unless it is the very folder that this package lives in.
"""

import os
import sys


def main() -> int:
    """Run the command line with the user's folder off the path; the exit code."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        here = os.getcwd()
    except OSError:
        print("longctx: the folder you are in is gone: cd to one that is there", file=sys.stderr)  # noqa: T201
        return 2
    if home != here:
        sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]
    try:
        from longctx.cli import main as run

        return run()
    except KeyboardInterrupt:  # before the command line could say so itself
        return 130


if __name__ == "__main__":
    sys.exit(main())
