import numpy as np
import pytest
import torch

from genre.errors import AudioError
from genre.features.clips import cut_clips
from genre.features.log_mel import TAIL_SECONDS
from tests.conftest import RATE, music, write_audio


def pieces_of(sound, rate, seconds=10):
    return (sound[at : at + seconds * rate] for at in range(0, len(sound), seconds * rate))


@pytest.mark.parametrize("overlap", [0, 0.5, 0.7])
@pytest.mark.parametrize("seconds", [0.4, 3, 3.05, 29.98, 30.003, 31, 62.5, 90, 725.3])
def test_windows_cover_everything_and_stay_in_their_clip(seconds, overlap):
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
        heard = min(len(clip.waveform), len(sound) - first)
        np.testing.assert_array_equal(clip.waveform[:heard], sound[first : first + heard])
        if seconds >= 30:
            assert length == 30
    assert starts == sorted(set(starts))
    assert covered >= seconds - TAIL_SECONDS
    assert clips[-1].end == pytest.approx(seconds, abs=TAIL_SECONDS)


def test_a_short_recording_is_repeated_to_a_window():
    sound = np.arange(400, dtype=np.float32)
    (clip,) = cut_clips([sound], 1000, 3.0, 3.0)
    np.testing.assert_array_equal(clip.waveform, np.resize(sound, 3000))


@pytest.mark.parametrize(("seconds", "windows"), [(0.02, 1), (0.4, 1), (3.0, 1), (31, 11), (720, 240)])
def test_any_length_gets_a_verdict(classifier, tmp_path, seconds, windows):
    path = write_audio(tmp_path / "music.flac", [music(seconds)], "flac")
    prediction = classifier.classify(path)
    assert len(prediction.windows) == windows
    assert prediction.seconds == pytest.approx(seconds, abs=0.01)
    assert prediction.windows[-1].end == pytest.approx(seconds, abs=0.01)
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-4)
    for window in prediction.windows:
        assert sum(window.probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert list(window.probabilities.values()) == sorted(window.probabilities.values(), reverse=True)


def test_the_same_file_gets_the_same_verdict(classifier, example):
    assert classifier.classify(example) == classifier.classify(example)


def test_overlapping_windows_agree_where_they_coincide(classifier, example):
    apart, overlapping = classifier.classify(example), classifier.classify(example, overlap=0.5)
    assert [w.start for w in overlapping.windows] == pytest.approx(np.arange(0, 12.1, 1.5))
    for window in apart.windows:
        twin = next(w for w in overlapping.windows if w.start == window.start)
        assert twin.probabilities == pytest.approx(window.probabilities, abs=1e-4)


def test_a_part_can_be_heard(classifier, example):
    part = classifier.classify(example, start=3, seconds=6)
    whole = classifier.classify(example)
    assert part.seconds == pytest.approx(6)
    assert part.windows[0].genre == whole.windows[1].genre


def test_long_files_report_on_the_way(classifier, tmp_path):
    path = write_audio(tmp_path / "music.flac", [music(95)], "flac")
    heard = [(prediction.seconds, len(prediction.windows)) for prediction in classifier.stream(path)]
    assert heard == [(30, 10), (60, 20), (90, 30), (95, 32)]


def test_silence_is_said(classifier, tmp_path):
    path = write_audio(tmp_path / "silence.wav", [np.zeros(40 * RATE, np.float32)], "pcm_s16le")
    with pytest.raises(AudioError, match="silent"):
        classifier.classify(path)


def file_of(folder, *parts):
    return write_audio(folder / "parts.flac", [np.concatenate(parts).astype(np.float32)], "flac")


def hiss(seconds, decibels):
    """Noise at a level in dB of full scale."""
    return np.random.default_rng(0).normal(scale=10 ** (decibels / 20), size=round(seconds * RATE))


@pytest.mark.parametrize("level", [-np.inf, -90, -72])
def test_silence_around_a_song_has_no_vote(classifier, tmp_path, level):
    """Digital silence, dither, and the noise of a recorder 50 dB below the song."""
    alone = classifier.classify(file_of(tmp_path, music(30)))
    prediction = classifier.classify(file_of(tmp_path, hiss(60, level), music(30), hiss(75, level)))
    assert list(prediction.probabilities.values()) == pytest.approx(list(alone.probabilities.values()), abs=0.02)
    assert (prediction.genre, prediction.is_music) == (alone.genre, alone.is_music)
    assert [window.silent for window in prediction.windows] == [True] * 20 + [False] * 10 + [True] * 25
    assert prediction.windows[0].genre is None
    assert prediction.seconds == 165


def test_a_silent_clip_is_not_put_through_the_networks(classifier, tmp_path, monkeypatch):
    looked, look = [], classifier._look
    monkeypatch.setattr(classifier, "_look", lambda clip: looked.append(clip.start) or look(clip))
    classifier.classify(file_of(tmp_path, music(30), np.zeros(90 * RATE)))
    assert looked == [0.0]


def test_a_quiet_song_is_no_silence(classifier, tmp_path):
    sound = music(31)
    quiet = write_audio(tmp_path / "quiet.wav", [10 ** (-50 / 20) * sound], "pcm_f32le")
    prediction = classifier.classify(quiet)
    assert not any(window.silent for window in prediction.windows)
    assert prediction.genre == classifier.classify(file_of(tmp_path, 0.3 * sound)).genre


def test_an_offset_alone_is_silence(classifier, tmp_path):
    with pytest.raises(AudioError, match="silent"):
        classifier.classify(file_of(tmp_path, np.full(9 * RATE, 0.2)))


def test_notes_on_the_file_are_part_of_the_prediction(classifier, tmp_path):
    sound = music(30)  # of one clip, so that the verdict is there before the end of the file
    whole = write_audio(tmp_path / "inverted.wav", [sound, -sound], "pcm_s16le")
    assert classifier.classify(whole).to_dict()["notes"] == ["The channels cancel each other, so one of them was used."]
    path = write_audio(tmp_path / "cut.flac", [music(60)], "flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert classifier.classify(path).notes[0].startswith("Only ")


def test_a_silent_start_is_no_obstacle(classifier, tmp_path):
    sound = np.concatenate([np.zeros(35 * RATE, np.float32), music(10)])
    path = write_audio(tmp_path / "late.flac", [sound], "flac")
    assert [prediction.seconds for prediction in classifier.stream(path)] == [45]


def test_volume_does_not_change_a_window_of_the_sparse_member(classifier):
    """Its levels are relative; the absolute ones of the smooth member may move the verdict a little."""
    sparse = classifier.checkpoint.members["sparse"]
    clip = torch.from_numpy(music(6))
    with torch.inference_mode():
        loud, quiet = (sparse(sparse.log_mel(c, torch.zeros(1))) for c in (clip, 0.1 * clip))
    torch.testing.assert_close(loud, quiet, atol=1e-2, rtol=1e-2)


def test_the_shipped_model_beats_chance_on_real_songs(classifier, songs):
    """A guard against wiring mistakes, not a measure: the figures are in metrics.json."""
    right = [classifier.classify(path, seconds=60).genre == path.parent.name for path in sorted(songs.glob("*/*.mp3"))]
    assert sum(right) >= 5, f"{sum(right)} of {len(right)}"


def test_the_dictionary_holds_what_programs_need(classifier, example):
    content = classifier.classify(example).to_dict()
    assert content["genre"] == max(content["probabilities"], key=content["probabilities"].get)
    assert content["confidence"] == content["probabilities"][content["genre"]]
    assert content["windows"][1]["start"] == 3.0 and content["windows"][1]["end"] == 6.0
    assert set(content["windows"][0]["probabilities"]) == set(classifier.labels)
    assert content["checkpoint"] == "fma-small"


@pytest.mark.parametrize("overlap", [-0.1, 1.0])
def test_an_impossible_overlap_is_refused(classifier, example, overlap):
    with pytest.raises(ValueError, match="overlap"):
        classifier.classify(example, overlap=overlap)


def test_a_soft_recording_gets_the_verdict_of_a_loud_one(classifier, tmp_path):
    """A phone across the room is 30 dB below a master; the level says nothing about the genre then."""
    sound, verdicts = music(9), []
    for level in (0.3, 0.01):
        path = write_audio(tmp_path / f"{level}.wav", [level * sound / np.sqrt(np.mean(sound**2))], "pcm_f32le")
        verdicts.append(list(dict(sorted(classifier.classify(path).probabilities.items())).values()))
    louder = write_audio(tmp_path / "low.wav", [0.1 * sound / np.sqrt(np.mean(sound**2))], "pcm_f32le")
    expected = list(dict(sorted(classifier.classify(louder).probabilities.items())).values())
    assert verdicts[1] == pytest.approx(expected, abs=1e-3)
    assert verdicts[0] != pytest.approx(expected, abs=1e-3)  # between masters the level does say something
