"""Workers that do not do their work, for the tests of what ends them.

Usage: python -m tests.multinode.worker_broken hang | die
"""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    print(f"working as {os.getpid()}", flush=True)
    if sys.argv[1] == "die" and os.environ["GROUP_RANK"] == "1":
        raise SystemExit("node 1 has died")
    time.sleep(3600)


if __name__ == "__main__":
    main()
