"""What a machine may lack. A laptop goes on without it, as the README promises; where CI is set that is a failure:
a green run would prove less than it says.
"""

import os
from typing import NoReturn

import pytest

from coach_os.stack.data_api import NoDataApi, find_node


def lacking(reason: object) -> NoReturn:
    """Skips the test with the reason, or on CI fails it."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(str(reason))


def node() -> str:
    """The path of Node; without it neither Data API nor Auth runs here."""
    try:
        return find_node()
    except NoDataApi as reason:
        lacking(reason)
