"""Being asked to stop (Ctrl-C, `timeout`, a terminal that closes) in the middle of a run that writes rows."""

import signal
import time
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
# Windows has no SIGHUP
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
REPEAT_SECONDS = 1  # `timeout` sends its signal twice, to the program and to its group


class Stop:
    """A context in which such a signal raises KeyboardInterrupt, but not in the middle of writing a row.

    A second signal, after `REPEAT_SECONDS`, raises it at once. To be entered in the main thread. Signals that are
    ignored, as by `nohup`, stay so.

    Attributes:
        received: number of the signal, None before.
    """

    def __init__(self):
        self.received: int | None = None
        self._writing = False

    def __enter__(self) -> "Stop":
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
        for number in self._before:
            signal.signal(number, self._receive)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = number, now
            if not self._writing:
                raise KeyboardInterrupt
        elif now - self._since >= REPEAT_SECONDS:
            raise KeyboardInterrupt

    def between(self, results: Iterator[T]) -> Iterator[T]:
        """The same results; a signal that comes while one is written takes effect after it.

        Raises:
            KeyboardInterrupt: also where the decoder's C code has swallowed the one that was raised in it, so that
                what it made of the rest of that file is not taken for a result.
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
