"""The one exception for what a user can mend, and the one warning."""


class InputError(ValueError):
    """A file, option or folder that cannot be used; the message says whose it is and what to do.

    The command line prints the message alone and exits with status 2.
    """


class ReadingWarning(UserWarning):
    """Another library will read the texts of a published folder otherwise than this one; the message says how."""
