"""`./run bench [PART] …`: the measurements. Without the name of a part: the table (`--full`: at 2 million obs, too)."""

import sys

from bench import lag, load, pages, seconds, table

PARTS = {"table": table.main, "pages": pages.main, "load": load.main, "lag": lag.main, "seconds": seconds.main}


def main() -> int:
    arguments = sys.argv[1:]
    part = arguments.pop(0) if arguments and arguments[0] in PARTS else "table"
    return PARTS[part](arguments)


if __name__ == "__main__":
    sys.exit(main())
