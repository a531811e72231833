import io
import os
import random

import av
import numpy as np
import pytest

from genre.audio import containers
from genre.audio.containers import Part, parts
from genre.errors import AudioError
from tests.audio import decoded
from tests.conftest import RATE, music, tone, write_audio

LOW, HIGH = 440, 1320  # Hz, of the first and the second part of a chained file
ENCRYPTED = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "11" * 16, "encryption_kid": "22" * 16}
PROTECTED = "^This file is copy-protected\\.$"


def scrambled(data, begin, end):
    """A copy with random bytes from `begin` to `end`."""
    return data[:begin] + random.Random(0).randbytes(end - begin) + data[end:]


def test_common_encryption_is_reported(tmp_path):
    path = write_audio(tmp_path / "song.mp4", [music(5)], "aac", container_options=ENCRYPTED)
    with pytest.raises(AudioError, match=PROTECTED):
        decoded(path)[0]


@pytest.mark.parametrize("entry", [b"drms", b"aavd"], ids=["FairPlay", "Audible"])
def test_sample_entries_of_protected_files_are_reported(tmp_path, entry):
    data = write_audio(tmp_path / "song.m4a", [music(5)], "aac").read_bytes()
    at = data.index(b"mp4a", data.index(b"stsd"))
    data = data[:at] + entry + data[at + 4 :]
    sound = data.index(b"mdat") + 4
    path = tmp_path / "song.m4p"
    path.write_bytes(scrambled(data, sound, sound + 40_000))
    with pytest.raises(AudioError, match=PROTECTED):
        decoded(path)[0]


def test_a_codec_tag_of_other_characters_than_ascii_is_no_error(tmp_path):
    data = bytearray(write_audio(tmp_path / "song.wav", [music(2)], "pcm_f32le").read_bytes())
    at = data.index(b"fmt ") + 8
    data[at : at + 2] = b"\xff\x00"  # format of the samples: AAC, which they are not
    path = tmp_path / "damaged.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError):
        decoded(path)[0]


def damaged_mp3(folder, fraction):
    """8 s of which the first bytes, by this fraction, are intact."""
    data = write_audio(folder / "whole.mp3", [music(8)], "mp3").read_bytes()
    path = folder / "damaged.mp3"
    path.write_bytes(scrambled(data, round(fraction * len(data)), len(data)))
    return path


def notes_on(path, **excerpt):
    sound, notes = decoded(path, **excerpt)
    return len(sound) / RATE, notes


def test_a_file_that_hardly_decodes_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"^This file is damaged: only 0\.\d of 8\.\d s could be decoded\.$"):
        decoded(damaged_mp3(tmp_path, 0.04))[0]


def test_a_partly_decoded_file_gives_a_note(tmp_path):
    seconds, notes = notes_on(damaged_mp3(tmp_path, 0.4))
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
    assert notes == [f"Only {containers._rounded(seconds)} of 20 s could be decoded."]
    assert notes_on(path, seconds=4) == (4, [])


def test_an_estimated_duration_gives_no_note(tmp_path):
    """AAC without a container has no index, and FFmpeg estimates from the first packets, small ones here."""
    sound = np.concatenate([np.zeros(10 * RATE, np.float32), music(10)])
    path = write_audio(tmp_path / "raw.aac", [sound], "aac", format="adts")
    with av.open(str(path)) as container:
        assert container.duration / av.time_base > 25
    seconds, notes = notes_on(path)
    assert (round(seconds), notes) == (20, [])


def chained(folder, first, second):
    """A tone of 3 s and a higher one of 4 s, encoded by (codec, rate, channels), concatenated in a file."""
    path = folder / "chained.ogg"
    data = b""
    for (codec, rate, channels), seconds, hz in zip((first, second), (3, 4), (LOW, HIGH), strict=True):
        part = write_audio(folder / "part.ogg", [tone(seconds, hz, rate)] * channels, codec, rate=rate)
        data += part.read_bytes()
    path.write_bytes(data)
    return path


def pitch(sound):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return spectrum.argmax() * RATE / len(sound)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("libopus", 48000, 1), ("libopus", 48000, 2)),
        (("vorbis", 44100, 2), ("vorbis", 22050, 2)),
        (("vorbis", 44100, 2), ("libopus", 48000, 2)),
        (("libopus", 48000, 2), ("libopus", 48000, 2)),
    ],
)
def test_every_part_of_a_chained_file_is_decoded(tmp_path, first, second):
    sound = decoded(chained(tmp_path, first, second))[0]
    assert len(sound) / RATE == pytest.approx(7, abs=0.1)
    assert pitch(sound[RATE : 2 * RATE]) == pytest.approx(LOW, abs=3)
    assert pitch(sound[-2 * RATE : -RATE]) == pytest.approx(HIGH, abs=3)


@pytest.mark.parametrize(("start", "hz"), [(1.0, LOW), (4.0, HIGH)])
def test_a_start_counts_from_the_first_part(tmp_path, start, hz):
    path = chained(tmp_path, ("libopus", 48000, 1), ("libopus", 48000, 2))
    whole = decoded(path)[0]
    excerpt = decoded(path, start=start, seconds=1)[0]
    assert len(excerpt) == RATE
    assert pitch(excerpt) == pytest.approx(hz, abs=3)
    rest = decoded(path, start=start)[0]
    assert len(rest) / RATE == pytest.approx(len(whole) / RATE - start, abs=0.05)


def test_a_damaged_part_is_left_out(tmp_path):
    path = chained(tmp_path, ("libopus", 48000, 1), ("libopus", 48000, 2))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"OpusHead")
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    assert len(decoded(path)[0]) / RATE == pytest.approx(3, abs=0.1)


def test_multiplexed_streams_are_one_part():
    page = b"OggS\0\x02" + bytes(20) + b"\x01\x03abc"
    assert len(parts(io.BytesIO(page + page + b"OggS\0\0" + bytes(21)))) == 1
    assert len(parts(io.BytesIO(page + b"OggS\0\0" + bytes(21) + page))) == 2


def test_pages_across_the_boundaries_of_chunks_are_found(monkeypatch):
    page = b"OggS\0\x02" + bytes(20) + b"\x01\x03abc" + b"OggS\0\0" + bytes(21)
    for chunk in range(6, 70):
        monkeypatch.setattr(containers, "CHUNK", chunk)
        assert len(parts(io.BytesIO(page * 3))) == 3


def test_positions_outside_of_a_file_raise_no_exception():
    part = Part(io.BytesIO(b"0123456789"), 2, 8)
    assert max(part.seek(-1), part.seek(-7, os.SEEK_END), part.seek(-1, os.SEEK_CUR)) < 0
    assert part.read() == b"234567"
    assert part.seek(2**63) == 2**63
    assert part.read() == b""
