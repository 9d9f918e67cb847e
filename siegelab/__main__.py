"""The command line as ``python -m siegelab``, which is what the program ``siegelab`` runs too."""

import sys
from pathlib import Path

from siegelab.siblings import HOME


def main() -> None:
    """Run the command line."""
    try:
        from experiments.cli import main as command_line
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)  # noqa: T201 -- what would say it is not there yet
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    # `python -m` looks into the working directory first, and so would the processes of a sweep: a user's folder named
    # like one of our packages would be taken for it there. The installed program has no such entry either.
    if not sys.flags.safe_path and Path(sys.path[0]).resolve() == Path.cwd() != HOME:
        del sys.path[0]
    main()
