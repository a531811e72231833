import os
import time

import pytest
import torch

from genre.audio.clips import cut_clips
from genre.inference.ensemble import run_members
from tests.conftest import music


def test_outputs_are_those_of_the_members_called_one_by_one(classifier):
    checkpoint = classifier.checkpoint
    (clip,) = cut_clips([music(20)], classifier.sample_rate, 3.0, 1.5)
    log_probabilities, features = run_members(checkpoint, clip)
    assert log_probabilities.keys() == checkpoint.members.keys()
    for name, member in checkpoint.members.items():
        whole = member.log_mel.config.window_seconds > 3
        with torch.inference_mode():
            windows = member.log_mel(clip.raised, torch.zeros(1) if whole else torch.tensor(clip.window_starts))
            expected = member(windows).log_softmax(-1)
            expected_features = member.embed(windows)
        torch.testing.assert_close(log_probabilities[name], expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(features[name], expected_features, atol=1e-4, rtol=1e-3)


def test_pytorch_is_left_with_its_number_of_threads(classifier, example):
    before = torch.get_num_threads()
    classifier.classify(example)
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # on forks of processes with threads
def test_a_process_that_is_forked_after_a_classification_classifies(classifier, example):
    expected = classifier.classify(example).probabilities
    child = os.fork()
    if not child:
        os._exit(classifier.classify(example).probabilities != pytest.approx(expected, abs=1e-5))
    deadline = time.monotonic() + 60
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.1)
    if not ended[0]:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended == (child, 0)
