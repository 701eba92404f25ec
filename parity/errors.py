"""What can go wrong outside the numbers: names that do not fit together, and requests that make no sense."""


class MismatchError(ValueError):
    """Names, shapes or layouts of the two sides that cannot be brought together; the report counts it as a failure."""


class UsageError(ValueError):
    """A request that cannot be carried out; the command line prints the message alone and exits with status 2."""
