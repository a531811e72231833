"""The texts of the tab that teaches other genres; `genre.web.teach.views` escapes them."""

from genre.web.texts import count_songs, duration

TAB = "Teach"
INTRO = (
    "Teach the model your own genres: ten songs each are a good start. The model’s networks stay as they are; what is "
    "new is learned from your songs in seconds, and is yours alone."
)
GENRE = "Genre of the songs that you drop next"
GENRE_MORE = "Leave it empty for a folder with a sub-folder for each genre"
GENRE_EXAMPLE = "for example Jazz"
SONGS = "Songs to learn from"
TRAIN = "Train"
STOP = "Stop"
CLEAR = "Start over"
DOWNLOAD = "Download the model"
COLUMNS = ["Song", "Genre", "State", "Remove"]
WAITING = "Waiting"
READING = "Reading …"
READ = "Ready"
FITTING = "Learning from the songs …"
STOPPED = "Stopped. What was read is kept; “Train” goes on."
NO_SONGS = "Add songs of at least two genres first."
NO_GENRE = "These songs have no genre yet: type it above, then drop them again."
NO_SUB_FOLDERS = (
    "This folder has no sub-folders with songs, one for each genre. To take it as one genre, type the genre above, "
    "then choose the folder again."
)
FORGOTTEN = "Others have used this page since, and it has room for few; please drop your songs again."
BASE_CHANGED = "The model was updated since your songs were read; start over and drop them again."
NO_DISK = "The server has no room for the model just now; press “Train” again in a few minutes."
CHOSEN = (
    "The new model is chosen on all tabs; others are below, under “Model”. It is there until you leave or reload this "
    "page: download it to keep it. Its file is here for an hour."
)
LISTEN = "Listen again to these"
LISTEN_MORE = "The other songs contradict their genres most. Is each where it belongs?"
NO_CONTRADICTION = "No song is contradicted by the others."
CONFUSION = "Songs by their genre, a row each, and by the genre that they got, a column each"
OWN_GENRE = "Genre"
RIGHT = "Right"


def more(songs: int, genres: int, seconds: int) -> str:
    return (
        f"or drop songs above: up to {songs} songs of {genres} genres, the first {duration(seconds)} of each. "
        "They are deleted within the hour."
    )


def outside(files: int) -> str:
    return f"{count_songs(files)} outside of the sub-folders left out."


def for_test(files: int) -> str:
    return f"{count_songs(files)} in folders for test left out: try the model on these."


def too_many_songs(most: int) -> str:
    return f"At most {most} songs can be taught at a time; those after them were left out."


def too_many_genres(most: int) -> str:
    return f"At most {most} genres can be taught; the songs of the others were left out."


def other_base(name: str) -> str:
    return (
        f"Your songs were read with {name}: choose that model again below, under “Model”, or start over and drop them "
        "again."
    )


def collected(songs: int, genres: int) -> str:
    return f"{count_songs(songs)} of {genres} genre{'' if genres == 1 else 's'}"


def reading(done: int, total: int) -> str:
    return f"{done} of {total} songs read"


def reading_now(name: str) -> str:
    return f"Reading {name} …"


def genre_of(name: str) -> str:
    return f"Genre of {name}"


def remove(name: str) -> str:
    return f"Remove {name}"


def score(right: int, total: int, low: float, high: float) -> tuple[str, str]:
    """Headline and explanation of the accuracy."""
    return (
        f"{right} of {total} songs right",
        f"{right / total:.0%}, with a 95 % interval from {low:.0%} to {high:.0%}.",
    )


def method(folds: int, largest: str, share: float) -> str:
    return (
        f"By cross-validation in {folds} parts: each song was classified by a model that knew neither it nor other "
        f"songs of its artist. Always answering {largest} would be right for {share:.0%}."
    )


def unread(name: str, reason: str) -> str:
    return f"{name} was left out. {reason}"


def got(predicted: str, p: float) -> str:
    return f"got {predicted}; {p:.0%} for its own"


def model_label(genres: list[str]) -> str:
    return f"My genres: {', '.join(genres)}"
