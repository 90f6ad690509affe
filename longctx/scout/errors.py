"""What can be wrong with a checkpoint's folder or a computation; each message is one line for a user.

ScoutError
├── CheckpointError    a checkpoint can't be used
└── NumericTrouble     a computation gave what is no number
"""


class ScoutError(Exception):
    """The root of what this package raises on purpose."""


class CheckpointError(ScoutError):
    """A checkpoint can't be used; one line that names the folder or file, what in it is wrong, and what would do."""


class NumericTrouble(ScoutError):
    """A computation left the range of its dtype, or the weights were never good."""
