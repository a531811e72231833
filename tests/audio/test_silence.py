import numpy as np
import pytest

from genre.audio.silence import audible_span
from tests.conftest import RATE, music


def spans(*parts):
    samples = np.concatenate([np.zeros(round(-p * RATE), np.float32) if p < 0 else music(p) for p in parts])
    return audible_span(samples + 0.01, RATE)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((10,), (0, 10)),
        ((-1, 10, -1), (0, 12)),
        ((-2, 10, -2), (2, 12)),
        ((-5, 10), (5, 15)),
        ((10, -5), (0, 10)),
        ((3, -5, 3), (0, 11)),
        ((-10,), (0, 10)),
    ],
)
def test_silence_at_the_ends_is_left_out_where_it_is_long(parts, expected):
    """Negative parts are silent; all have a constant offset."""
    assert spans(*parts) == pytest.approx(expected, abs=0.6)  # the beat of the music fades for half a second


def test_the_end_of_a_block_is_not_lost():
    late = np.concatenate([np.zeros(5 * RATE, np.float32), music(10.04)])
    assert audible_span(late, RATE) == pytest.approx((5, 15.04), abs=1e-6)
    assert audible_span(music(0.05), RATE) == (0.0, 0.05)


def test_the_limit_is_relative_to_the_loudest_window():
    """Not to a beat in it: windows 40 dB below the loudest one count, so they are not cut off."""
    beat = np.zeros(5 * RATE, np.float32)
    beat[:: RATE // 2] = 1.0
    quiet = music(5) * np.sqrt(np.mean(beat**2)) / np.sqrt(np.mean(music(5) ** 2)) * 10 ** (-40 / 20)
    assert audible_span(np.concatenate([quiet, beat]), RATE)[0] == 0
