from genre.data.splits import HeldOut, assign_splits


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
