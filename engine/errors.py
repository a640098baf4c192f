"""The one exception family of the project.

Every error that a user can cause is a `PalmError` whose message is a single line: what was wrong, with which file or
argument, and what to do. The command line prints that line and exits 2; the add-on shows it in its panel.
"""


class PalmError(Exception):
    """An error with a one-line message meant for the user."""

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


class InputError(PalmError):
    """A file or argument from the user cannot be used."""


class OutputError(PalmError):
    """A result cannot be written where the user asked."""


class HandModelError(InputError):
    """A hand model file is missing, malformed or of the wrong kind."""


class PoseFileError(InputError):
    """A pose file is missing, malformed or of an unknown convention."""


class CaptureError(InputError):
    """A photo, video or capture file cannot be turned into a hand capture."""


class AvatarError(InputError):
    """An avatar folder is incomplete, damaged or of a newer schema."""


class DatasetError(InputError):
    """A data set's folder is incomplete, damaged or inconsistent."""


class PriorError(InputError):
    """A prior cannot be read, or does not fit the hand model or the configuration."""


class CheckpointError(InputError):
    """A training checkpoint cannot be read or resumed from."""


class MissingDependencyError(PalmError):
    """An optional package is needed for what was asked."""


class Cancelled(PalmError):
    """The user, or a signal, stopped the work. Nothing was written."""

    def __init__(self, message: str = "cancelled; nothing was written"):
        super().__init__(message)
