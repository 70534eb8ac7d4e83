"""The line program under the name that it has always had: `python -m flows.instructions`."""

import sys

from flows.commands.instructions import main

if __name__ == "__main__":
    sys.exit(main())
