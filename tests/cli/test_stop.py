import os
import signal

import pytest

from genre.cli import stop
from genre.cli.stop import Stop


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def test_a_row_is_written_completely_before_the_interrupt():
    written = []

    def write(results):
        for result in results:
            if result == 2:
                send()
                send()  # as `timeout` does
            written.append(result)

    with Stop() as stopping, pytest.raises(KeyboardInterrupt):
        write(stopping.between(iter([1, 2, 3])))
    assert written == [1, 2]


def test_a_repeated_signal_interrupts_writing(monkeypatch):
    monkeypatch.setattr(stop, "REPEAT_SECONDS", 0)
    with Stop() as stopping:
        results = stopping.between(iter([1]))
        next(results)
        send()
        with pytest.raises(KeyboardInterrupt):
            send()


def test_a_result_of_a_decoder_that_swallowed_the_signal_is_discarded():
    def results():
        try:
            send()
        except KeyboardInterrupt:
            yield "prediction for a partly decoded file"

    with Stop() as stopping, pytest.raises(KeyboardInterrupt):
        next(stopping.between(results()))


def test_ignored_signals_remain_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stopping:
            send(signal.SIGHUP)
        assert stopping.received is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
