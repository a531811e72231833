"""What visitors read, in one place. Texts with a name in them are functions; escaping is left to the views."""

TITLE = "What genre is this?"
EMPTY = "Drop a song, record a few seconds, or try an example."
EMPTY_MORE = "The genre appears here, with the spectrogram and the verdict of every 3-second window."
LISTENING = "Listening …"
NO_VERDICT = "No verdict"
SOUNDS_LIKE = "This sounds like"
HARD_TO_SAY = "Hard to say: it may be"
NOT_MUSIC_LEAD = "Listen again"
NOT_MUSIC = "This does not sound like music"
NOT_MUSIC_MORE = "It is more like speech, noise or plain tones. As music it would be nearest to:"
STILL_LISTENING = ", still listening …"
LIMIT_REACHED = "; longer files are heard up to there."
UNPLAYABLE = "This browser cannot play this file; the verdict stands all the same."
EXAMPLES = "Synthetic examples, made by a script"
CARD = "Model card: how it was trained, what it scores, what it cannot know"
MODEL = "Model"
MODEL_MORE = "One that is here, or user/repo from the Hugging Face Hub"
NO_SUCH_MODEL = "There is no model of that name here; a model on the Hugging Face Hub is named user/repo."
POSITION = "Position; arrow keys go from window to window, space plays, enter tells why"
WHY_HINT = "Click a window to hear it and to see why."
WHY_ALT = "Spectrogram of the window; what spoke for the genre is orange"
WHY_METHOD = "Orange: parts of the spectrogram without which the genre would be less likely (occlusion map)."
PRIVACY = "Recordings are used for the verdict only and deleted within the hour."


def intro(labels: list[str]) -> str:
    return (
        f"Drop a song or record a few seconds. It is heard in 3-second windows and placed among {len(labels)} genres: "
        f"{', '.join(labels)}."
    )


def between(genres: list[str]) -> str:
    """Folk, Folk or Pop, or Folk, Pop or Rock."""
    return genres[0] if len(genres) == 1 else f"{', '.join(genres[:-1])} or {genres[-1]}"


def confidence(p: float, runner_up: str | None) -> str:
    return f"{p:.0%} sure" + (f", with {runner_up} close behind" if runner_up else "")


def doubt(first: str, p: float, rest: list[str]) -> str:
    return f"{p:.0%} for {first}" + (f"; {between(rest)} cannot be ruled out" if rest else "")


def course(sections: list[tuple[str, str, str]]) -> str:
    """0:00 to 0:48 Folk, then Rock."""
    start, end, genre = sections[0]
    return f"{start} to {end} {genre}, " + ", ".join(f"then {one}" for _, _, one in sections[1:]) + "."


def why(genre: str, span: str) -> str:
    return f"Why {genre}, {span}"


def heard(clock: str, windows: int) -> str:
    return f"Heard {clock} in {windows} window{'s' if windows > 1 else ''}"


def origin(training: dict) -> str:
    return (
        f"Image networks, started from {training['start']} and trained on log-mel spectrograms of {training['data']}. "
    )


def score(test: dict, labels: int) -> str:
    return (
        f"On {test['tracks']} tracks by artists it had never heard, its first guess was right for "
        f"{test['track']['top1']:.0%} and one of its first three for {test['track']['top3']:.0%} "
        f"(chance: {1 / labels:.1%}). "
    )


KNOWS_NOTHING_ELSE = (
    "It knows no genre beyond its list, and genres overlap: read the percentages as a well-informed opinion."
)
