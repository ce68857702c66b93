"""python -m vidtune.gpu -- command ...: what the rules call, as it starts in no time."""

import argparse
import sys

from vidtune.gpu.command import SAYS, arguments, lease


def main() -> int:
    args = arguments(argparse.ArgumentParser("vidtune lease", description=SAYS)).parse_args()
    try:
        return lease(args)
    except KeyboardInterrupt:
        return 130
    except ValueError as e:
        from vidtune.spec import UserError  # not before it is needed: it costs more than a lease

        if not isinstance(e, UserError):
            raise
        print(f"vidtune lease: {e}", file=sys.stderr)
        return 2


sys.exit(main())
