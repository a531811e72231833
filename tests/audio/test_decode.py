import ctypes
import struct
import wave
import zipfile
from fractions import Fraction

import av
import numpy as np
import pytest

from genre.audio import containers, decode, playback
from genre.errors import AudioError
from tests.audio import decoded
from tests.conftest import RATE, music, tone, write_audio


def samples_of(path, rate=RATE, **excerpt):
    return decoded(path, rate, **excerpt)[0]


FORMATS = {
    "mp3": ("mp3", {}),
    "m4a": ("aac", {}),
    "aac": ("aac", {"format": "adts"}),
    "ogg": ("vorbis", {}),
    "opus": ("libopus", {"rate": 48000}),
    "webm": ("libopus", {"rate": 48000}),
    "flac": ("flac", {}),
    "aiff": ("pcm_s16be", {}),
    "wma": ("wmav2", {"format": "asf"}),
    "u8.wav": ("pcm_u8", {}),
    "s16.wav": ("pcm_s16le", {}),
    "s24.wav": ("pcm_s24le", {}),
    "s32.wav": ("pcm_s32le", {}),
    "f32.wav": ("pcm_f32le", {}),
    "mp4": ("aac", {"video": "mpeg4"}),
    "mov": ("aac", {"video": "mpeg4"}),
    "video.webm": ("libopus", {"video": "libvpx", "rate": 48000}),
    "mkv": ("vorbis", {"video": "mpeg4"}),
    "3gp": ("aac", {}),
    "alac.m4a": ("alac", {}),
    "w64": ("pcm_s24le", {}),
    "au": ("pcm_s16be", {}),
    "caf": ("pcm_s16be", {}),
    "wv": ("wavpack", {}),
    "tta": ("tta", {}),
    "ac3": ("ac3", {}),
    "eac3": ("eac3", {}),
    "avi": ("mp3", {"video": "mpeg4"}),
    "flv": ("mp3", {"video": "flv"}),
    "ts": ("mp2", {"video": "mpeg2video", "format": "mpegts"}),
    "mpg": ("mp2", {"format": "mpeg"}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_becomes_the_mean_of_its_channels(tmp_path, name):
    codec, options = FORMATS[name]
    rate = options.get("rate", RATE)
    path = write_audio(tmp_path / f"tone.{name}", [tone(2, 440, rate), 0 * tone(2, 440, rate)], codec, **options)
    waveform = samples_of(path, 22050)
    assert len(waveform) / 22050 == pytest.approx(2, abs=0.15)
    middle = waveform[11025:33075]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * 22050 / len(middle) == pytest.approx(440, abs=2)
    assert np.sqrt(2) * middle.std() == pytest.approx(0.25, rel=0.06)  # half of 0.5: the other channel is silent


def test_start_and_seconds_select_a_range(tmp_path):
    path = write_audio(tmp_path / "music.flac", [music(20)], "flac")
    whole = samples_of(path)
    excerpt = samples_of(path, start=7.25, seconds=3)
    np.testing.assert_allclose(excerpt, whole[round(7.25 * RATE) :][: 3 * RATE], atol=1e-4)


def test_start_is_exact_in_a_real_mp3(fma_clips):
    whole = samples_of(fma_clips[2], RATE)
    excerpt = samples_of(fma_clips[2], RATE, start=11, seconds=2)
    assert np.corrcoef(excerpt, whole[11 * RATE : 13 * RATE])[0, 1] > 0.999


def test_the_intact_packets_of_a_damaged_file_are_decoded(tmp_path):
    path = write_audio(tmp_path / "music.mp3", [music(10)], "mp3")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data[: len(data) * 3 // 4])
    assert 5 < len(samples_of(path)) / RATE < 8.5


def no_sound(folder, name):
    """Files without decodable audio."""
    path = folder / name
    if name == "text.mp3":
        path.write_text("This is a shopping list.\n" * 100)
    elif name == "empty.mp3":
        path.touch()
    elif name == "truncated.m4a":
        whole = write_audio(folder / "whole.m4a", [tone(3)], "aac")
        path.write_bytes(whole.read_bytes()[:40])
    elif name == "header_only.flac":
        whole = write_audio(folder / "whole.flac", [tone(3)], "flac")
        path.write_bytes(whole.read_bytes()[:9000])
    elif name == "silent_film.mp4":
        whole = write_audio(folder / "film.mov", [tone(1)], "aac", video="mpeg4")
        _copy_video_only(whole, path)
    elif name == "zero_length.wav":
        wav(path)
    elif name == "folder.mp3":
        path.mkdir()
    return path


def wav(path, samples=b"", channels=1, rate=RATE):
    """A WAV file of 16-bit samples with any header."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", None))
        file.writeframes(samples)
    return path


def _copy_video_only(source, target):
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        copy = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                write.mux(packet)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("text.mp3", "not an audio file"),
        ("empty.mp3", "is empty"),
        ("truncated.m4a", "not an audio file"),
        ("header_only.flac", "holds no sound"),
        ("silent_film.mp4", "no sound track"),
        ("zero_length.wav", "holds no sound"),
        ("missing.mp3", "no such file"),
        ("folder.mp3", "is a folder"),
        ("nul\0byte.mp3", "not valid"),
    ],
)
def test_a_file_without_decodable_audio_raises_one_sentence(tmp_path, name, sentence):
    with pytest.raises(AudioError) as caught:
        samples_of(no_sound(tmp_path, name), RATE)
    assert sentence in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_start_past_the_end_raises(tmp_path):
    path = write_audio(tmp_path / "short.wav", [tone(1)], "pcm_s16le")
    with pytest.raises(AudioError, match="ends before 5 s"):
        samples_of(path, start=5)


@pytest.mark.parametrize("channels", [1, 3, 7, 8, 9, 64])
def test_any_number_of_channels_becomes_their_mean(tmp_path, channels):
    sound = np.zeros((RATE // 10, channels), "<i2")
    sound[:, 0] = 32767 * tone(0.1)
    path = wav(tmp_path / "many.wav", sound.tobytes(), channels)
    np.testing.assert_allclose(samples_of(path), tone(0.1) / channels, atol=1e-4)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [({"channels": 65}, "65 channels"), ({"rate": 7}, "declares 7 samples"), ({"rate": 10**6}, "declares 1,000,000")],
)
def test_a_header_beyond_the_limits_is_refused(tmp_path, header, sentence):
    with pytest.raises(AudioError, match=sentence):
        samples_of(wav(tmp_path / "absurd.wav", bytes(65 * 2 * 100), **header), RATE)


def test_sound_in_more_packets_than_recordings_have_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "SPARE_PACKETS", 10)
    monkeypatch.setattr(containers, "MIN_PACKET_SECONDS", 1)  # those of mp3 have 26 ms
    with pytest.raises(AudioError, match="chopped too finely"):
        samples_of(write_audio(tmp_path / "tone.mp3", [tone(2)], "mp3"), RATE)


def test_the_decoder_allocates_no_more_at_once_than_the_limit():
    library = ctypes.CDLL(av._core.__file__)
    library.av_malloc.restype = ctypes.c_void_p
    assert library.av_malloc(ctypes.c_size_t(decode.MAX_ALLOCATION + 1)) is None


def test_a_list_of_files_opens_none_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "song.m4a", [music(3)], "aac")
    (tmp_path / "list.mp3").write_text("ffconcat version 1.0\nfile song.m4a\n")
    with pytest.raises(AudioError, match="not an audio file"):
        samples_of("list.mp3", RATE)


def tracks_file(path, tones, default=None):
    """A file with a tone of 2 s in each track, of these frequencies in Hz, 0 for silence."""
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("aac", rate=RATE, layout="mono") for _ in tones]
        if default is not None:
            for number, track in enumerate(tracks):
                track.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        for track, hz in zip(tracks, tones, strict=True):
            frame = av.AudioFrame.from_ndarray(tone(2, hz)[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            container.mux([*track.encode(frame), *track.encode(None)])
    return path


@pytest.mark.parametrize(
    ("name", "tones", "default", "hz", "note"),
    [
        ("film.mkv", [440, 1320], 1, 1320, "Track 2 of 2 was used, the default one."),
        ("film.mkv", [440, 1320], 0, 440, "Track 1 of 2 was used, the default one."),
        ("film.mp4", [0, 1320], None, 1320, "Track 2 of 2 was used, since track 1 is silent."),
        ("film.mkv", [440, 0, 1320], 1, 440, "Track 1 of 3 was used, since track 2 is silent."),
        ("film.mkv", [0, 0, 880], 0, 880, "Track 3 of 3 was used, since track 1 is silent."),
    ],
)
def test_the_default_track_is_used_unless_it_is_silent(tmp_path, name, tones, default, hz, note):
    sound, notes = decoded(tracks_file(tmp_path / name, tones, default))
    sound = sound[RATE // 2 : RATE * 3 // 2]
    assert np.abs(np.fft.rfft(sound)).argmax() == pytest.approx(hz, abs=2)
    assert notes == [note]


def timed_file(path, spans, seconds=60):
    """A film (sound alone in Ogg and .mka) of these seconds with a tone in the spans, from begin to end in seconds."""
    with av.open(str(path), "w") as container:
        film = None
        if path.suffix not in (".ogg", ".mka"):
            film = container.add_stream("mpeg4", rate=1)
            film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
        codec = "libopus" if path.suffix in (".ogg", ".mka") else "aac"
        sound = container.add_stream(codec, rate=48000, layout="mono")
        for second in range(seconds):
            if film:
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
                picture.pts, picture.time_base = second, Fraction(1)
                container.mux(film.encode(picture))
            if any(begin <= second < end for begin, end in spans):
                frame = av.AudioFrame.from_ndarray(tone(1, 440, 48000)[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48000, second * 48000, Fraction(1, 48000)
                container.mux(sound.encode(frame))
        container.mux([*(film.encode(None) if film else ()), *sound.encode(None)])
    return path


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts", "gap.mp4", "gap.mkv", "gap.ts", "gap.ogg"])
def test_times_are_those_of_the_file(tmp_path, name):
    """As in players: a late start and gaps are silence, and a track that ends before the film is complete."""
    late = name.startswith("late")
    spans = [(20, 40)] if late else [(0, 20), (40, 60)]
    path = timed_file(tmp_path / name, spans)
    sound, notes = decoded(path)
    heard = np.abs(sound[: len(sound) // RATE * RATE].reshape(-1, RATE)).max(axis=1) > 0.3
    expected = [any(begin <= second < end for begin, end in spans) for second in range(len(heard))]
    edges = {0, *np.flatnonzero(np.diff(expected)), *np.flatnonzero(np.diff(expected)) + 1}
    assert [h for at, h in enumerate(heard) if at not in edges] == [
        e for at, e in enumerate(expected) if at not in edges
    ]
    assert len(sound) / RATE == pytest.approx(spans[-1][1], abs=0.2)
    assert notes == ([] if late else ["The sound has gaps of 20 s in all, which are taken for silence."])
    for start in (10.0, 30.0):
        excerpt = samples_of(path, start=start, seconds=2)
        assert np.abs(excerpt).max() == pytest.approx(np.abs(sound[round(start * RATE) :][: 2 * RATE]).max(), abs=0.05)


def test_silence_is_limited_where_a_file_declares_hours(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAX_SILENCE", 5.0)
    sound, notes = decoded(timed_file(tmp_path / "gap.mkv", [(0, 20), (40, 60)]))
    assert len(sound) / RATE == pytest.approx(40, abs=0.2)
    assert notes == ["A gap of 20 s was left out, so times after it are earlier than in the file."]


@pytest.mark.parametrize(("container", "valid"), [(32, 24), (32, 20), (24, 16), (24, 32)])
@pytest.mark.parametrize("form", ["RIFF", "RF64", "w64"])
def test_fewer_valid_bits_than_the_container_has(tmp_path, container, valid, form):
    numbers = np.round(music(2) * 32767).astype("<i4")
    samples = (numbers << (container - 16)).view("u1").reshape(-1, 4)[:, : container // 8].tobytes()
    size = container // 8
    header = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * size, size, container, 22, valid, 4)
    header += bytes.fromhex("0100000000001000800000aa00389b71")
    if form == "w64":
        ends = {b"riff": "2e91cf11a5d628db04c10000"}
        name = lambda four: four + bytes.fromhex(ends.get(four, "f3acd3118cd100c04f8edb8a"))  # noqa: E731
        chunks = b"".join(
            name(four) + struct.pack("<Q", 24 + len(data)) + data
            for four, data in ((b"fmt ", header), (b"data", samples))
        )
        data = name(b"riff") + struct.pack("<Q", 40 + len(chunks)) + name(b"wave") + chunks
    else:
        extra = b"" if form == "RIFF" else b"ds64" + struct.pack("<IQQQI", 28, 0, len(samples), 0, 0)
        body = b"WAVE" + extra + b"fmt " + struct.pack("<I", len(header)) + header
        data = form.encode() + struct.pack("<I", 2**32 - 1) + body + b"data" + struct.pack("<I", len(samples)) + samples
    path = tmp_path / "recorder.wav"
    path.write_bytes(data)
    np.testing.assert_allclose(samples_of(path), numbers / 32768, atol=1e-6)
    copy = tmp_path / "copy"
    list(playback.write(path, copy, 60))
    played = samples_of(copy, RATE)[: len(numbers)]
    assert np.corrcoef(played, numbers[: len(played)])[0, 1] > 0.9


@pytest.mark.parametrize("suffix", ["flac", "m4a", "aiff", "wav"])
@pytest.mark.parametrize(
    ("sync", "name"),
    [
        ("fe7f0180", "DTS"),
        ("7ffe8001", "DTS"),
        ("ff1f00e8", "DTS"),
        ("72f81f4e0100", "Dolby Digital"),
        ("f8724e1f000b", "DTS"),
    ],
)
def test_packed_surround_sound_is_refused_by_name(tmp_path, suffix, sync, name):
    """As of DTS CDs: noise, with a sync word in front of every frame."""
    words, random = bytes.fromhex(sync), np.random.default_rng(0)
    data = bytes(4000) + b"".join(words + random.bytes(2048 - len(words)) for _ in range(100))
    channels = np.frombuffer(data, "<i2").reshape(-1, 2).T
    codec = {"flac": "flac", "m4a": "alac", "aiff": "pcm_s16be", "wav": "pcm_f32le"}[suffix]
    path = write_audio(tmp_path / f"album.{suffix}", list((channels / np.float32(32768)).astype(np.float32)), codec)
    with pytest.raises(AudioError, match=f"^This file holds {name} sound that is packed as PCM"):
        samples_of(path)


def test_an_archive_is_not_taken_for_the_first_song_in_it(tmp_path):
    write_audio(tmp_path / "a.mp3", [music(3)], "libmp3lame")
    with zipfile.ZipFile(tmp_path / "album.mp3", "w") as album:  # stored, as many tools do with what is compressed
        album.write(tmp_path / "a.mp3", "a.mp3")
    with pytest.raises(AudioError, match="This is an archive: unpack it"):
        samples_of(tmp_path / "album.mp3", RATE)
