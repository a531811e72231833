from itertools import pairwise

import numpy as np
import pytest

from genre.inference.prediction import MIN_SECONDS, Headline, Prediction, Section, Window

LABELS = ["Folk", "Pop", "Rock"]


@pytest.mark.parametrize(
    ("probabilities", "more", "headline"),
    [
        ((0.7, 0.2, 0.1), {}, Headline("genre", ("A",), (), "A", "70% confidence")),
        ((0.4, 0.35, 0.25), {}, Headline("genre", ("A",), (), "A", "40% confidence, with B close behind")),
        ((1.0,), {}, Headline("genre", ("A",), (), "A", "100% confidence")),
        (
            (0.4, 0.35, 0.25),
            {"confident": False, "prediction_set": ("A", "B")},
            Headline("shortlist", ("A", "B"), (), "A or B", "40% for A"),
        ),
        (
            (0.3, 0.2, 0.2, 0.15, 0.15),
            {"confident": False, "prediction_set": tuple("ABCDE")},
            Headline("shortlist", tuple("ABC"), tuple("DE"), "A, B or C", "30% for A; D or E cannot be ruled out"),
        ),
        (
            (0.4, 0.3, 0.3),  # there is nothing else that it may be
            {"confident": False, "prediction_set": ("A",)},
            Headline("genre", ("A",), (), "A", "40% confidence"),
        ),
        (
            (0.7, 0.2, 0.1),
            {"is_music": False},
            Headline("not music", (), (), "Probably not music", "As music it would be nearest to A, 70%"),
        ),
    ],
)
def test_the_headline_names_one_genre_or_a_few_or_says_that_it_is_not_music(probabilities, more, headline):
    ranked = dict(zip("ABCDE", probabilities, strict=False))
    prediction = Prediction(ranked, (Window(0, 3, ranked),), 3.0, "made-up", **more)
    assert prediction.headline == headline
    content = prediction.to_dict()["headline"]
    assert content == {"kind": headline.kind, "genres": list(headline.genres), "text": headline.text}


def recording(genres, *, confidence=0.7, hop=3.0, seconds=None):
    """A recording with windows of these genres, given by first letter; a space is a silent window."""
    windows = []
    for number, letter in enumerate(genres):
        if letter == " ":
            windows.append(Window(number * hop, number * hop + 3, {}))
            continue
        genre = next(label for label in LABELS if label.startswith(letter))
        probabilities = {genre: confidence} | {label: (1 - confidence) / 2 for label in LABELS if label != genre}
        windows.append(Window(number * hop, number * hop + 3, probabilities))
    if seconds is not None:  # the last window ends with the recording, as in a classifier
        windows[-1] = Window(max(0.0, seconds - 3), seconds, windows[-1].probabilities)
    means = {label: float(np.mean([w.probabilities[label] for w in windows if not w.silent])) for label in LABELS}
    ranked = dict(sorted(means.items(), key=lambda pair: -pair[1]))
    return Prediction(ranked, tuple(windows), windows[-1].end, "made-up")


@pytest.mark.parametrize(
    ("genres", "options", "expected"),
    [
        ("F" * 16 + "R" * 20, {}, [(0, 48, "Folk"), (48, 108, "Rock")]),
        ("F" * 12 + "P" * 12 + "F" * 12, {}, [(0, 36, "Folk"), (36, 72, "Pop"), (72, 108, "Folk")]),
        ("F" * 15 + "RRR" + "F" * 15, {"confidence": 0.999}, [(0, 99, "Folk")]),  # too short
        ("F" * 10 + "R" * 11, {"seconds": 61.0}, [(0, 30, "Folk"), (30, 61.0, "Rock")]),  # the last window overlaps
        (" " * 50 + "F" * 10, {}, [(0, 150, None), (150, 180, "Folk")]),
        ("F" * 10 + " " * 10 + "R" * 10, {}, [(0, 30, "Folk"), (30, 60, None), (60, 90, "Rock")]),
        ("F" * 10 + " " * 3 + "F" * 10, {}, [(0, 69, "Folk")]),  # a pause
        (
            "F" * 5 + " " * 5 + "F" + " " * 5 + "F" * 4,
            {},
            [(0, 15, "Folk"), (15, 30, None), (30, 33, "Folk"), (33, 48, None), (48, 60, "Folk")],
        ),
    ],
)
def test_changes_of_genre_and_long_silence_are_located(genres, options, expected):
    assert recording(genres, **options).sections == tuple(Section(*one) for one in expected)


def test_sections_have_a_minimum_length_differ_from_their_neighbours_and_cover_the_recording():
    random = np.random.default_rng(0)
    for _ in range(50):
        genres = "".join("FPR"[random.integers(3)] * random.integers(1, 12) for _ in range(8))
        prediction = recording(genres, confidence=random.uniform(0.4, 0.99))
        found = prediction.sections
        assert [s.start for s in found] == [0, *(s.end for s in found[:-1])]
        assert found[-1].end == prediction.seconds
        assert all(s.end - s.start >= min(MIN_SECONDS, prediction.seconds) for s in found)
        assert all(a.genre != b.genre for a, b in pairwise(found))


def test_overlap_of_the_windows_does_not_change_the_sections():
    apart = recording("F" * 16 + "R" * 16).sections
    overlapping = recording("F" * 32 + "R" * 32, hop=1.5).sections
    assert [s.genre for s in overlapping] == [s.genre for s in apart]
    assert overlapping[0].end == pytest.approx(apart[0].end, abs=1.5)


@pytest.mark.parametrize("seconds", [0.4, 3.0, 7.0])
def test_a_short_recording_is_one_section(seconds):
    windows = int(np.ceil(seconds / 3))
    prediction = recording("RFP"[:windows], seconds=seconds)
    if seconds < 3:
        prediction = Prediction(prediction.probabilities, [Window(0, seconds, prediction.probabilities)], seconds, "")
    assert prediction.sections == (Section(0, seconds, prediction.genre),)


def test_a_single_section_has_the_genre_of_the_recording():
    """The fusion for a recording has other weights than for its windows, so the genres may differ."""
    prediction = recording("F" * 10)
    other_genre = Prediction({"Rock": 0.6, "Folk": 0.3, "Pop": 0.1}, prediction.windows, prediction.seconds, "")
    assert other_genre.sections == (Section(0, 30, "Rock"),)
