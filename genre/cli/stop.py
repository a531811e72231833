"""Stop signals (Ctrl-C, `timeout`, a closed terminal) during a run that writes rows."""

import signal
import time
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
# Windows has no SIGHUP
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
REPEAT_SECONDS = 1  # `timeout` sends its signal twice, to the program and to its group


class Stop:
    """Context manager: a stop signal raises KeyboardInterrupt, but not while a row is being written.

    A further signal after `REPEAT_SECONDS` raises it at once. Enter it in the main thread. Signals that were ignored
    before, as by `nohup`, remain ignored.

    Attributes:
        received: number of the first signal; None before.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._writing = False

    def __enter__(self) -> "Stop":
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
        for number in self._before:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: object) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = number, now
            if not self._writing:
                raise KeyboardInterrupt
        elif now - self._since >= REPEAT_SECONDS:
            raise KeyboardInterrupt

    def between(self, results: Iterator[T]) -> Iterator[T]:
        """Yield the results; a signal that arrives while the consumer writes one takes effect after it.

        Raises:
            KeyboardInterrupt: a signal was received; also if the decoder's C code has swallowed the exception, so that
                a prediction for a partly decoded file is not passed on.
        """
        for result in results:
            self._check()
            self._writing = True
            try:
                yield result
            finally:
                self._writing = False
            self._check()

    def _check(self) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
