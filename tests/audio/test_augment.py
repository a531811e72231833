from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from genre.audio.augment import (
    CEILING,
    CODECS,
    AudioAugmentation,
    change_level,
    change_speed,
    limit_band,
    transcode,
)
from tests.conftest import RATE, music, tone

NOTHING = AudioAugmentation(**dict.fromkeys(asdict(AudioAugmentation()), 0.0))
KINDS = [field.name for field in fields(AudioAugmentation)]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def decibels(changed: np.ndarray, waveform: np.ndarray) -> float:
    """Ratio of the energies, in dB."""
    return float(20 * np.log10(np.linalg.norm(changed) / np.linalg.norm(waveform)))


def strongest_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return spectrum.argmax() * RATE / len(waveform)


def lag(changed: np.ndarray, waveform: np.ndarray) -> float:
    """Delay of `changed`, in seconds, by cross-correlation."""
    length = 2 * len(waveform)
    correlation = np.fft.irfft(np.fft.rfft(changed, length) * np.fft.rfft(waveform, length).conj())
    samples = int(correlation.argmax())
    return (samples - length if samples > len(waveform) else samples) / RATE


@pytest.mark.parametrize("encoder", CODECS)
def test_a_codec_changes_samples_without_delay(encoder):
    waveform = music(4)
    _, bit_rates = CODECS[encoder]
    errors = []
    for bit_rate in (bit_rates[0], bit_rates[-1]):
        changed = transcode(waveform, RATE, encoder, bit_rate)
        assert changed.shape == waveform.shape
        assert abs(lag(changed, waveform)) < 0.003
        assert decibels(changed, waveform) == pytest.approx(0, abs=1.5)
        errors.append(decibels(changed - waveform, waveform))
    low, high = errors
    assert -60 < high < low < 0  # fewer bits, more error


def test_a_simulated_phone_is_a_band_pass():
    low, middle, high = (limit_band(wave, RATE, 300, 4000)[RATE:] for wave in (tone(2, 75), tone(2), tone(2, 14_000)))
    assert decibels(middle, tone(1)) == pytest.approx(0, abs=3)
    assert decibels(low, tone(1)) < -40
    assert decibels(high, tone(1)) < -30
    noise = generator().normal(scale=0.1, size=4 * RATE).astype(np.float32)
    changed = replace(NOTHING, phone=1.0)(noise, RATE, generator())
    power, before = (np.abs(np.fft.rfft(wave)) ** 2 for wave in (changed, noise))
    assert power[: 4 * 150].sum() < 0.2 * before[: 4 * 150].sum()
    assert power[4 * 9000 :].sum() < 0.3 * before[4 * 9000 :].sum()
    assert power[4 * 700 : 4 * 3000].sum() > 0.5 * before[4 * 700 : 4 * 3000].sum()


def test_a_loud_song_is_limited_and_not_clipped():
    loud = tone(3, level=0.9)
    changed = change_level(loud, RATE, 12.0)
    assert np.abs(changed[RATE:]).max() <= CEILING + 0.001
    clipped = (loud * 4).clip(-CEILING, CEILING)
    third = [np.abs(np.fft.rfft(wave[RATE : 2 * RATE]))[3 * 440] for wave in (changed, clipped)]
    assert third[0] < 0.1 * third[1]  # the third harmonic is what clipping adds
    assert abs(lag(changed, loud)) < 0.003
    over = tone(1, level=1.2)
    assert np.array_equal(change_level(over, RATE, 0.0), over)


@pytest.mark.parametrize(("tempo", "semitones"), [(1.04, 0.0), (0.96, 0.0), (1.0, 0.5), (1.03, -0.5)])
def test_speed_and_pitch_are_independent(tempo, semitones):
    waveform = np.concatenate([tone(3, 440), tone(3, 880)])
    changed = change_speed(waveform, RATE, tempo, semitones)
    assert changed.shape == waveform.shape
    assert strongest_hz(changed[: 2 * RATE]) == pytest.approx(440 * 2 ** (semitones / 12), abs=1)
    around = [strongest_hz(changed[int((3 / tempo + shift) * RATE) :][: RATE // 20]) for shift in (-0.08, 0.03)]
    assert around == pytest.approx([440, 880], rel=0.1)  # the change of pitch is at its new time


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_a_clip_and_follows_the_generator(kind):
    change, waveform = replace(NOTHING, **{kind: 1.0}), music(6)
    original = waveform.copy()
    np.random.seed(0)
    first = change(waveform, RATE, generator(1))
    np.random.seed(1)
    assert np.array_equal(first, change(waveform, RATE, generator(1)))
    assert not np.array_equal(first, change(waveform, RATE, generator(2)))
    assert np.array_equal(waveform, original)
    assert first.shape == waveform.shape and first.dtype == np.float32
    assert np.isfinite(first).all() and not np.array_equal(first, waveform)


@pytest.mark.parametrize("samples", [0, 1, 10, 1000, 20_000])
def test_short_silent_and_faint_clips_are_augmented(samples):
    everything = AudioAugmentation(**dict.fromkeys(KINDS, 1.0))
    noise = generator().normal(size=samples).astype(np.float32)
    late = np.zeros(samples, np.float32)
    late[-1:] = 0.5
    for waveform in (noise * 0.1, noise * 1e-7, noise * 4, np.zeros(samples, np.float32), late):
        for seed in range(3):
            changed = everything(waveform, RATE, generator(seed))
            assert changed.shape == waveform.shape and changed.dtype == np.float32
            assert np.isfinite(changed).all()
            assert changed.any() == waveform.any()
