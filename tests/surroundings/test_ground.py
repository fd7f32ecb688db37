"""The ground of this folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from receiver import Receiver


def test_a_receiver_answers_and_ends(start_receiver: Callable[..., Receiver]) -> None:
    receiver = start_receiver()
    assert receiver.post(b'{"id":"1"}') == 200
    assert receiver.ask("/readyz")[0] == 200
    assert receiver.end() == 0
    assert receiver.log[-1]["message"] == "stopped"
