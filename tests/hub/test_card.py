import shutil

from genre.hub.card import add_note
from genre.models.model import SHIPPED, read_metrics


def test_a_note_is_in_metrics_and_card_and_replaces_that_of_the_same_command(tmp_path):
    folder = tmp_path / "fma-small"
    shutil.copytree(SHIPPED / "fma-small", folder)
    before = read_metrics(folder)
    for text in ("9 of 12.", "10 of 12."):
        add_note(folder, "python -m benchmarks.songs", text)
    after = read_metrics(folder)
    assert after["notes"] == before.get("notes", {}) | {"python -m benchmarks.songs": "10 of 12."}
    assert after | {"notes": None} == before | {"notes": None}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "10 of 12. (`python -m benchmarks.songs`)" in card and "9 of 12." not in card
