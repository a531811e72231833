import random

import av
import numpy as np
import pytest

from genre.audio import decode, packets, worker
from genre.audio.packets import Tally, completeness
from genre.errors import AudioError
from tests.conftest import RATE, music, write_audio

ENCRYPTED = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "11" * 16, "encryption_kid": "22" * 16}
PROTECTED = "^This file is copy-protected\\.$"


def scrambled(data, begin, end):
    """A copy with random bytes from `begin` to `end`."""
    return data[:begin] + random.Random(0).randbytes(end - begin) + data[end:]


def test_common_encryption_is_reported(tmp_path):
    path = write_audio(tmp_path / "song.mp4", [music(5)], "aac", container_options=ENCRYPTED)
    with pytest.raises(AudioError, match=PROTECTED):
        decode.decode(path, RATE)


@pytest.mark.parametrize("entry", [b"drms", b"aavd"], ids=["FairPlay", "Audible"])
def test_sample_entries_of_protected_files_are_reported(tmp_path, entry):
    data = write_audio(tmp_path / "song.m4a", [music(5)], "aac").read_bytes()
    at = data.index(b"mp4a", data.index(b"stsd"))
    data = data[:at] + entry + data[at + 4 :]
    sound = data.index(b"mdat") + 4
    path = tmp_path / "song.m4p"
    path.write_bytes(scrambled(data, sound, sound + 40_000))
    with pytest.raises(AudioError, match=PROTECTED):
        decode.decode(path, RATE)


def test_a_codec_tag_of_other_characters_than_ascii_is_no_error(tmp_path):
    data = bytearray(write_audio(tmp_path / "song.wav", [music(2)], "pcm_f32le").read_bytes())
    at = data.index(b"fmt ") + 8
    data[at : at + 2] = b"\xff\x00"  # format of the samples: AAC, which they are not
    path = tmp_path / "damaged.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError):
        decode.decode(path, RATE)


def damaged_mp3(folder, fraction):
    """8 s of which the first bytes, by this fraction, are intact."""
    data = write_audio(folder / "whole.mp3", [music(8)], "mp3").read_bytes()
    path = folder / "damaged.mp3"
    path.write_bytes(scrambled(data, round(fraction * len(data)), len(data)))
    return path


def notes_on(path, read=decode.stream, **options):
    notes = []
    seconds = sum(len(piece) for piece in read(path, RATE, notes=notes, **options)) / RATE
    return seconds, notes


def test_a_file_that_hardly_decodes_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"^This file is damaged: only 0\.\d of 8\.\d s could be decoded\.$"):
        decode.decode(damaged_mp3(tmp_path, 0.04), RATE)


@pytest.mark.parametrize("read", [decode.stream, worker.stream])
def test_a_partly_decoded_file_gives_a_note(tmp_path, read):
    seconds, notes = notes_on(damaged_mp3(tmp_path, 0.4), read)
    assert 2.5 < seconds < 5
    assert notes == [f"Only {seconds:.1f} of 8.0 s could be decoded."]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("song.m4a", "aac", {"container_options": {"movflags": "faststart"}}),
        ("song.mp3", "mp3", {}),
        ("song.flac", "flac", {}),
        ("song.webm", "libopus", {"rate": 48000}),
    ],
)
def test_a_truncated_file_gives_a_note_with_its_declared_duration(tmp_path, name, codec, options):
    path = write_audio(tmp_path / name, [music(20, options.get("rate", RATE))], codec, **options)
    assert notes_on(path)[1] == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seconds, notes = notes_on(path)
    assert 5 < seconds < 15
    assert notes == [f"Only {packets._rounded(seconds)} of 20 s could be decoded."]
    assert notes_on(path, seconds=4) == (4, [])


def test_an_estimated_duration_gives_no_note(tmp_path):
    """AAC without a container has no index, and FFmpeg estimates from the first packets, small ones here."""
    sound = np.concatenate([np.zeros(10 * RATE, np.float32), music(10)])
    path = write_audio(tmp_path / "raw.aac", [sound], "aac", format="adts")
    with av.open(str(path)) as container:
        assert container.duration / av.time_base > 25
    seconds, notes = notes_on(path)
    assert (round(seconds), notes) == (20, [])


@pytest.mark.parametrize(
    ("decoded", "expected", "lost", "note"),
    [
        (9.5, 10.0, 0, None),
        (10.0, 8.0, 0, None),
        (4.0, 10.0, 0, "Only 4.0 of 10 s could be decoded."),
        (0.1, 1e6, 0, "Only 0.1 of 1,000,000 s could be decoded."),  # no packet was lost
        (50.0, None, 100, "Only 50 of 100 s could be decoded."),
        (10.0, 10.0, 900, None),
    ],
)
def test_the_note_on_completeness(decoded, expected, lost, note):
    assert completeness(decoded, expected, Tally(decoded=100, lost=lost)) == note
