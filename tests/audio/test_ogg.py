import io
import os

import numpy as np
import pytest

from genre.audio import decode, ogg
from genre.errors import AudioError
from tests.conftest import RATE, tone, write_audio

LOW, HIGH = 440, 1320  # Hz, of the first and the second part


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
    sound = decode.decode(chained(tmp_path, first, second), RATE).numpy()
    assert len(sound) / RATE == pytest.approx(7, abs=0.1)
    assert pitch(sound[RATE : 2 * RATE]) == pytest.approx(LOW, abs=3)
    assert pitch(sound[-2 * RATE : -RATE]) == pytest.approx(HIGH, abs=3)


@pytest.mark.parametrize(("start", "hz"), [(1.0, LOW), (4.0, HIGH)])
def test_a_start_counts_from_the_first_part(tmp_path, start, hz):
    path = chained(tmp_path, ("libopus", 48000, 1), ("libopus", 48000, 2))
    whole = decode.decode(path, RATE).numpy()
    excerpt = decode.decode(path, RATE, start=start, seconds=1).numpy()
    assert len(excerpt) == RATE
    assert pitch(excerpt) == pytest.approx(hz, abs=3)
    rest = decode.decode(path, RATE, start=start).numpy()
    assert len(rest) / RATE == pytest.approx(len(whole) / RATE - start, abs=0.05)


def test_a_start_past_all_parts_raises(tmp_path):
    path = chained(tmp_path, ("libopus", 48000, 1), ("libopus", 48000, 2))
    with pytest.raises(AudioError, match="ends before 9 s"):
        decode.decode(path, RATE, start=9)


def test_a_damaged_part_is_left_out(tmp_path):
    path = chained(tmp_path, ("libopus", 48000, 1), ("libopus", 48000, 2))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"OpusHead")
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    assert len(decode.decode(path, RATE)) / RATE == pytest.approx(3, abs=0.1)


def test_files_that_are_not_chained_are_one_part(tmp_path):
    film = write_audio(tmp_path / "film.ogg", [tone(1)] * 2, "vorbis")
    for path in (film, write_audio(tmp_path / "tone.flac", [tone(1)], "flac")):
        with path.open("rb") as file:
            (part,) = ogg.parts(file)
            assert part.read() == path.read_bytes()


def test_multiplexed_streams_are_one_part():
    page = b"OggS\0\x02" + bytes(20) + b"\x01\x03abc"
    assert len(ogg.parts(io.BytesIO(page + page + b"OggS\0\0" + bytes(21)))) == 1
    assert len(ogg.parts(io.BytesIO(page + b"OggS\0\0" + bytes(21) + page))) == 2


def test_pages_across_the_boundaries_of_chunks_are_found(monkeypatch):
    page = b"OggS\0\x02" + bytes(20) + b"\x01\x03abc" + b"OggS\0\0" + bytes(21)
    for chunk in range(6, 70):
        monkeypatch.setattr(ogg, "CHUNK", chunk)
        assert len(ogg.parts(io.BytesIO(page * 3))) == 3


def test_positions_outside_of_a_file_raise_no_exception():
    part = ogg.Part(io.BytesIO(b"0123456789"), 2, 8)
    assert max(part.seek(-1), part.seek(-7, os.SEEK_END), part.seek(-1, os.SEEK_CUR)) < 0
    assert part.read() == b"234567"
    assert part.seek(2**63) == 2**63
    assert part.read() == b""
