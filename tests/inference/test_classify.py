import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from genre.audio.audio import TAIL_SECONDS, cut_clips
from genre.errors import AudioError
from genre.inference.classify import load
from genre.models.model import thread_pool
from tests.conftest import RATE, music, write_audio


def pieces_of(sound, rate, seconds=10):
    return (sound[at : at + seconds * rate] for at in range(0, len(sound), seconds * rate))


@pytest.mark.parametrize("overlap", [0, 0.5, 0.7])
@pytest.mark.parametrize("seconds", [0.4, 3, 3.05, 29.98, 30.003, 31, 62.5, 90, 725.3])
def test_windows_cover_the_recording_and_lie_within_their_clip(seconds, overlap):
    rate = 1000
    sound = np.arange(round(seconds * rate), dtype=np.float32)
    clips = list(cut_clips(pieces_of(sound, rate), rate, 3.0, 3.0 * (1 - overlap)))
    covered, starts = 0.0, []
    for clip in clips:
        length = len(clip.waveform) / rate
        assert 3 <= length <= 30
        for start in clip.window_starts:
            assert clip.start - 1e-3 <= start <= clip.start + length - 3 + 1e-3
            assert start <= covered + 1e-6
            covered = max(covered, start + 3)
        starts += clip.window_starts
        first = round(clip.start * rate)
        samples = min(len(clip.waveform), len(sound) - first)
        np.testing.assert_array_equal(clip.waveform[:samples], sound[first : first + samples])
        if seconds >= 30:
            assert length == 30
    assert starts == sorted(set(starts))
    assert covered >= seconds - TAIL_SECONDS
    assert clips[-1].end == pytest.approx(seconds, abs=TAIL_SECONDS)


def test_a_recording_shorter_than_a_window_is_repeated():
    sound = np.arange(400, dtype=np.float32)
    (clip,) = cut_clips([sound], 1000, 3.0, 3.0)
    np.testing.assert_array_equal(clip.waveform, np.resize(sound, 3000))


LENGTHS = [(0.02, 1), (0.4, 1), (3.0, 1), (31, 11), pytest.param(720, 240, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("seconds", "windows"), LENGTHS)
def test_recordings_of_any_length_are_classified(classifier, tmp_path, seconds, windows):
    path = write_audio(tmp_path / "music.flac", [music(seconds)], "flac")
    prediction = classifier.classify(path)
    assert len(prediction.windows) == windows
    assert prediction.seconds == pytest.approx(seconds, abs=0.01)
    assert prediction.windows[-1].end == pytest.approx(seconds, abs=0.01)
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-4)
    for window in prediction.windows:
        assert sum(window.probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert list(window.probabilities.values()) == sorted(window.probabilities.values(), reverse=True)


def test_overlapping_windows_with_equal_starts_get_equal_predictions(classifier, example):
    apart, overlapping = classifier.classify(example), classifier.classify(example, overlap=0.5)
    assert [w.start for w in overlapping.windows] == pytest.approx(np.arange(0, 12.1, 1.5))
    for window in apart.windows:
        twin = next(w for w in overlapping.windows if w.start == window.start)
        assert twin.probabilities == pytest.approx(window.probabilities, abs=1e-4)


def distance(one, other):
    """Largest difference of the probabilities of two windows."""
    return max(abs(one.probabilities[genre] - other.probabilities[genre]) for genre in one.probabilities)


def test_an_excerpt_can_be_classified(classifier, example):
    excerpt = classifier.classify(example, start=3, seconds=6)
    whole = classifier.classify(example)
    assert excerpt.seconds == pytest.approx(6)
    assert [(window.start, window.end) for window in excerpt.windows] == [(3, 6), (6, 9)]  # in the recording
    assert [(section.start, section.end) for section in excerpt.sections] == [(3, 9)]
    for window, same, other in zip(excerpt.windows, whole.windows[1:], whole.windows, strict=False):
        assert distance(window, same) < distance(window, other)


def test_stream_yields_a_prediction_every_30_seconds(classifier, tmp_path):
    path = write_audio(tmp_path / "music.flac", [music(95)], "flac")
    progress = [(prediction.seconds, len(prediction.windows)) for prediction in classifier.stream(path)]
    assert progress == [(30, 10), (60, 20), (90, 30), (95, 32)]


def test_threads_that_ask_at_the_same_time_share_a_pool():
    with ThreadPoolExecutor(8) as many:
        assert len(set(many.map(lambda _: thread_pool(5, 1), range(8)))) == 1


def test_clips_that_are_classified_at_once_give_what_they_give_in_turn(classifier, tmp_path):
    path = write_audio(tmp_path / "music.flac", [music(125)], "flac")
    threads, results, ends = torch.get_num_threads(), [], []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(classifier.classify(path, on_clip=lambda clip: ends.append(clip.end)))
            with ThreadPoolExecutor(1) as new:
                assert new.submit(torch.get_num_threads).result() == torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert ends == pytest.approx([30, 60, 90, 120, 125] * 2)
    one, many = ([result.probabilities, *(window.probabilities for window in result.windows)] for result in results)
    assert many == [pytest.approx(same, abs=1e-5) for same in one]


def concatenated(folder, *waveforms):
    return write_audio(folder / "concatenated.flac", [np.concatenate(waveforms).astype(np.float32)], "flac")


def hiss(seconds, decibels):
    """White noise, level in dBFS."""
    return np.random.default_rng(0).normal(scale=10 ** (decibels / 20), size=round(seconds * RATE))


@pytest.mark.parametrize("level", [-np.inf, -90, -72])
def test_silence_around_a_song_does_not_change_its_prediction(classifier, tmp_path, level):
    """Digital silence, dither, and recorder noise 50 dB below the song."""
    alone = classifier.classify(concatenated(tmp_path, music(30)))
    prediction = classifier.classify(concatenated(tmp_path, hiss(60, level), music(30), hiss(75, level)))
    assert list(prediction.probabilities.values()) == pytest.approx(list(alone.probabilities.values()), abs=0.02)
    assert (prediction.genre, prediction.is_music) == (alone.genre, alone.is_music)
    assert [window.silent for window in prediction.windows] == [True] * 20 + [False] * 10 + [True] * 25
    assert prediction.windows[0].genre is None
    assert prediction.seconds == 165


def test_a_quiet_song_is_not_silent(classifier, tmp_path):
    sound = music(31)
    quiet = write_audio(tmp_path / "quiet.wav", [10 ** (-50 / 20) * sound], "pcm_f32le")
    prediction = classifier.classify(quiet)
    assert not any(window.silent for window in prediction.windows)
    assert prediction.genre == classifier.classify(concatenated(tmp_path, 0.3 * sound)).genre


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_a_silent_recording_raises(classifier, tmp_path, offset):
    with pytest.raises(AudioError, match="silent"):
        classifier.classify(concatenated(tmp_path, np.full(40 * RATE, offset)))


@pytest.mark.parametrize("offset", [0.02, 0.2])
def test_a_constant_offset_does_not_change_the_prediction(classifier, tmp_path, offset):
    sound = 0.5 * music(30)
    plain, shifted = (classifier.classify(concatenated(tmp_path, one)) for one in (sound, sound + offset))
    assert shifted.probabilities == pytest.approx(plain.probabilities, abs=0.02)


def test_notes_on_the_file_are_part_of_the_prediction(classifier, tmp_path):
    sound = music(30)  # a single clip, so that its prediction is made before the end of the file
    whole = write_audio(tmp_path / "inverted.wav", [sound, -sound], "pcm_s16le")
    assert classifier.classify(whole).to_dict()["notes"] == ["The channels cancel each other, so one of them was used."]
    path = write_audio(tmp_path / "cut.flac", [music(60)], "flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert classifier.classify(path).notes[0].startswith("Only ")
    assert isinstance(classifier.classify(path).notes, tuple)


@pytest.mark.slow
def test_the_shipped_model_beats_chance_on_real_songs(classifier, songs):
    """Guards against wiring errors; accuracies are measured in metrics.json."""
    correct = [
        classifier.classify(path, seconds=60).genre == path.parent.name for path in sorted(songs.glob("*/*.mp3"))
    ]
    assert sum(correct) >= 5, f"{sum(correct)} of {len(correct)}"


@pytest.mark.parametrize("excerpt", [{"start": -5}, {"start": float("nan")}, {"seconds": 0}, {"seconds": float("inf")}])
def test_an_excerpt_out_of_range_raises(classifier, example, excerpt):
    with pytest.raises(ValueError, match="start must be at least 0 and seconds above 0"):
        classifier.classify(example, **excerpt)


@pytest.mark.parametrize("overlap", [-0.1, 0.96, float("nan")])
def test_an_overlap_out_of_range_raises(classifier, example, overlap):
    with pytest.raises(ValueError, match="overlap"):
        classifier.classify(example, overlap=overlap)


def test_recordings_below_the_minimum_level_are_amplified_to_it(classifier, tmp_path):
    """A phone across the room records 30 dB below a master; at such levels the level does not depend on the genre."""
    sound, by_level = music(9), []
    for level in (0.3, 0.01):
        path = write_audio(tmp_path / f"{level}.wav", [level * sound / np.sqrt(np.mean(sound**2))], "pcm_f32le")
        by_level.append(list(dict(sorted(classifier.classify(path).probabilities.items())).values()))
    at_minimum = write_audio(tmp_path / "minimum.wav", [0.1 * sound / np.sqrt(np.mean(sound**2))], "pcm_f32le")
    expected = list(dict(sorted(classifier.classify(at_minimum).probabilities.items())).values())
    assert by_level[1] == pytest.approx(expected, abs=1e-3)
    assert by_level[0] != pytest.approx(expected, abs=1e-3)  # above it, levels are not changed


def test_samples_in_memory_get_the_prediction_of_the_file_that_holds_them(classifier, tmp_path):
    left, right = music(8, 32_000), 0.5 * music(8, 32_000)
    path = write_audio(tmp_path / "music.wav", [left, right], "pcm_s16le", rate=32_000)
    expected = classifier.classify(path, start=1.5, seconds=5)
    whole_numbers = (np.stack([left, right]) * 2**15).round().astype(np.int16)
    for samples in (whole_numbers, whole_numbers / 2**15, torch.from_numpy(whole_numbers / np.float32(2**15))):
        prediction = classifier.classify(samples, 32_000, start=1.5, seconds=5)
        assert prediction.probabilities == pytest.approx(expected.probabilities, abs=2e-3)
        assert [(w.start, w.end) for w in prediction.windows] == [(w.start, w.end) for w in expected.windows]
    with pytest.raises(ValueError, match="samples need their sample_rate"):
        classifier.classify(left)
    with pytest.raises(ValueError, match="has a sample rate of its own"):
        classifier.classify(path, 32_000)
    with pytest.raises(ValueError, match="not \\(2, 3, 4\\)"):
        classifier.classify(np.zeros((2, 3, 4)), 32_000)
    with pytest.raises(AudioError, match="silent"):
        classifier.classify(np.zeros(32_000), 32_000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # on forks of processes with threads
def test_a_process_that_is_forked_after_a_classification_classifies(classifier, example, tmp_path):
    paths = example, write_audio(tmp_path / "of_two_clips.flac", [music(40)], "flac")
    expected = [classifier.classify(path).probabilities for path in paths]
    child = os.fork()
    if not child:
        same = [
            one.classify(path).probabilities == pytest.approx(probabilities, abs=1e-5)
            for one in (classifier, load())
            for path, probabilities in zip(paths, expected, strict=True)
        ]
        os._exit(not all(same))
    deadline = time.monotonic() + 60
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.1)
    if not ended[0]:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended == (child, 0)
