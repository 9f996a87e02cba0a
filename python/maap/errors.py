"""The exceptions of maap: a mistake that a user can correct, and work that a signal stopped."""

import signal


class MaapError(Exception):
    """Something is wrong with a file, a setting or the machine, and the message says what to do.

    The text names the thing (file, layer, image), shows the values found and ends with the fix. The
    command line prints it as ``error: ...`` and exits with status 1; a library caller catches it.
    """


class NotForNet(MaapError):
    """What the settings ask for cannot be with this net, and may be with another one: `study`
    leaves such a row out and goes on.

    why: the reason alone, without the fix that the text ends with.
    """

    def __init__(self, why: str, fix: str = "") -> None:
        super().__init__(f"{why}; {fix}" if fix else why)
        self.why = why


class Stopped(Exception):
    """A signal stopped the work at a safe point; the text says how to continue it."""

    def __init__(self, text: str, signal_number: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.signal_number = signal_number
