from dataclasses import replace

import librosa
import numpy as np
import pytest
import soundfile
import torch

from genre.audio.audio import CLIP_SECONDS, Audio
from genre.data.archive import clip_features
from genre.data.windows import FORMATS
from genre.features.log_mel import FRONT_ENDS, LogMel, LogMelConfig
from tests.conftest import RATE, music

MORE_TRACKS = (140, 1039, 1040, 1066, 1069, 1073, 1075, 1082, 1083)
TRACKS = [2, 5, 10, *(pytest.param(track, marks=pytest.mark.slow) for track in MORE_TRACKS)]


def sparse_of(path, rate):
    """dB of a clip's 128 columns on the mel axis of its own rate."""
    log_mel = LogMel(replace(FRONT_ENDS["sparse"], sample_rate=rate))
    return log_mel.clip_features(torch.from_numpy(Audio(path).samples(rate, seconds=CLIP_SECONDS))).numpy()


def librosa_sparse(path):
    y, rate = librosa.load(path, sr=None, mono=True, duration=CLIP_SECONDS)
    power = librosa.feature.melspectrogram(y=y, sr=rate, n_fft=2048, hop_length=512, n_mels=128)
    decibels = librosa.power_to_db(power, ref=np.max, top_db=80)
    return decibels[:, np.floor((np.arange(128) + 0.5) * decibels.shape[1] / 128).astype(int)]


@pytest.mark.parametrize("track", TRACKS)
def test_sparse_equals_librosa(fma_clips, track):
    difference = np.abs(sparse_of(fma_clips[track], RATE) - librosa_sparse(fma_clips[track]))
    assert (difference <= 80 / 128).mean() > 0.99


@pytest.mark.parametrize("track", TRACKS)
def test_smooth_equals_librosa(fma_clips, track):
    y, rate = librosa.load(fma_clips[track], sr=22050, mono=True, duration=CLIP_SECONDS)
    expected = librosa.feature.mfcc(y=y, sr=rate, n_mfcc=20)
    waveform = torch.from_numpy(Audio(fma_clips[track]).samples(RATE, seconds=CLIP_SECONDS))
    ours = LogMel(FRONT_ENDS["smooth"]).clip_features(waveform).numpy()
    assert np.abs(ours[:, :130] - expected[:, :130]).mean() < 0.4


@pytest.mark.parametrize("track", TRACKS)
def test_features_of_audio_equal_the_prepared_rows(fma_clips, fma_arrays, track):
    index = np.genfromtxt(fma_arrays / "index.csv", delimiter=",", skip_header=1, usecols=0, dtype=int)
    row = int(np.flatnonzero(index == track)[0])
    files = {"sparse": FORMATS["sparse"].file, "smooth": FORMATS["smooth"].first_window_file}
    prepared = {name: np.load(fma_arrays / file, mmap_mode="r")[row] for name, file in files.items()}
    sparse, smooth = (one.astype(int) for one in clip_features(fma_clips[track], 0.0, ["sparse", "smooth"]))
    sparse, smooth = sparse - prepared["sparse"], smooth[:, :130] - prepared["smooth"]
    assert (np.abs(sparse) <= 1).mean() > 0.99
    assert np.abs(smooth).mean() / 4 < 0.4


@pytest.mark.parametrize("name", ["sparse", "smooth"])
@pytest.mark.parametrize("seconds", [0.01, 3, 30])
def test_frames_that_are_computed_alone_equal_those_of_the_whole_spectrum(name, seconds):
    """Also where the loudest cell is in a frame of little energy: a soft tone, whose power is in one band."""
    log_mel, generator = LogMel(FRONT_ENDS[name]), torch.Generator().manual_seed(0)
    time = torch.arange(round(seconds * RATE)) / RATE
    noise = torch.randn(len(time), generator=generator) * 0.3
    soft_tone = 0.2 * torch.sin(2 * torch.pi * 60 * time) * (time > seconds / 2)
    sounds = {
        "music": torch.from_numpy(music(seconds)),
        "a tone after noise": torch.where(time < seconds / 2, noise, soft_tone),
        "a click": torch.zeros(len(time)).index_fill(0, torch.tensor([len(time) // 3]), 1.0),
        "a high tone": torch.sin(2 * torch.pi * 10_000 * time),
        "silence": torch.zeros(len(time)),
    }
    for what, sound in sounds.items():
        frames = torch.arange(0, len(log_mel.spectrum(sound)), 7)
        expected = log_mel.spectrum(sound)[torch.arange(len(log_mel.spectrum(sound)))][:, frames]
        torch.testing.assert_close(log_mel.spectrum(sound)[frames], expected, atol=1e-3, rtol=0, msg=what)


@pytest.mark.slow
def test_sparse_reproduces_the_reference_of_whole_songs(songs):
    reference = np.load(songs / "reference_logmel.npz")
    for name, expected in zip(reference["song"], reference["mel"], strict=True):
        path = next(songs.glob(f"*/{name}.mp3"))
        rate = soundfile.info(path).samplerate
        if name == "SquireTuckHeavyHeart":  # it has no gapless tag, and FFmpeg starts at another sample
            sound = soundfile.read(path, frames=round(CLIP_SECONDS * rate), dtype="float32")[0].mean(axis=1)
            log_mel = LogMel(replace(FRONT_ENDS["sparse"], sample_rate=rate))
            decibels = log_mel.clip_features(torch.from_numpy(sound)).numpy()
        else:
            decibels = sparse_of(path, rate)
        steps = np.floor((decibels + 80) * 256 / 80).clip(0, 255)
        assert (np.abs(steps - expected) <= 1).mean() > 0.99, name


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_windows_of_a_clip_are_its_columns(name):
    """A window at inference equals the slice of the clip's features in training."""
    config = FRONT_ENDS[name]
    log_mel = LogMel(config)
    clip = torch.from_numpy(music(CLIP_SECONDS, config.sample_rate))
    columns = log_mel.to_bands(log_mel.clip_features(clip))
    window = log_mel(clip, torch.tensor([0.0, 15.0]))
    assert window.shape == (2, config.bands, config.columns)
    torch.testing.assert_close(window[0], columns[:, : config.columns])
    if name == "sparse":  # 15 s is where column 64 begins
        torch.testing.assert_close(window[1], columns[:, 64 : 64 + config.columns])


def test_levels_are_relative_to_the_clip():
    loud = torch.from_numpy(music(6))
    quiet = loud * 0.1
    at = torch.tensor([0.0])
    dense, smooth = LogMel(FRONT_ENDS["dense"]), LogMel(FRONT_ENDS["smooth"])
    torch.testing.assert_close(dense(loud, at), dense(quiet, at), atol=0.01, rtol=0)  # relative to the loudest cell
    change = smooth(loud, at) - smooth(quiet, at)  # absolute: 20 dB
    assert change.mean() == pytest.approx(20, abs=0.1)
    assert dense(loud, at).min() >= -80


def test_settings_that_contradict_are_refused():
    with pytest.raises(ValueError, match="reference"):
        LogMelConfig(sample_rate=22050, reference="loudest")
    with pytest.raises(ValueError, match="bands"):
        LogMelConfig(sample_rate=22050, bands=64)
