"""python -m vidtune <verb>"""

import sys

from vidtune.cli import main

if __name__ == "__main__":
    sys.exit(main())
