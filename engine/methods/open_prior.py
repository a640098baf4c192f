"""Which prior a personalisation takes: the one that ships with the project, or the user's."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError

OPEN = "open"
SHIPPED = Path(__file__).parents[2] / "assets" / "prior" / "open.palmprior"
"""Made by ourselves from hands of people that do not exist; MODEL_CARD.md beside it says how."""


def prior_folder(name: str | None, shipped: Path = SHIPPED) -> Path:
    """The folder that `--prior` means: "open" or None is the shipped one, anything else a path.

    Raises InputError where this installation came without the shipped one (a wheel has no assets). Whether the folder holds a
    sound prior is for `read_prior` to say.
    """
    if name is not None and name != OPEN:
        return Path(name)
    if not shipped.parent.is_dir():
        raise InputError(
            f"the open prior is missing: {shipped} does not exist; use a checkout of the project, give --prior NAME.palmprior "
            "(MODEL_CARD.md in the project's assets/prior has the command that trains one), or take --method harp"
        )
    return shipped
