import ast
import base64

import pytest
from gradio_client import Client, handle_file

from genre.web import texts
from tests.conftest import run_async
from tests.visitor import Visitor, mcp_session


@pytest.fixture(scope="module")
def client(server):
    return Client(server, verbose=False)


def test_classify_returns_the_prediction_of_the_classifier(client, classifier, example):
    answer = client.predict(handle_file(example), api_name="/classify")
    expected = classifier.classify(example).to_dict()
    assert answer["genre"] == expected["genre"]
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=2e-3)
    assert [w["start"] for w in answer["windows"]] == [w["start"] for w in expected["windows"]]


def test_the_api_lists_two_named_endpoints(client):
    endpoint = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoint) == ["/classify", "/classify_batch"]
    assert endpoint["/classify"]["parameters"][0]["parameter_name"] == "song"
    assert endpoint["/classify_batch"]["parameters"][0]["parameter_name"] == "songs"


def test_classify_batch_returns_a_row_for_every_song(client, example, tmp_path):
    (tmp_path / "list.mp3").write_text("not music")
    job = client.submit([handle_file(example), handle_file(tmp_path / "list.mp3")], api_name="/classify_batch")
    good, bad = job.result()
    assert good == {"file": example.name} | client.predict(handle_file(example), api_name="/classify")
    assert bad["file"] == "list.mp3" and bad["error"].startswith("This is not an audio file")
    assert len(job.outputs()[0]) == 1  # sent before the second song was decoded


@pytest.mark.parametrize("name", ["A#B%%20 100%% ü (1).mp3", "no suffix", "x.unknown"])
def test_file_names_are_returned_unchanged(client, example, tmp_path, name):
    song = tmp_path / name
    song.write_bytes(example.read_bytes())
    (row,) = client.predict([handle_file(song)], api_name="/classify_batch")
    assert row["file"] == name and row["genre"] == "Electronic"


def test_mcp_lists_two_tools_that_work(server, client, example):
    """The description of a tool is all that an MCP client has."""

    async def talk():
        async with mcp_session(server) as session:
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            songs = [data_address(song) for song in (example.read_bytes(), b"milk, bread")]
            alone = [await session.call_tool("classify", {"song": song}) for song in songs]
            refused = [f"http://127.0.0.1:{server.rpartition(':')[2]}/", "http://", "data:,", str(example)]
            return tools, *alone, await session.call_tool("classify_batch", {"songs": songs + refused})

    tools, good, bad, batch = run_async(talk())
    assert set(tools) == {"classify", "classify_batch"}
    assert tools["classify"].description.startswith("Classify a song by genre.")
    assert all(key in tools["classify"].description for key in ("confident", "prediction_set"))
    assert not good.isError, good.content[0].text
    assert ast.literal_eval(good.content[0].text) == client.predict(handle_file(example), api_name="/classify")
    assert bad.isError and "This is not an audio file that can be read" in bad.content[0].text
    first, *others = ast.literal_eval(batch.content[0].text)
    assert first["probabilities"] == ast.literal_eval(good.content[0].text)["probabilities"]
    reasons = "This is not an audio file", texts.NO_ADDRESS, texts.NO_ADDRESS, "This file is empty", texts.SEND_A_FILE
    assert all(row["error"].startswith(reason) for row, reason in zip(others, reasons, strict=True)), others


def data_address(content):
    return f"data:audio/mpeg;base64,{base64.b64encode(content).decode()}"


def test_wrong_arguments_are_one_sentence(server, example):
    """Such as a path without handle_file, the usual mistake."""
    visitor = Visitor(server)
    for endpoint, argument, message in (
        ("classify", str(example), texts.SEND_A_FILE),
        ("classify", ["a.mp3"], texts.SEND_A_FILE),
        ("classify", {"path": 5}, texts.SEND_A_FILE),
        ("classify", None, texts.SEND_A_FILE),
        ("classify", "http://", texts.NO_ADDRESS),
        ("classify_batch", "a.mp3", texts.SEND_A_LIST),
        ("classify_batch", [None], texts.SEND_A_FILE),
        ("classify_batch", [], "[[]]"),
    ):
        event = visitor.http.post(f"/call/{endpoint}", json={"data": [argument]}).json()["event_id"]
        answer = visitor.http.get(f"/call/{endpoint}/{event}").text
        assert message in answer, (endpoint, argument, answer)
