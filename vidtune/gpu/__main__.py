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
        from vidtune.spec import UserError  # imported late: it costs more than a lease

        if not isinstance(e, UserError):
            raise
        print(f"vidtune lease: {e}", file=sys.stderr)
        return 2


sys.exit(main())
