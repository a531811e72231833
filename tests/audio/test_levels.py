import numpy as np
import pytest

from genre.audio.levels import FULL_SCALE_LIMIT, audible_span, mixed
from tests.audio import decoded
from tests.conftest import RATE, music, tone, write_audio

BLOCK = RATE // 2


class Blocks:
    """A source of blocks."""

    any_level = False

    def __init__(self, blocks):
        self.blocks, self.notes = blocks, []

    def survey(self):
        return self.blocks


def mix(*channels):
    """Mix channels, shape (samples,) each, to mono and notes."""
    sound = np.stack(channels, axis=1).astype(np.float32)
    source = Blocks([sound[at : at + BLOCK] for at in range(0, len(sound), BLOCK)])
    return np.concatenate(list(mixed(source.blocks, source))), source.notes


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("left", [1.0, 0.8])
def test_the_louder_one_of_cancelling_channels_is_used(left):
    sound = music(12)
    mono, notes = mix(left * sound, -0.9 * sound)
    np.testing.assert_allclose(mono, sound if left == 1 else -0.9 * sound, atol=1e-6)
    assert notes == ["The channels cancel each other, so one of them was used."]


@pytest.mark.parametrize("case", ["wide", "one side", "pauses", "silent"])
def test_other_stereo_becomes_the_mean(case):
    left, right = {
        "wide": (noise(12), noise(12, 1) - 0.6 * noise(12)),
        "one side": (noise(12), 0 * noise(12)),
        "pauses": (np.concatenate([noise(5), 0 * noise(7)]), np.concatenate([noise(5, 1), 0 * noise(7)])),
        "silent": (1e-5 * noise(12), -1e-5 * noise(12)),
    }[case]
    mono, notes = mix(left, right)
    np.testing.assert_allclose(mono, (left + right) / 2, atol=1e-7)
    assert notes == []


def test_a_channel_of_opposite_polarity_is_found_in_wide_stereo(tmp_path):
    """By the whole file: in none of its stretches do the channels cancel each other."""
    middle, side = music(16), 0.3 * noise(16)
    for sign, note in ((1, []), (-1, ["The channels cancel each other, so one of them was used."])):
        path = write_audio(tmp_path / "song.mp3", [middle + side, sign * (middle - side)], "mp3")
        mono, notes = decoded(path)
        mono = mono[: len(middle)]
        assert notes == note
        assert abs(np.corrcoef(mono, middle[: len(mono)])[0, 1]) > 0.8


def decoded_floats(folder, channels):
    """Samples and notes of a float WAV of these channels."""
    return decoded(write_audio(folder / "song.wav", channels, "pcm_f32le"))


@pytest.mark.parametrize("silence", [np.zeros, lambda n: np.random.default_rng(0).integers(-1, 2, n)])
@pytest.mark.parametrize(("seconds", "bits"), [(0, 24), (0, 32), (3.2, 16), (12, 16)])
def test_floats_that_hold_integers_are_scaled_also_after_silence(tmp_path, silence, seconds, bits):
    """The first stretch has more silence than music, or nothing but dither, which would be loud in floats."""
    scale = 2 ** (bits - 1)
    whole = np.concatenate([silence(round(seconds * RATE)), np.round(music(20) * scale)]).astype(np.float32)
    mono, notes = decoded_floats(tmp_path, [whole, whole])
    np.testing.assert_allclose(mono, whole / scale, atol=1e-6)
    assert notes == [f"The samples lie far beyond full scale, so they were divided by {scale:,}."]


@pytest.mark.parametrize("decibels", [20, 33, 40])
def test_a_recording_with_gain_is_scaled_by_its_level(tmp_path, decibels):
    sound = np.concatenate([0.1 * music(6), music(12) / np.abs(music(12)).max()])
    mono, notes = decoded_floats(tmp_path, [sound * np.float32(10 ** (decibels / 20))])
    assert np.corrcoef(mono, sound)[0, 1] > 0.999
    assert 0.5 < np.abs(mono).max() < 5
    assert len(notes) == 1


def test_a_few_damaged_samples_are_clipped():
    sound = music(6)
    damaged = sound.copy()
    damaged[1000:1100], damaged[1100:1200], damaged[1200] = 1e30, np.nan, np.inf
    mono, notes = mix(damaged)
    assert (mono[1000:1100] == FULL_SCALE_LIMIT).all() and not mono[1100:1201].any()
    np.testing.assert_array_equal(np.delete(mono, range(1000, 1201)), np.delete(sound, range(1000, 1201)))
    assert notes == []


def test_the_number_of_channels_may_change():
    one, two = tone(1)[:, None], np.stack([tone(1), 0 * tone(1)], axis=1)
    assert [block.std() for block in mixed([one, two], Blocks([]))] == pytest.approx(
        [one.std(), one.std() / 2], rel=1e-5
    )


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


def test_the_limit_is_relative_to_the_loudest_window():
    """Not to a beat in it: windows 40 dB below the loudest one count, so they are not cut off."""
    beat = np.zeros(5 * RATE, np.float32)
    beat[:: RATE // 2] = 1.0
    quiet = music(5) * np.sqrt(np.mean(beat**2)) / np.sqrt(np.mean(music(5) ** 2)) * 10 ** (-40 / 20)
    assert audible_span(np.concatenate([quiet, beat]), RATE)[0] == 0
