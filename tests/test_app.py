import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import genre
from genre import views
from tests.conftest import music, write_audio


@pytest.fixture(scope="module")
def client(server):
    return Client(server, verbose=False)


def test_programs_get_the_verdict_by_name(client, classifier, example):
    answer = client.predict(handle_file(example), api_name="/classify")
    expected = classifier.classify(example).to_dict()
    assert answer["genre"] == expected["genre"]
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=2e-3)
    assert [w["start"] for w in answer["windows"]] == [w["start"] for w in expected["windows"]]


def test_the_api_is_documented(client):
    endpoint = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoint) == ["/classify", "/classify_batch"]
    assert endpoint["/classify"]["parameters"][0]["parameter_name"] == "song"
    assert endpoint["/classify_batch"]["parameters"][0]["parameter_name"] == "songs"


def test_programs_get_errors_as_sentences(client, tmp_path):
    (tmp_path / "list.mp3").write_text("not music")
    with pytest.raises(AppError, match="This is not an audio file that can be read, or it is damaged"):
        client.predict(handle_file(tmp_path / "list.mp3"), api_name="/classify")


def test_files_of_the_server_stay_there(server, tmp_path):
    """A request that names a file on the server, rather than sending one, is refused, even where it is music."""
    path = write_audio(tmp_path / "private.wav", [music(3)], "pcm_s16le")
    request = {"data": [{"path": str(path), "meta": {"_type": "gradio.FileData"}}]}
    event = httpx.post(f"{server}/gradio_api/call/classify", json=request).json()["event_id"]
    answer = httpx.get(f"{server}/gradio_api/call/classify/{event}", timeout=30).text
    assert "event: error" in answer
    assert "confidence" not in answer


def hostile_prediction():
    label = '<img src=x onerror="alert(1)">'
    probabilities = {label: 0.55, "B&B": 0.45}
    return label, genre.Prediction(probabilities, [genre.Window(0.0, 3.0, probabilities)], 3.0, "x")


def test_labels_are_escaped_wherever_they_are_shown():
    label, prediction = hostile_prediction()
    page = views.verdict(prediction, [label, "B&B"], "") + views.timeline(
        prediction, [label, "B&B"], "data:", 11025, '"><script>'
    )
    assert "<img src=x" not in page
    assert "<script>" not in page
    assert "B&amp;B" in page
    assert "<b>bold</b>" not in views.error("<b>bold</b>")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3665, "1:01:05")])
def test_times_read_like_a_clock(seconds, text):
    assert views.clock(seconds) == text


def test_a_close_runner_up_is_named():
    for q, said in ((0.35, True), (0.1, False)):
        probabilities = {"Folk": 0.4, "Pop": q}
        prediction = genre.Prediction(probabilities, [genre.Window(0.0, 3.0, probabilities)], 3.0, "x")
        assert ("with Pop close behind" in views.verdict(prediction, ["Folk", "Pop"], "")) == said
