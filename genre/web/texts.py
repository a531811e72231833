"""What visitors read, in one place. Texts with a name in them are functions; escaping is left to the views."""

TITLE = "What genre is this?"
EMPTY = "Drop a song, record a few seconds, or try an example."
EMPTY_MORE = "The genre appears here; below, the spectrogram and the verdict of every window."
BLANK_SPECTROGRAM = "The spectrogram"
BLANK_ROLL = "The genre of every window"
LISTENING = "Listening …"
NO_VERDICT = "No verdict"
BUSY = "The server is too busy for this just now. Come back in a minute and try again."
SOUNDS_LIKE = "This sounds like"
HARD_TO_SAY = "Hard to say: it may be"
NOT_MUSIC_LEAD = "Listen again"
NOT_MUSIC = "This does not sound like music"
NOT_MUSIC_MORE = "It is more like speech, noise or plain tones. As music it would be nearest to:"
STILL_LISTENING = ", still listening …"
HEARD_ALL = "."
LIMIT_REACHED = "; longer files are heard up to there."
OUT_OF_TIME = "; there was no time for the rest, since many are listening."
FOLDER_ON_SONG = "This is a folder. Drop it on the tab “Several songs”, or one of its files here."
NOT_SENT = "This file was not sent here."
NO_ROOM = "The server has no room for this file just now; please try again in a few minutes."
UNPLAYABLE = "This browser cannot play this file; the verdict stands all the same."
EXAMPLES = "Synthetic examples, made by a script"
CARD = "Model card: how it was trained, what it scores, what it cannot know"
MODEL = "Model"
MODEL_MORE = "One that is here, or user/repo from the Hugging Face Hub"
NO_SUCH_MODEL = "There is no model of that name here; a model on the Hugging Face Hub is named user/repo."
POSITION = "Position; arrow keys go from window to window, space plays, enter tells why"
LOOKING = "Looking for what spoke for it …"
WHY_HINT = "Click a window to hear it and to see why."
WHY_ALT = "Spectrogram of the window; what spoke for the genre is orange"
WHY_METHOD = "Orange: parts of the spectrogram that spoke for the genre (integrated gradients)."
PRIVACY = "Recordings are used for the verdict only and deleted within the hour."


def intro(labels: list[str]) -> str:
    return (
        f"A song is heard in 3-second windows and placed among {len(labels)} genres: {', '.join(labels[:-1])} "
        f"and {labels[-1]}."
    )


def too_large(megabytes: int) -> str:
    return f"This file is too large: up to {megabytes} MB are fetched."


def between(genres: list[str]) -> str:
    """Folk, Folk or Pop, or Folk, Pop or Rock."""
    return genres[0] if len(genres) == 1 else f"{', '.join(genres[:-1])} or {genres[-1]}"


def confidence(p: float, runner_up: str | None) -> str:
    return f"{p:.0%} sure" + (f", with {runner_up} close behind" if runner_up else "")


def doubt(first: str, p: float, rest: list[str]) -> str:
    return f"{p:.0%} for {first}" + (f"; {between(rest)} cannot be ruled out" if rest else "")


def course(sections: list[tuple[str, str, str]]) -> str:
    """0:00 to 0:48 Folk, then Rock; a section of silence is called that."""
    start, end, genre = sections[0]
    return f"{start} to {end} {genre}, " + ", ".join(f"then {one}" for _, _, one in sections[1:]) + "."


def why(genre: str, span: str) -> str:
    return f"Why {genre}, {span}"


def heard(clock: str, windows: int) -> str:
    return f"LiveResult {clock} in {windows} window{'s' if windows > 1 else ''}"


def origin(training: dict) -> str:
    sources = " and ".join(training["sources"])
    return f"Image networks, started from {training['start']} and trained on log-mel spectrograms of {sources}. "


def score(source: str, test: dict, labels: int) -> str:
    return (
        f"On {test['tracks']} tracks of {source} by artists it was not trained on, its first guess was right for "
        f"{test['track']['top1']:.0%} and one of its first three for {test['track']['top3']:.0%} "
        f"(chance: {1 / labels:.1%}). "
    )


KNOWS_NOTHING_ELSE = (
    "It knows no genre beyond its list, and genres overlap: read the percentages as a well-informed opinion."
)


# Several songs

SONG_TAB = "A song"
SEVERAL_TAB = "Several songs"
SONGS = "Songs"
FOLDER = "Choose a folder"
STOP = "Stop"
CLEAR = "Clear the list"
DOWNLOADS = ["CSV, a line a song", "CSV, a line a window", "JSON, everything"]
COLUMNS = ["Song", "Verdict", "Confidence", "Sections"]
WAITING = "Waiting"
NOT_MUSIC_SHORT = "Not music, it seems"
PICK = "Choose a song in the list to see it in full."
DELETED = "This recording has been deleted from here by now; drop it again to see and hear it."
LEFT_OUT = {  # for the script
    "none": "There is no file in this folder.",
    "one": "1 other file left out: ",
    "several": "{n} other files left out: ",
    "more": "{names} and {n} more",
}


def songs_more(most: int, minutes: int) -> str:
    return f"or drop one above: up to {most} songs at a time, {minutes} minutes of each."


def too_many(most: int) -> str:
    return f"At most {most} songs are heard at a time; send the others after these."


def progress(done: int, total: int) -> str:
    return f"{done} of {total}"


def hearing(name: str, clock: str) -> str:
    return f"Listening to {name}" + (f", {clock} so far" if clock else " …")


def waiting(songs: int) -> str:
    return f"{_songs(songs)} waiting for a turn …"


def finished(songs: int, failed: int) -> str:
    return f"{_songs(songs - failed)} heard" + (f", {failed} could not be" if failed else "") + "."


def left_out(unheard: int, kept: int) -> list[str]:
    """A sentence for every reason why a song is not in the list.

    Args:
        kept: how many were taken where there were too many, else 0.
    """
    return [
        *([f"Stopped: {_songs(unheard)} not heard."] if unheard else []),
        *([f"The list holds {kept} songs at most; those after them were left out."] if kept else []),
    ]


def _songs(number: int) -> str:
    return f"{number} song{'' if number == 1 else 's'}"


# Calls from a program

CALLS = "Call it from a program"
MCP_MORE = "For assistants that speak MCP; they may call the same two functions."


# Live

LIVE_TAB = "Live"
LIVE_EMPTY = "Play, sing or hum."
LIVE_EMPTY_MORE = "The genre of the last 12 seconds appears here and follows what you play."
LIVE_SOON = "The first verdict comes after 3 seconds."
LIVE_QUIET = "Too quiet to tell"
LIVE_QUIET_MORE = "Play louder or come closer: the level should pass the mark."
LIVE_HEARD = "Time heard"
LIVE_LEVEL = "Level of the microphone, in decibels of full scale"
LIVE_GARBLED = "The sound from this microphone cannot be read."
LIVE_NOT_UPLOADED = "This recording was not sent by your browser."
LIVE = {  # for the script; errors by the name the browser gives them
    "start": "Start listening",
    "stop": "Stop and keep the recording",
    "ready": "It stops by itself after 10 minutes. What it heard becomes a recording to play.",
    "asking": "Your browser may ask whether this page may use the microphone.",
    "loud": "Loud enough: the level is past the mark.",
    "quiet": "Too quiet: play louder or come closer.",
    "short": "That was too short to keep.",
    "handing": "Handing over the recording …",
    "handed": "The recording is on the tab “A song”.",
    "lost": "The recording could not be sent; the connection may be down.",
    "file": "Live recording.wav",
    "NotAllowedError": "The microphone is blocked. Allow it for this page in your browser, then start again.",
    "NotFoundError": "No microphone was found. Plug one in, then start again.",
    "NotReadableError": "The microphone is in use by another program.",
    "SecurityError": "Browsers give the microphone only to pages with an https address.",
    "failed": "The microphone did not start.",
}


def live_heard(clock: str) -> str:
    return f"From the last {clock}; all of it is judged when you stop."
