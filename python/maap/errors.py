"""The one exception that maap raises for mistakes a user can put right."""


class MaapError(Exception):
    """Something is wrong with a file, a setting or the machine, and the message says what to do.

    The text names the thing (file, layer, image), shows the values found and ends with the fix. The
    command line prints it as ``error: ...`` and exits with status 1; a library caller catches it.
    """
