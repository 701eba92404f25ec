"""The one exception for what a user can mend."""


class InputError(ValueError):
    """A file, option or folder that cannot be used; the message says whose it is and what to do.

    The command line prints the message alone and exits with status 2.
    """
