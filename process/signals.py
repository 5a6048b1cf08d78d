"""Wait for the request to stop: SIGTERM from a supervisor, SIGINT from a terminal.

The first signal asks for a drain; the handlers are then gone, so a second one ends the process at
once. What is drained is the caller's business.
"""

import asyncio
import signal
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def stop_event() -> asyncio.Event:
    """Give an event that is set by the first SIGTERM or SIGINT; call from a running loop."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def stop() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        event.set()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    return event


async def until_stopped() -> None:
    """Return when the process is asked to stop; call from the main thread's loop."""
    await stop_event().wait()
