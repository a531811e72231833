import numpy as np
import pytest
import torch

from genre.audio.audio import Audio, Clip
from genre.errors import AudioError
from genre.features.image import HIGHEST_HZ, mel_position
from genre.features.log_mel import FRONT_ENDS
from genre.inference.explain import (
    PATCHES,
    explain,
    fused_probabilities,
    member_inputs,
    patch_attributions,
    patch_weights,
)
from genre.models.backbones import create_backbone
from genre.models.member import Member
from genre.models.model import GenreModel
from tests.conftest import RATE, music, tone, write_audio

DELETED_FRACTION = 0.2  # of the patches in the deletion test


class PeakDetector(Member):
    """Stands in for a trained member: the probability of the second of two labels grows with the peaks of its input."""

    def __init__(self, front_end):
        super().__init__(torch.nn.Identity(), front_end, -40, 20, (front_end.bands, front_end.columns))

    def forward(self, windows):
        images = self.image(windows)
        loud = (images - images.mean((1, 2, 3), keepdim=True)).relu().square().mean((1, 2, 3))
        return torch.stack([torch.zeros_like(loud), loud], dim=1)


def peak_model(front_ends):
    """A model of peak detectors with the given front ends."""
    return GenreModel(["quiet", "loud"], {name: PeakDetector(FRONT_ENDS[name]) for name in front_ends})


@pytest.mark.parametrize("front_ends", [["sparse"], ["smooth"], ["dense"], ["sparse", "smooth"]])
@pytest.mark.parametrize(("hz", "at"), [(400, 0.4), (1300, 1.9), (5000, 1.1), (8000, 2.6)])
def test_the_largest_attribution_is_at_the_frequency_and_time_of_a_tone(front_ends, hz, at):
    sound = 1e-3 * music(10)
    sound[round(at * RATE) : round((at + 0.3) * RATE)] += tone(0.3, hz)
    model = peak_model(front_ends)
    inputs = member_inputs(model, Clip(sound, 0.0, [0.0], 10.0), 0.0)
    row, column = np.unravel_index(patch_attributions(model, inputs, 1).argmax().item(), PATCHES)
    assert row + 0.5 == pytest.approx(mel_position(hz, HIGHEST_HZ) * PATCHES[0], abs=1.5)
    assert column + 0.5 == pytest.approx((at + 0.15) / 3 * PATCHES[1], abs=1.5)


def test_a_member_whose_input_is_the_clip_does_not_contribute(classifier):
    backbone = create_backbone("tf_efficientnet_lite0", len(classifier.labels), "random").eval()
    whole = Member(backbone, FRONT_ENDS["whole"], -40, 20, (128, 128))
    given = classifier.model
    more = GenreModel(given.labels, {"whole": whole, **given.members}, given.window_fusion)
    clip = Clip(music(30), 0.0, [0.0], 30.0)
    with_whole, without = (fused_probabilities(one, member_inputs(one, clip, 0.0)) for one in (more, given))
    torch.testing.assert_close(with_whole, without)


@pytest.mark.parametrize(
    ("seconds", "overlap"), [(2.0, 0.5), (7.5, 0.75), (31.0, 0.0), (31.0, 0.5), (65.0, 0.75), (93.0, 0.0), (93.0, 0.5)]
)
def test_the_explained_window_is_a_classified_window(classifier, tmp_path, seconds, overlap):
    rising = music(seconds) * np.linspace(0.2, 1, round(seconds * RATE), dtype=np.float32)
    path = write_audio(tmp_path / "music.flac", [rising], "flac")
    windows = classifier.classify(path, overlap=overlap).windows
    for window in {0: windows[0], 1: windows[len(windows) // 2], 2: windows[-1]}.values():
        explanation = explain(classifier, Audio(path), round(window.start, 3), window.genre, overlap=overlap)
        assert explanation.start == pytest.approx(window.start)
        assert explanation.end == pytest.approx(max(window.end, 3.0))
        assert explanation.probabilities == pytest.approx(window.probabilities, abs=1e-4)


def test_the_explained_window_of_a_compressed_song_is_a_classified_window(classifier, songs):
    """Decoding begins at 30 s; after resampling, samples may then be shifted by a fraction of a sample."""
    for path in sorted(songs.glob("*/*.mp3"))[::-5]:
        window = classifier.classify(path, seconds=90).windows[25]
        explanation = explain(classifier, Audio(path), window.start, "Folk")
        assert explanation.start == 75.0
        assert explanation.probabilities == pytest.approx(window.probabilities, abs=0.01)


def middle_window(model, path):
    """Inputs of the members for one window of a song, and the label that is predicted for it."""
    clip = next(Audio(path).clips(RATE, 3.0, 3.0, seconds=30))
    inputs = member_inputs(model, clip, clip.window_starts[3])
    return inputs, fused_probabilities(model, inputs)[0].argmax().item()


def without(model, inputs, masks):
    """Inputs with the patches in masks, shape (masks, *PATCHES), replaced by the mean level."""
    changed = {}
    for name, decibels in inputs.items():
        weights = torch.tensordot(masks, patch_weights(model.members[name].log_mel.config), dims=2)
        changed[name] = torch.lerp(decibels, decibels.mean(), weights)
    return changed


@torch.inference_mode()
def probability_without(model, inputs, label, masks):
    return fused_probabilities(model, without(model, inputs, masks))[:, label].numpy()


def test_deleting_the_largest_attributions_lowers_a_probability_more_than_random_patches(classifier, fma_clips):
    """The deletion test (Petsiuk et al., 2018), compared with the same number of random patches."""
    model, random = classifier.model, np.random.default_rng(0)
    count = round(DELETED_FRACTION * np.prod(PATCHES))
    results = []
    for path in fma_clips.values():
        inputs, label = middle_window(model, path)
        masks = torch.zeros(6, np.prod(PATCHES))  # none; the largest attributions; four random sets
        masks[1, patch_attributions(model, inputs, label).flatten().topk(count).indices] = 1
        for mask in masks[2:]:
            mask[random.permutation(len(mask))[:count]] = 1
        remaining = probability_without(model, inputs, label, masks.reshape(-1, *PATCHES))
        results.append((remaining[0], remaining[1], remaining[2:].mean()))
    before, attributed, at_random = np.mean(results, axis=0)
    assert before - attributed > 2 * (before - at_random)
    assert at_random - attributed > 0.15
    assert np.mean([attributed < at_random for _, attributed, at_random in results]) >= 0.9


def test_attributions_sum_to_the_change_in_log_odds(classifier, example):
    """Completeness of integrated gradients, on the member whose input ends at the highest patch."""
    smooth = {"smooth": classifier.model.members["smooth"]}
    model = GenreModel(classifier.labels, smooth)
    inputs, label = middle_window(model, example)
    masks = torch.stack([torch.zeros(PATCHES), torch.ones(PATCHES)])
    probability = probability_without(model, inputs, label, masks)
    complete, baseline = np.log(probability / (1 - probability))
    assert patch_attributions(model, inputs, label).sum().item() == pytest.approx(complete - baseline, rel=0.15)


def test_an_unknown_genre_or_start_raises(classifier, example):
    with pytest.raises(ValueError, match="Polka"):
        explain(classifier, Audio(example), 0.0, "Polka")
    with pytest.raises(ValueError, match="start of a window must be a number"):
        explain(classifier, Audio(example), float("nan"), "Folk")


def test_a_start_past_the_end_raises(classifier, example):
    with pytest.raises(AudioError, match="ends before"):
        explain(classifier, Audio(example), 300.0, "Folk")
