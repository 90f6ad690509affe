"""The backend's process: `python -P -m longctx.backend LOG`, with requests on standard input."""

import os
import sys
from pathlib import Path


def main() -> int:
    """Keep the pipes to the face to ourselves, then serve it.

    What any library, or what it starts, writes to standard output goes into the log; what reads standard input finds
    nothing there.
    """
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    from longctx.backend.process import serve

    serve(requests, replies, Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
