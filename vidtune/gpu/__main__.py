"""`python -m vidtune.gpu -- command ...`: the form of `vidtune lease` that rules call, because it
starts ten times faster."""

import argparse
import sys

from vidtune.gpu import command


def main() -> int:
    parser = argparse.ArgumentParser("vidtune lease")
    command.arguments(parser)
    try:
        return command.run(parser.parse_args())
    except KeyboardInterrupt:
        return 130
    except ValueError as e:
        if type(e).__name__ != "UserError":  # whose import would cost more than a lease
            raise
        print(f"vidtune lease: {e}", file=sys.stderr)
        return 2


sys.exit(main())
