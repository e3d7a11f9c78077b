from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crystalgnn_core.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable


def reason_and_message(reader: Callable[..., object], value: object) -> tuple[str, str]:
    """Call a reader on what it must refuse."""
    with pytest.raises(RecordError) as caught:
        reader(value)
    return caught.value.reason, str(caught.value)


@pytest.fixture(scope="session")
def refused() -> Callable[..., tuple[str, str]]:
    return reason_and_message
