import csv

import numpy as np
import pytest
import torch

from genre.data.dataset import HeldOut, assign_splits, read_data
from genre.data.windows import FORMATS, MIN_STEPS, Mixture, Windows
from genre.errors import DataError
from genre.training.loop import smooth_targets


def write_index(folder, rows):
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "has_mel", "note"])
        writer.writerows(rows)


def read(folder):
    """The only source of a folder, and its genres."""
    data = read_data({"one": folder})
    return data.sources[0], data.genres


@pytest.fixture
def folder(tmp_path):
    """Seven tracks with the number of the row in all cells."""
    rows = [
        [10, "Rock", "training", "True", ""],
        [11, "Folk", "training", "True", ""],
        [12, "Rock", "training", "True", ""],
        [13, "Folk", "validation", "True", ""],
        [14, "Rock", "test", "True", ""],
        [15, "Rock", "training", "True", ""],
        [16, "Rock", "validation", "True", ""],
    ]
    write_index(tmp_path, rows)
    np.save(tmp_path / "logmel_30s.npy", np.full((7, 128, 128), np.arange(7)[:, None, None], np.uint8))
    return tmp_path


def test_unusable_and_contradicting_rows_are_left_out(tmp_path):
    write_index(
        tmp_path,
        [
            [1, "Rock", "training", "True", ""],
            [2, "Rock", "training", "True", "near-silent clip"],
            [3, "Folk", "training", "True", "mel image is blank (silent)"],
            [4, "Folk", "training", "True", "clip is 1.6 s long"],
            [5, "Folk", "training", "True", "same audio as 6"],
            [6, "Rock", "training", "True", "same audio as 5"],
            [7, "Rock", "training", "True", "same audio as 1"],
            [8, "Folk", "test", "False", ""],
            [9, "Folk", "training", "True", ""],
            [10, "Folk", "validation", "True", ""],
            [11, "Rock", "validation", "True", ""],
        ],
    )
    source, genres = read(tmp_path)
    assert source.dropped == ["2", "3", "4", "5", "6", "8"]
    assert source.rows.tolist() == [0, 6, 8, 9, 10]
    assert [genres[i] for i in source.labels] == ["Rock", "Rock", "Folk", "Folk", "Rock"]


def test_the_official_split_is_used(fma_arrays):
    source, _ = read(fma_arrays)
    assert [len(source.of(split)) for split in ("training", "validation", "test")] == [6390, 800, 800]
    assert set(source.dropped) == {"57371", "72149", "72059", "98565", "98567", "98569", "107535"}
    assert (np.bincount(source.labels[source.of("test")]) == 100).all()


def test_windows_of_a_split_have_their_labels(folder):
    source, genres = read(folder)
    windows = Windows(source, "training", "sparse")
    assert len(windows) == 4
    assert [genres[i] for i in windows.labels] == ["Rock", "Folk", "Rock", "Rock"]
    every = windows.all(np.array([3, 0]))
    assert every.shape == (2, 10, 128, 13)
    assert every[0].unique().item() == pytest.approx(-80 + (5 + 0.5) * 0.625)
    assert every[1].unique().item() == pytest.approx(-80 + 0.5 * 0.625)
    assert windows.teachers == {}


def test_random_windows_reach_the_whole_track(folder):
    array = np.load(folder / "logmel_30s.npy")
    array[:] = np.arange(128)[None, None]
    np.save(folder / "logmel_30s.npy", array)
    windows = Windows(read(folder)[0], "training", "sparse")
    tracks, generator = np.zeros(2000, int), np.random.default_rng(0)
    drawn = windows.random(tracks, windows.random_starts(tracks, generator), generator)
    columns = ((drawn[:, 0] + 80) / 0.625 - 0.5).round().int()
    assert columns.min() == 0 and columns.max() == 127
    assert (columns.diff(dim=1) == 1).all()


def test_a_window_is_taught_what_the_teacher_says_of_its_place_in_the_track(folder):
    output = np.zeros((7, 10, 250), np.float16)
    output[:, :, 0] = np.arange(10)  # 0 for the first 3 s to 9 for the last ones
    np.save(folder / "musicnn.npy", output)
    np.save(folder / "musicnn.done.npy", np.array([1, 1, 1, 1, 1, 1, 0], np.uint8))
    for front_end, starts, expected in (("sparse", [0, 64, 115], [0, 5, 9]), ("whole", [0], [4.5])):
        windows = Windows(read(folder)[0], "training", front_end)
        taught = windows.taught("musicnn.npy", np.zeros(len(starts), int), np.array(starts))
        assert taught[:, 0] == pytest.approx(expected, abs=0.1)


def test_teachers_are_standardised_over_all_sources_and_missing_where_there_is_none(folder, second):
    np.save(folder / "vggish.npy", np.arange(7, dtype=np.float16)[:, None].repeat(128, 1))
    mixture = Mixture(read_data({"one": folder, "two": second}, counts_as={"Classical": "Folk"}), "sparse")
    _, taught = mixture.random(np.arange(len(mixture)), np.random.default_rng(0))
    assert taught.shape == (len(mixture), 128)
    assert taught[:4].mean().item() == pytest.approx(0, abs=1e-5)
    assert taught[:4, 0].std(correction=0).item() == pytest.approx(1, abs=1e-3)
    assert taught[4:].isnan().all()
    assert (mixture.groups == [1] * 4 + [0] * (len(mixture) - 4)).all()


def test_stored_features_are_restored():
    values = torch.linspace(-80, -0.001, 128 * 128).reshape(128, 128)
    form = FORMATS["sparse"]
    assert (form.restore(form.store(values)) - values).abs().max() <= 0.3126
    cepstra = torch.linspace(-800, 300, 20 * 130).reshape(20, 130)
    form = FORMATS["smooth"]
    assert (form.restore(form.store(cepstra))[:, :130] - cepstra).abs().max() <= 0.1251


def test_missing_data_raises(tmp_path, folder):
    with pytest.raises(DataError, match=r"no index\.csv"):
        read_data({"one": tmp_path / "nowhere"})
    with pytest.raises(DataError, match=r"no mfcc_30s\.npy"):
        Windows(read(folder)[0], "training", "smooth")


def test_a_genre_without_songs_of_a_split_raises(tmp_path):
    write_index(
        tmp_path, [[1, "Rock", "training", "", ""], [2, "Rock", "validation", "", ""], [3, "Folk", "training", "", ""]]
    )
    with pytest.raises(DataError, match="Folk: no readable song is left for validation"):
        read(tmp_path)
    rows = [[i, one, split, "", ""] for i, one in enumerate(["Pop", "Rock"]) for split in ("training", "validation")]
    write_index(tmp_path, [*rows, [9, "Folk", "", "", "clip is not readable"]])
    with pytest.raises(DataError, match="Folk: no readable song is left for training"):
        read(tmp_path)
    write_index(tmp_path, [[1, "Rock", "training", "", ""], [2, "Rock", "validation", "", ""]])
    with pytest.raises(DataError, match="at least two genres; here is Rock"):
        read(tmp_path)


@pytest.fixture
def second(tmp_path_factory):
    """Another source with nine artists of a genre that is renamed and no split of its own."""
    folder = tmp_path_factory.mktemp("second")
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "artist"])
        writer.writerows([i, "Classical" if i % 2 else "Rock", f"artist {i % 9}"] for i in range(18))
    np.save(folder / "logmel_30s.npy", np.full((18, 128, 128), 100, np.uint8))
    return folder


def test_sources_share_one_list_of_genres_and_every_batch(folder, second):
    data = read_data({"one": folder, "two": second}, shares=[0.75, 0.25], counts_as={"Classical": "Folk"})
    assert data.genres == ["Folk", "Rock"]
    assert data.sources[1].ids == [str(i) for i in range(18)]
    mixture = Mixture(data, "sparse")
    generator = np.random.default_rng(0)
    assert mixture.steps(8, 2) == MIN_STEPS
    batches = list(mixture.batches(50, 8, generator))
    first = len(data.sources[0].of("training"))
    assert all(len(batch) == 8 and (batch < first).sum() == 6 for batch in batches)
    drawn = np.concatenate(batches)
    assert set(drawn) == set(range(len(mixture)))
    assert np.ptp(np.bincount(drawn)[:first]) <= 1  # equally often
    windows, _ = mixture.random(batches[0], generator)
    assert windows.shape == (8, 128, 13)
    from_second = torch.from_numpy(batches[0] >= first)
    assert (windows[:, 0, 0] == -80 + 100.5 * 0.625).equal(from_second)


def test_genres_of_two_sources_that_are_spelled_alike_are_one(tmp_path, folder, capsys):
    """With one that is renamed in another spelling, too."""
    rows = [
        [i, genre, split, "", ""] for i, genre in enumerate(["rock", "FOLK"]) for split in ("training", "validation")
    ]
    (tmp_path / "two").mkdir()
    write_index(tmp_path / "two", rows)
    data = read_data({"one": folder, "two": tmp_path / "two"}, counts_as={"folk": "World"})
    assert data.genres == ["Rock", "World"]
    assert capsys.readouterr().out.startswith("  Rock and rock are one genre, Rock: they differ in case")


def test_small_sources_get_a_larger_share_than_by_their_size(folder, second):
    data = read_data({"one": folder, "two": second}, counts_as={"Classical": "Folk"})
    sizes = [len(source.of("training")) for source in data.sources]
    assert data.shares[1] / data.shares[0] == pytest.approx((sizes[1] / sizes[0]) ** 0.5)
    assert data.shared_by_power(0).shares == [0.5, 0.5]
    assert data.shared_by_power(1).shares == pytest.approx([size / sum(sizes) for size in sizes])


def test_held_out_fractions_are_settings(second):
    for fraction in (0.12, 0.4):
        data = read_data({"two": second}, held_out=[HeldOut(0.12, fraction)])
        assert len(data.sources[0].of("test")) == pytest.approx(18 * fraction, abs=2)


def test_a_song_counts_once_however_many_clips_it_has(second):
    with (second / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "song", "split"])
        long = [[f"{i}", "Rock", "long", "training"] for i in range(8)]
        short = [[f"{i}", "Folk", f"short {i}", "training"] for i in range(8, 16)]
        writer.writerows([*long, *short, [16, "Rock", "a", "validation"], [17, "Folk", "b", "validation"]])
    mixture = Mixture(read_data({"two": second}), "sparse")
    drawn = np.concatenate(list(mixture.batches(90, 8, np.random.default_rng(0))))
    assert (drawn < 8).sum() == 80  # of nine songs, the long one
    assert (np.bincount(drawn[drawn < 8]) > 0).all()
    windows = mixture.sources[0]
    probabilities = torch.full((16, 2), 0.5)
    probabilities[0] = torch.tensor([0.9, 0.1])
    assert windows.by_song(probabilities.log()).exp()[0].tolist() == pytest.approx([0.55, 0.45])
    assert windows.song_labels.tolist() == [1] + [0] * 8


def test_songs_without_a_genre_are_for_training_unless_their_artist_is_held_out(folder, second, tmp_path):
    with (tmp_path / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "artist"])
        writer.writerows([[f"{i}", "", f"artist {i}"] for i in range(12)])
    data = read_data({"one": folder, "two": second, "three": tmp_path}, counts_as={"Classical": "Folk"})
    _, two, three = data.sources
    held_out = {f"artist {int(two.ids[i]) % 9}" for split in ("validation", "test") for i in two.of(split)}
    assert [f"artist {i}" for i in three.ids] == [f"artist {i}" for i in range(12) if f"artist {i}" not in held_out]
    assert set(three.splits) == {"training"} and set(three.labels) == {-1}
    assert smooth_targets(torch.tensor([1, -1]), 2, 0.1).flatten().tolist() == pytest.approx([0.05, 0.95, 0, 0])


def test_the_digest_changes_with_tracks_genres_and_splits(folder):
    before = read_data({"one": folder})
    assert read_data({"one": folder}).digest == before.digest
    text = (folder / "index.csv").read_text()
    for old, new in (("12,Rock", "22,Rock"), ("12,Rock", "12,Folk"), ("16,Rock,validation", "16,Rock,test")):
        (folder / "index.csv").write_text(text.replace(old, new).replace("14,Rock,test", "14,Rock,validation"))
        assert read_data({"one": folder}).digest != before.digest


def test_renaming_a_genre_that_there_is_not_is_printed(folder, capsys):
    assert read_data({"one": folder}, counts_as={"Folk": "World", "Fork": "World"}).genres == ["Rock", "World"]
    assert capsys.readouterr().out == "No genre is named Fork, so Fork=World changes nothing\n"


def split(genres, artists, official=None, held_out=HeldOut(), split_of=None):  # noqa: B008 (frozen)
    return assign_splits(
        genres, artists, official or [""] * len(genres), held_out, {} if split_of is None else split_of
    )


def test_no_artist_is_in_two_splits():
    genres = [genre for genre in ("Folk", "Rock") for _ in range(48)]
    artists = ["both" if i % 24 == 0 else f"{genres[i]} {i % 12}" for i in range(96)]
    splits = split(genres, artists)
    for artist in set(artists):
        assert len({s for s, other in zip(splits, artists, strict=True) if other == artist}) == 1
    for genre in ("Folk", "Rock"):
        assert {s for s, other in zip(splits, genres, strict=True) if other == genre} == {
            "training",
            "validation",
            "test",
        }
    assert split(genres, artists) == splits  # deterministic


def test_fractions_are_of_tracks_not_of_artists():
    artists = ["prolific"] * 50 + [f"artist {i}" for i in range(50)]
    splits = split(["Folk"] * 100, artists, held_out=HeldOut(0.2, 0.3))
    assert 15 <= splits.count("validation") <= 25
    assert splits.count("test") in range(25, 36) or splits.count("test") == 50
    assert splits.count("training") >= 25


def test_three_artists_are_enough():
    assert sorted(split(["Folk"] * 3, ["a", "b", "c"])) == ["test", "training", "validation"]


def test_official_splits_hold_for_the_artist_in_other_sources():
    known = {}
    assert split(["Folk"] * 2, ["a", "b"], ["test", "training"], split_of=known) == ["test", "training"]
    splits = split(["Folk"] * 6, ["a", "a", "b", "c", "d", "e"], split_of=known)
    assert splits[:3] == ["test", "test", "training"]


def test_validation_is_drawn_from_the_official_training_where_there_is_only_a_test_part():
    artists = [f"artist {i}" for i in range(20)] + ["artist 0", "late"]
    official = ["training"] * 20 + ["test"] * 2
    splits = split(["Rock"] * 22, artists, official)
    assert splits[20:] == ["test", "test"] and splits[0] == "training"
    assert {*splits[:20]} == {"training", "validation"} and splits.count("validation") == 2
