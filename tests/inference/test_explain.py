from dataclasses import replace

import numpy as np
import pytest
import torch

from genre.audio.decode import stream
from genre.errors import AudioError
from genre.features.clips import Clip, cut_clips
from genre.features.image import HIGHEST_HZ, mel_position
from genre.features.log_mel import FRONT_ENDS
from genre.inference.explain import PATCHES, SIZE, explain, heat_map, patches_on, picture, verdicts, windows_seen
from genre.models.checkpoint import Fusion
from genre.models.member import Member, create_backbone
from tests.conftest import RATE, music, tone, write_audio

PART = 0.2  # of the patches are taken away in the deletion test


class HearsPeaks(Member):
    """Stands in for a trained member: the second of two labels is the likelier, the further its picture stands out."""

    def __init__(self, front_end):
        super().__init__(torch.nn.Identity(), front_end, -40, 20, (front_end.bands, front_end.columns))

    def forward(self, windows):
        pictures = self.image(windows)
        loud = (pictures - pictures.mean((1, 2, 3), keepdim=True)).relu().square().mean((1, 2, 3))
        return torch.stack([torch.zeros_like(loud), loud], dim=1)


def hears_peaks(checkpoint, front_ends):
    """A checkpoint of members that only hear how far their pictures stand out."""
    members = {name: HearsPeaks(FRONT_ENDS[name]) for name in front_ends}
    even = Fusion(torch.full((len(members),), 1 / len(members)), 1.0)
    return replace(checkpoint, labels=["quiet", "loud"], members=members, window=even, track=even)


@pytest.mark.parametrize("front_ends", [["sparse"], ["smooth"], ["dense"], ["sparse", "smooth"]])
@pytest.mark.parametrize(("hz", "at"), [(400, 0.4), (1300, 1.9), (5000, 1.1), (8000, 2.6)])
def test_the_patch_that_speaks_lies_where_the_sound_is(classifier, front_ends, hz, at):
    sound = 1e-3 * music(10)
    sound[round(at * RATE) : round((at + 0.3) * RATE)] += tone(0.3, hz)
    checkpoint = hears_peaks(classifier.checkpoint, front_ends)
    seen = windows_seen(checkpoint, Clip(torch.from_numpy(sound), 0.0, [0.0], 10.0), 0.0)
    row, column = np.unravel_index(heat_map(checkpoint, seen, 1).argmax().item(), PATCHES)
    assert row + 0.5 == pytest.approx(mel_position(hz, HIGHEST_HZ) * PATCHES[0], abs=1.5)
    assert column + 0.5 == pytest.approx((at + 0.15) / 3 * PATCHES[1], abs=1.5)


def test_a_member_that_sees_more_than_a_window_takes_no_part(classifier, example):
    backbone = create_backbone("tf_efficientnet_lite0", len(classifier.labels), "random").eval()
    whole = Member(backbone, FRONT_ENDS["whole"], -40, 20, (128, 128))
    given = classifier.checkpoint
    more = replace(given, members={"whole": whole} | given.members)
    clip = Clip(torch.from_numpy(music(30)), 0.0, [0.0], 30.0)
    with_whole, without = (verdicts(one, windows_seen(one, clip, 0.0)) for one in (more, given))
    torch.testing.assert_close(with_whole, without)


@pytest.mark.parametrize("seconds", [2.0, 7.5, 31.0, 65.0, 93.0])
def test_the_window_is_the_one_that_was_classified(classifier, tmp_path, seconds):
    rising = music(seconds) * np.linspace(0.2, 1, round(seconds * RATE), dtype=np.float32)
    path = write_audio(tmp_path / "music.flac", [rising], "flac")
    windows = classifier.classify(path).windows
    for window in {0: windows[0], 1: windows[len(windows) // 2], 2: windows[-1]}.values():
        explanation = explain(classifier, path, round(window.start, 3), window.genre)
        assert explanation.start == pytest.approx(window.start)
        assert explanation.end == pytest.approx(max(window.end, 3.0))
        assert explanation.probabilities == pytest.approx(window.probabilities, abs=1e-4)


def test_the_window_of_a_compressed_song_is_the_one_that_was_classified(classifier, songs):
    """Reading begins at 30 s; where the rate is changed, samples then lie a fraction of one beside the others."""
    for path in sorted(songs.glob("*/*.mp3"))[::-5]:
        window = classifier.classify(path, seconds=90).windows[25]
        explanation = explain(classifier, path, window.start, "Folk")
        assert explanation.start == 75.0
        assert explanation.probabilities == pytest.approx(window.probabilities, abs=0.01)


def middle_window(checkpoint, path):
    """What members see of one window of a song, and the label that it gets."""
    clip = next(cut_clips(stream(path, RATE, seconds=30), RATE, 3.0, 3.0))
    seen = windows_seen(checkpoint, clip, clip.window_starts[3])
    return seen, verdicts(checkpoint, seen)[0].argmax().item()


def without(checkpoint, seen, masks):
    """A window with the patches in masks, shape (masks, *PATCHES), at its mean level."""
    changed = {}
    for name, decibels in seen.items():
        part = torch.tensordot(masks, patches_on(checkpoint.members[name].log_mel.config), dims=2)
        changed[name] = torch.lerp(decibels, decibels.mean(), part)
    return changed


@torch.inference_mode()
def probability_without(checkpoint, seen, label, masks):
    return verdicts(checkpoint, without(checkpoint, seen, masks))[:, label].numpy()


def test_without_what_spoke_for_it_a_genre_goes_sooner_than_without_anything_else(classifier, fma_clips):
    """The deletion test (Petsiuk et al., 2018), with as many patches taken at random for comparison."""
    checkpoint, count, random = classifier.checkpoint, round(PART * np.prod(PATCHES)), np.random.default_rng(0)
    results = []
    for path in fma_clips.values():
        seen, label = middle_window(checkpoint, path)
        masks = torch.zeros(6, np.prod(PATCHES))  # nothing; what spoke for it; four times anything
        masks[1, heat_map(checkpoint, seen, label).flatten().topk(count).indices] = 1
        for mask in masks[2:]:
            mask[random.permutation(len(mask))[:count]] = 1
        left = probability_without(checkpoint, seen, label, masks.reshape(-1, *PATCHES))
        results.append((left[0], left[1], left[2:].mean()))
    before, spoke, other = np.mean(results, axis=0)
    assert before - spoke > 2 * (before - other)
    assert other - spoke > 0.15
    assert np.mean([spoke < other for _, spoke, other in results]) >= 0.9


def test_patches_earn_all_that_the_verdict_gained(classifier, example):
    """The completeness of integrated gradients, on the member that hears nothing above the highest patch."""
    smooth = {"smooth": classifier.checkpoint.members["smooth"]}
    checkpoint = replace(classifier.checkpoint, members=smooth, window=Fusion(torch.ones(1), 1.0))
    seen, label = middle_window(checkpoint, example)
    everything = torch.stack([torch.zeros(PATCHES), torch.ones(PATCHES)])
    probability = probability_without(checkpoint, seen, label, everything)
    there, gone = np.log(probability / (1 - probability))
    assert heat_map(checkpoint, seen, label).sum().item() == pytest.approx(there - gone, rel=0.15)


def test_the_picture_is_coloured_where_something_speaks_and_grey_elsewhere(classifier, example):
    explanation = explain(classifier, example, 3.0, "Electronic")
    heat = np.zeros(PATCHES)
    heat[2, 5], heat[8, 1] = 1, -1  # low and late for the genre, high and early against it
    image = np.asarray(picture(replace(explanation, heat=heat))).astype(int)
    assert image.shape == (SIZE[1], SIZE[0], 3)
    tall, wide = SIZE[1] / PATCHES[0], SIZE[0] / PATCHES[1]
    colour = np.ptp(image, axis=2)
    assert colour[int(SIZE[1] - 2.5 * tall), int(5.5 * wide)] > 60
    assert colour[: int(SIZE[1] - 4 * tall)].max() == 0
    assert colour[:, : int(4 * wide)].max() == 0


def test_an_unknown_genre_is_refused(classifier, example):
    with pytest.raises(ValueError, match="Polka"):
        explain(classifier, example, 0.0, "Polka")


def test_a_start_past_the_end_is_said(classifier, example):
    with pytest.raises(AudioError, match="ends before"):
        explain(classifier, example, 300.0, "Folk")
