from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from genre.audio.augment import (
    CEILING,
    CODECS,
    AudioAugmentation,
    add_lead_in,
    add_noise,
    add_room,
    change_level,
    change_speed,
    clip_peaks,
    equalise,
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


def test_reverberation_decays_after_the_signal():
    waveform = np.zeros(2 * RATE, np.float32)
    waveform[: RATE // 2] = tone(0.5)
    changed = add_room(waveform, RATE, 0.5, 3.0, generator())
    tail = changed[RATE // 2 :]
    levels = [np.linalg.norm(tail[start : start + 4410]) for start in (0, 11_025, 22_050)]
    assert levels[0] > 5 * levels[1] > 25 * levels[2]  # 60 dB in half a second, 30 in a quarter
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    response = add_room(click, RATE, 0.5, 3.0, generator())
    assert response.argmax() == 100
    assert response[:100] == pytest.approx(0, abs=1e-5)
    assert decibels(response[100:101], response[101:]) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("slope", [0.0, 3.0, 6.0])
def test_noise_has_its_level_and_slope(slope):
    waveform = tone(5)
    noise = add_noise(waveform, 20.0, slope, generator()) - waveform
    assert decibels(waveform, noise) == pytest.approx(20, abs=0.1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = (power[5 * hz : 5 * hz + 2000].mean() for hz in (1000, 8000))  # three octaves apart
    assert 10 * np.log10(low / high) == pytest.approx(3 * slope, abs=1.5)


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


@pytest.mark.parametrize(("kind", "hz"), [("bass", 30), ("equalizer", 1000), ("treble", 18_000)])
def test_an_equaliser_changes_its_band(kind, hz):
    bands = [("bass", 200, 0.0), ("equalizer", 1000, 0.0), ("treble", 5000, 0.0)]
    bands = [(name, centre, 6.0 if name == kind else 0.0) for name, centre, _ in bands]
    for other in (30, 1000, 18_000):
        changed = equalise(tone(2, other), RATE, bands)[RATE:]
        assert decibels(changed, tone(1, other)) == pytest.approx(6.0 if other == hz else 0.0, abs=1.0)


@pytest.mark.parametrize("gain", [-12.0, -3.0, 6.0, 12.0])
def test_level_changes_by_the_gain(gain):
    quiet = tone(2, level=0.1)
    assert decibels(change_level(quiet, RATE, gain), quiet) == pytest.approx(gain, abs=0.01)


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


def test_clipping_is_at_its_depth():
    waveform = music(1)
    changed = clip_peaks(waveform, 6.0)
    assert np.abs(changed).max() == pytest.approx(np.abs(waveform).max() * 10 ** (-6 / 20), rel=1e-4)
    below = np.abs(waveform) < np.abs(changed).max()
    assert np.array_equal(changed[below], waveform[below])


@pytest.mark.parametrize(("tempo", "semitones"), [(1.04, 0.0), (0.96, 0.0), (1.0, 0.5), (1.03, -0.5)])
def test_speed_and_pitch_are_independent(tempo, semitones):
    waveform = np.concatenate([tone(3, 440), tone(3, 880)])
    changed = change_speed(waveform, RATE, tempo, semitones)
    assert changed.shape == waveform.shape
    assert strongest_hz(changed[: 2 * RATE]) == pytest.approx(440 * 2 ** (semitones / 12), abs=1)
    around = [strongest_hz(changed[int((3 / tempo + shift) * RATE) :][: RATE // 20]) for shift in (-0.08, 0.03)]
    assert around == pytest.approx([440, 880], rel=0.1)  # the change of pitch is at its new time


@pytest.mark.parametrize("noise", [0.0, 0.0005])
def test_a_lead_in_is_silent_or_faint(noise):
    waveform = music(3)
    changed = add_lead_in(waveform, RATE, 1.0, noise, generator())
    assert np.sqrt(np.mean(changed[:RATE] ** 2)) == pytest.approx(noise, rel=0.05)
    assert np.array_equal(changed[RATE:], waveform[: 2 * RATE])


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


def test_augmentations_combine_by_their_probabilities():
    waveform = music(0.5)
    assert np.array_equal(NOTHING(waveform, RATE, generator()), waveform)
    same = generator(3)
    results = [AudioAugmentation()(waveform, RATE, same) for _ in range(40)]
    untouched = sum(np.array_equal(result, waveform) for result in results)
    assert 0 < untouched < 20
    half = replace(NOTHING, clipping=0.5)
    same = generator(4)
    changed = sum(not np.array_equal(half(waveform, RATE, same), waveform) for _ in range(100))
    assert 30 < changed < 70


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
