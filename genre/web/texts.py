"""All texts of the page, by tab. Those with values are templates or functions; whoever shows one escapes it."""

from genre.audio.folders import CLOUDS
from genre.inference.classify import BUFFER_SECONDS
from genre.inference.prediction import between
from genre.web.limits import (
    MAX_FILE_SIZE,
    MAX_RECORDING_SECONDS,
    MAX_SECONDS,
    MAX_SONGS,
    MAX_TAUGHT_GENRES,
    MAX_TAUGHT_SECONDS,
    MAX_TAUGHT_SONGS,
)

SIZE_UNITS = [("GB", 2**30), ("MB", 2**20), ("kB", 2**10), ("bytes", 1)]


def size(of_bytes: int) -> str:
    """A size in the largest unit of which it has at least one, such as "200 MB"."""
    name, unit = next((name, unit) for name, unit in SIZE_UNITS if of_bytes >= unit or unit == 1)
    return f"{of_bytes / unit:.4g} {name}"


def duration(seconds: float) -> str:
    """A duration such as "30 minutes" or "45 seconds"."""
    number, unit = (seconds / 60, "minute") if seconds >= 60 else (seconds, "second")
    return f"{number:.4g} {unit}{'' if number == 1 else 's'}"


def count_songs(number: int) -> str:
    return f"{number} song{'' if number == 1 else 's'}"


TITLE = "What genre is this?"
EMPTY = "Drop a song, record a few seconds, or try an example."
EMPTY_MORE = "The genre appears here; below, the spectrogram and the prediction for every window."
BLANK_SPECTROGRAM = "The spectrogram"
BLANK_ROLL = "The genre of every window"
SONG = "Song"
CLASSIFYING = "Classifying …"
NO_RESULT = "No result"
BUSY = "The server is too busy for this just now. Come back in a minute and try again."
LEADS = {  # above the words of a headline, by its kind
    "genre": "This sounds like",
    "shortlist": "Hard to say: it may be",
    "not music": "Please check it: it is more like speech, noise or plain tones",
}
STILL_CLASSIFYING = ", still classifying …"
COMPLETE = "."
OUT_OF_TIME = "There was no time for the rest of this recording, since the server is busy."
CONNECTION_LOST = "The connection to the server was lost, so this page was loaded anew. Please drop your songs again."
FOLDER_ON_SONG = "This is a folder. Drop it on the tab “Several songs”, or one of its files here."
NOT_SENT = "This file was not sent here."  # to an API call with another path
UPLOAD_FAILED = "This file could not be sent here; please try it again."
TOO_LARGE = f"This file is too large: up to {size(MAX_FILE_SIZE)} are taken."
REFUSED = "This file is too large for this server."
SEND_A_FILE = "This is not a file: send handle_file(path or address) with the Python client, or what /upload returned."
SEND_A_LIST = "These are not songs: send a list of files."
NO_ADDRESS = "Nothing can be fetched from this address: it must be public, and answer."
ADDRESS_STATUS = "This address cannot be fetched: its server answers with status {status}."
TOO_MANY = f"At most {MAX_SONGS} songs are classified at a time; send the others after these."
NO_ROOM = "The server has no room for this file just now; please try again in a few minutes."
UNPLAYABLE = "This recording cannot be played here; the result is complete all the same."
NOT_YET_PLAYABLE = "This recording can be played in a moment."
EXAMPLE_NAMES = ["Guitar and voices", "Arpeggios", "Boom bap", "Two radio stations"]
EXAMPLES = "Examples, composed and synthesised by a script"
SONG_DOWNLOADS = ["Download CSV", "Download JSON", "Download Audacity labels", "Download picture"]
OVERLAP = "Overlap of windows"
OVERLAP_OF = "How much of a window the next one overlaps"
OVERLAP_MORE = "Windows that overlap show changes in finer steps; there are two or four times as many to classify."
OVERLAPS = {"None": 0.0, "A half": 0.5, "Three quarters": 0.75}
CARD = "Model: choose another one; how this one was trained, what it scores, what it cannot know"
MODEL = "Model"
MODEL_MORE = "One that is here, or user/repo from the Hugging Face Hub"
MODEL_LISTED = "One that is here"
NO_SUCH_MODEL = "There is no model of that name here; a model on the Hugging Face Hub is named user/repo."
MODEL_NOT_LISTED = "There is no model of that name here; this page offers those in its list."
NO_MODEL = "This page cannot load the model “{name:.80}” that its address asks for, so it opens with {first}."
TAUGHT_MODEL_GONE = "The model that was taught is no longer here: train it again on the tab “Teach”."
POSITION = "Position; arrow keys go from window to window, space plays, enter explains the window"
EXPLAINING = "Computing which parts raised its score …"
WHY = "Why {genre}, {start} to {end}"
WHY_HINT = "Click a window to play it and to see why."
WHY_ALT = "Spectrogram of the window; the parts that raised the score of the genre are orange"
WHY_METHOD = "Orange: parts of the spectrogram that raised the score of the genre (integrated gradients)."
NEAREST = "Nearest of {number} genres."
PRIVACY = "Recordings are used for your own predictions and models only and deleted within the hour."
GENRES_OVERLAP = "Genres overlap: more than one may fit a song."
FMA_GENRES = {"Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock"}
NOT_FMA_GENRES = ["jazz", "reggae", "classical"]  # examples of music that is none of them


def intro(labels: list[str]) -> str:
    """Three sentences: the closed set of labels, what happens to other music, how to read the percentages."""
    others = _others(labels)
    other_music = f"Music such as {between(others)} is none of them and" if others else "Music of any other genre"
    return (
        f"The model classifies a song in 3-second windows and names the nearest of its {len(labels)} genres: "
        f"{', '.join(labels[:-1])} and {labels[-1]}. {other_music} gets the nearest one all the same. "
        "Read the percentages as the model's confidence."
    )


CANNOT_KNOW = "What the result cannot know"


def cannot_know(labels: list[str]) -> str:
    """Three sentences on the limits of a prediction, with examples of music that is none of the labels."""
    others = _others(labels)
    other_music = f"a {between(others)} recording" if others else "a recording of any other genre"
    return (
        f"It cannot know a genre outside its {len(labels)}: {other_music} is named after the nearest of them, and the "
        "confidence may be high all the same. It has nothing but the sound: not the artist, the words, the year or the "
        "scene, by which people often decide what a genre is called. And it repeats the one label that somebody gave "
        "each song it was trained on, where others would have chosen another one or two at once."
    )


def _others(labels: list[str]) -> list[str]:
    """Examples of music that is none of the labels; empty where these may be any genres."""
    return NOT_FMA_GENRES if FMA_GENRES.issuperset(labels) else []


def from_the_hub(name: str, offered: bool) -> str:
    return f"The model is {name} on the Hugging Face Hub" + ("." if offered else ", not from the makers of this page.")


def model_too_slow(name: str, seconds: int) -> str:
    return (
        f"The model {name} has not arrived from the Hugging Face Hub within {duration(seconds)}; please choose it "
        "again in a few minutes."
    )


def limit_reached(seconds: int) -> str:
    return f"At most {duration(seconds)} of a recording are classified."


def sections(spans: list[tuple[str, str, str]]) -> str:
    """0:00 to 0:48 Folk, then Rock.

    Args:
        spans: start, end and name of each section, at least two.
    """
    start, end, name = spans[0]
    return f"{start} to {end} {name}, " + ", ".join(f"then {one}" for _, _, one in spans[1:]) + "."


def coverage(clock: str, windows: int) -> str:
    return f"Classified {clock} in {windows} window{'s' if windows > 1 else ''}"


def origin(training: dict) -> str:
    if "probe" in training:
        songs = sum(training["probe"]["songs"].values())
        return f"Learned from {songs} songs, on top of the networks of {training['start']}. "
    first, *others = training["sources"]
    more = f" and {len(others)} other collection{'s' if len(others) > 1 else ''}" if others else ""
    return f"Image networks, started from {training['start']} and trained on log-mel spectrograms of {first}{more}. "


def score(source: str, test: dict, labels: int) -> str:
    return (
        f"On {test['tracks']} tracks of {source} by artists it was not trained on, its first guess was right for "
        f"{test['track']['top1']:.0%} and one of its first three for {test['track']['top3']:.0%} "
        f"(chance: {1 / labels:.1%}). "
    )


def cross_validation(figures: dict) -> str:
    low, high = figures["track"]["top1_interval_95"]
    return (
        f"By cross-validation its first guess was right for {figures['track']['top1']:.0%} of them (95 % interval "
        f"{low:.0%} to {high:.0%}). "
    )


# Batch

SONG_TAB = "A song"
BATCH_TAB = "Several songs"
SONGS = "Songs"
SONGS_MORE = f"or drop one above: up to {MAX_SONGS} songs at a time, {duration(MAX_SECONDS)} of each."
FOLDER = "Choose a folder"
STOP = "Stop"
CLEAR = "Clear the list"
BATCH_DOWNLOADS = ["CSV, a row a song", "CSV, a row a window", "JSON, everything", "Labels and pictures"]
COLUMNS = ["Song", "Result", "Confidence", "Sections"]
WAITING = "Waiting"
PROGRESS = "{done} of {total}"
PICK = "Choose a song in the list to see it in full."
DELETED = "This recording has been deleted from here by now; drop it again."
SONGS_GONE = "The server no longer has your songs; please drop them again."
UPLOADS_GONE = "The recordings have been deleted from here by now, so the results are still those of the model before."
UPLOADING = {  # for folder.js
    "none": "There is no file in this folder.",
    "progress": "Uploading: {n} of {all} songs are there.",
    "more": "{names} and {n} more",
}
LEFT_OUT = {  # words for one file and for many, by the reason; for folder.js
    "other": ["1 other file left out: ", "{n} other files left out: "],
    "hidden": ["1 hidden file left out: ", "{n} hidden files left out: "],
    "system": ["1 file in folders of the system left out: ", "{n} files in folders of the system left out: "],
    **{
        suffix: [f"1 song is not downloaded from {cloud}: ", f"{{n}} songs are not downloaded from {cloud}: "]
        for suffix, cloud in CLOUDS.items()
    },
    "large": [
        f"1 file of more than {size(MAX_FILE_SIZE)} left out: ",
        f"{{n}} files of more than {size(MAX_FILE_SIZE)} left out: ",
    ],
    "refused": ["1 file is too large for this server: ", "{n} files are too large for this server: "],
}


def classifying(name: str, clock: str) -> str:
    return f"Classifying {name}" + (f", {clock} so far" if clock else " …")


def waiting(songs: int) -> str:
    return f"{count_songs(songs)} waiting for a turn …"


def finished(songs: int, failed: int) -> str:
    return f"{count_songs(songs - failed)} classified" + (f", {failed} could not be" if failed else "") + "."


def left_out(unclassified: int, limit: int) -> list[str]:
    """A sentence for every reason why a song is not in the list.

    Args:
        unclassified: number of songs that a stop removed.
        limit: length of the list if files exceeded it, else 0.
    """
    return [
        *([f"Stopped: {count_songs(unclassified)} not classified."] if unclassified else []),
        *([f"The list holds {limit} songs at most; those after them were left out."] if limit else []),
    ]


# Live

LIVE_TAB = "Live"
LIVE_EMPTY = "Play, sing or hum."
LIVE_EMPTY_MORE = f"The genre of the last {BUFFER_SECONDS:g} seconds appears here and follows what you play."
LIVE_COVERAGE = "From the last {clock}; all of it is classified when you stop."
LIVE_RECORDING = "Recording …"
LIVE_SOON = "The first result comes after some seconds."
LIVE_QUIET = "Too quiet to tell"
LIVE_QUIET_MORE = "Play louder or come closer: the level should pass the mark."
LIVE_CLOCK = "Time recorded"
LIVE_LEVEL = "Level of the microphone, in decibels of full scale"
LIVE_GARBLED = "The sound from this microphone cannot be read."
LIVE_NOT_UPLOADED = "This recording was not sent by your browser."
LIVE = {  # for live.js; errors by their DOMException name
    "start": "Start recording",
    "stop": "Stop and keep the recording",
    "ready": f"It stops by itself after {duration(MAX_RECORDING_SECONDS)}. The recording can be played afterwards.",
    "asking": "Your browser may ask whether this page may use the microphone.",
    "loud": "Loud enough: the level is past the mark.",
    "quiet": "Too quiet: play louder or come closer.",
    "short": "That was too short to keep.",
    "silent": "The server does not answer; the recording goes on, and is sent when you stop.",
    "sending": "Sending the recording …",
    "sent": "The recording is on the tab “A song”.",
    "lost": "The recording could not be sent. It is still in your browser: save it, or try again.",
    "again": "Send it again",
    "save": "Save the recording",
    "file": "Live recording.wav",
    "NotAllowedError": "The microphone is blocked. Allow it for this page in your browser, then start again.",
    "NotFoundError": "No microphone was found. Plug one in, then start again.",
    "NotReadableError": "The microphone is in use by another program.",
    "SecurityError": "Browsers give the microphone only to pages with an https address.",
    "failed": "The microphone did not start.",
}


# Teach

TEACH_TAB = "Teach"
TEACH_INTRO = (
    "Teach the model your own genres: ten songs each are a good start. The model’s networks stay as they are; what is "
    "new is learned from your songs in seconds, and is yours alone."
)
TEACH_GENRE = "Genre of the songs that you drop next"
TEACH_GENRE_MORE = "Leave it empty for a folder with a sub-folder for each genre"
TEACH_GENRE_EXAMPLE = "for example Jazz"
TEACH_MORE = (
    f"or drop songs above: up to {MAX_TAUGHT_SONGS} songs of {MAX_TAUGHT_GENRES} genres, the first "
    f"{duration(MAX_TAUGHT_SECONDS)} of each. They are deleted within the hour."
)
TEACH_SONGS = "Songs to learn from"
TRAIN = "Train"
TEACH_CLEAR = "Start over"
TEACH_DOWNLOAD = "Download the model"
TEACH_COLUMNS = ["Song", "Genre", "State", "Remove"]
GENRE_OF = "Genre of {name}"
REMOVE = "Remove {name}"
SONGS_READ = "{done} of {total} songs read"
READING = "Reading …"
READING_NOW = "Reading {name} …"
READ = "Ready"
FITTING = "Learning from the songs …"
TEACH_STOPPED = "Stopped. What was read is kept; “Train” goes on."
NO_SONGS = "Add songs of at least two genres first."
NO_GENRE = "These songs have no genre yet: type it above, then drop them again."
NO_SUB_FOLDERS = (
    "This folder has no sub-folders with songs, one for each genre. To take it as one genre, type the genre above, "
    "then choose the folder again."
)
TOO_MANY_TAUGHT = "At most {most} songs can be taught at a time; those after them were left out."
TOO_MANY_GENRES = "At most {most} genres can be taught; the songs of the others were left out."
OTHER_BASE = (
    "Your songs were read with {name}: choose that model again below, under “Model”, or start over and drop them again."
)
FORGOTTEN = "Others have used this page since, and it has room for few; please drop your songs again."
BASE_CHANGED = "The model was updated since your songs were read; start over and drop them again."
NO_DISK = "The server has no room for the model just now; press “Train” again in a few minutes."
TEACH_CHOSEN = (
    "The new model is chosen on all tabs; others are below, under “Model”. It is there until you leave or reload this "
    "page: download it to keep it. Its file is here for an hour."
)
TAUGHT_METHOD = (
    "By cross-validation in {folds} parts: each song was classified by a model that knew neither it nor other songs of "
    "its artist. Always answering {largest} would be right for {share:.0%}."
)
UNREAD = "{name} was left out. {reason}"
MY_MODEL = "My genres: {genres}"
LISTEN = "Listen again to these"
LISTEN_MORE = "The other songs contradict their genres most. Is each where it belongs?"
GOT = "got {predicted}; {p:.0%} for its own"
NO_CONTRADICTION = "No song is contradicted by the others."
CONFUSION = "Songs by their genre, a row each, and by the genre that they got, a column each"
OWN_GENRE = "Genre"
RIGHT = "Right"


def outside_of_folders(files: int) -> str:
    return f"{count_songs(files)} outside of the sub-folders left out."


def left_for_test(files: int) -> str:
    return f"{count_songs(files)} in folders for test left out: try the model on these."


def collected(songs: int, genres: int) -> str:
    return f"{count_songs(songs)} of {genres} genre{'' if genres == 1 else 's'}"


def taught_score(right: int, total: int, low: float, high: float) -> tuple[str, str]:
    """Headline and explanation of the accuracy."""
    return (
        f"{right} of {total} songs right",
        f"{right / total:.0%}, with a 95 % interval from {low:.0%} to {high:.0%}.",
    )
