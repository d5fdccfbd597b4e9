"""`python -m dualpipe_ref`: the same as the `dualpipe-ref` command, in a bare Python too."""

import sys

from dualpipe_ref.cli import main

if __name__ == "__main__":
    sys.exit(main())
