"""The optional packages that metrics come from, imported in one place."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingDependencyError


def metric_package(name: str) -> Any:
    """The module `name` of scikit-image or flip-evaluator. Raises MissingDependencyError."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"evaluation needs the package of {name.partition('.')[0]}: install the `evaluation` extra "
            "(pip install -e .[evaluation] in the checkout)"
        ) from error
