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
    assert audible_span(music(0.25), RATE) == (0.0, 0.25)
    assert audible_span(music(0.05), RATE) == (0.0, 0.05)
