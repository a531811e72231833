import json

import pytest
import torch

from genre.models.model import SHIPPED, Thresholds, read_metrics
from genre.training.calibrate import Samples, fit_fusion, fit_on_both, fit_thresholds, wilson_interval
from genre.training.evaluate import calibration_error, read_predictions, summary


def samples(log_probabilities, labels):
    """Samples of equal weight from log-probabilities of the members, shape (tracks, labels) each."""
    return Samples(torch.stack(log_probabilities), labels, torch.full((len(labels),), 1 / len(labels)))


def thresholds_of(probabilities, labels):
    return fit_thresholds(probabilities, labels, torch.full((len(labels),), 1 / len(labels)), [len(labels)])


def noisy_logits(strength, labels, seed):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.nn.functional.one_hot(labels, 4).float()
    return (strength * truth + torch.randn(truth.shape, generator=generator)).log_softmax(-1)


def test_a_member_that_fails_on_phone_recordings_has_a_lower_weight():
    labels = torch.arange(4000) % 4
    plain = [noisy_logits(1.5, labels, seed) for seed in (0, 1)]
    phone = [plain[0], noisy_logits(0.0, labels, 2)]
    before, after = (fit_on_both(samples(plain, labels), samples(other, labels)) for other in (plain, phone))
    assert before.weights[1].item() == pytest.approx(0.5, abs=0.05)
    assert after.weights[1] < 0.4


def test_a_source_is_weighted_by_its_share_whatever_its_size():
    """Each of two members is accurate on one of the sources; the small source has most of the weight."""
    labels = torch.arange(2200) % 4
    weights = torch.cat([torch.full((2000,), 0.2 / 2000), torch.full((200,), 0.8 / 200)])
    accurate, random = noisy_logits(1.5, labels, 0), noisy_logits(0.0, labels, 1)
    first = torch.cat([accurate[:2000], random[2000:]])
    second = torch.cat([random[:2000], accurate[2000:]])
    fusion = fit_fusion(Samples(torch.stack([first, second]), labels, weights))
    assert fusion.weights[1] > 2 * fusion.weights[0]


def test_the_bias_corrects_a_neglected_genre_and_only_that():
    labels = torch.arange(4000) % 4
    fair = noisy_logits(1.5, labels, 0)
    neglected = (fair - torch.tensor([1.0, 0, 0, 0])).log_softmax(-1)
    for given, size in ((neglected, 0.3), (fair, 0.0)):
        fusion = fit_on_both(samples([given], labels), samples([given], labels))
        assert fusion.bias[0] - fusion.bias[1:].mean() == pytest.approx(size, abs=0.15)
    corrected = fit_on_both(samples([neglected], labels), samples([neglected], labels))(neglected[None])
    recall = (corrected.argmax(-1) == labels)[labels == 0].float().mean()
    assert recall > (neglected.argmax(-1) == labels)[labels == 0].float().mean() + 0.05


def test_the_temperature_corrects_overconfidence():
    labels = torch.arange(4000) % 4
    overconfident = (4 * noisy_logits(1.5, labels, 0)).log_softmax(-1)
    fusion = fit_fusion(samples([overconfident], labels))
    before, after = overconfident.exp(), fusion(overconfident[None])
    correct = before.argmax(-1) == labels
    assert calibration_error(after.amax(-1), correct) < 0.03 < calibration_error(before.amax(-1), correct)
    assert torch.equal(before.argmax(-1), after.argmax(-1))


def test_calibration_error_of_known_cases():
    right, wrong = torch.ones(10, dtype=torch.bool), torch.zeros(10, dtype=torch.bool)
    assert calibration_error(torch.ones(10), right) == 0
    assert calibration_error(torch.ones(10), wrong) == 1
    half = torch.cat([right, wrong])
    assert calibration_error(torch.full((20,), 0.7), half) == pytest.approx(0.2, abs=1e-6)


def test_the_interval_is_wilsons():
    assert wilson_interval(50, 100) == pytest.approx([0.4038, 0.5962], abs=1e-4)
    assert wilson_interval(0, 20)[0] == 0
    assert wilson_interval(20, 20)[1] == 1


def test_the_thresholds_hold_on_exchangeable_tracks():
    """The prediction set covers 90 %, and two in three of the confident predictions are right."""
    labels = torch.arange(8000) % 4
    probabilities = noisy_logits(1.0, labels, 0).exp()
    thresholds = thresholds_of(probabilities[::2], labels[::2])
    others, truth = probabilities[1::2], labels[1::2]
    covered = (others >= thresholds.prediction_set).gather(1, truth[:, None]).float().mean().item()
    assert covered == pytest.approx(0.9, abs=0.02)
    confident = others.amax(-1) >= thresholds.named_alone
    assert 0.1 < confident.float().mean() < 0.9
    assert (others.argmax(-1) == truth)[confident].float().mean().item() == pytest.approx(2 / 3, abs=0.04)


def test_no_prediction_is_confident_at_chance():
    labels = torch.arange(400) % 4
    assert thresholds_of(torch.full((400, 4), 0.25), labels).named_alone == 1.0


@pytest.mark.parametrize(("tracks", "all_confident"), [(42, False), (4200, True)])
def test_an_accuracy_that_may_be_chance_is_not_enough(tracks, all_confident):
    """29 of 42 are more than two in three, but their lower confidence limit is not."""
    confidence = torch.linspace(0.9, 0.6, tracks)
    labels = (torch.arange(tracks) % 42 >= 29).long()
    thresholds = thresholds_of(torch.stack([confidence, 1 - confidence], 1), labels)
    assert (thresholds.named_alone <= confidence.min()) == all_confident


def test_the_confidence_limit_holds_for_every_source():
    labels = torch.arange(4000) % 4
    easy, hard = noisy_logits(2.0, labels, 0).exp(), noisy_logits(0.7, labels, 1).exp()
    weights = torch.full((8000,), 1 / 8000)
    both = fit_thresholds(torch.cat([easy, hard]), labels.repeat(2), weights, [4000, 4000])
    assert both.named_alone == thresholds_of(hard, labels).named_alone > thresholds_of(easy, labels).named_alone


@pytest.mark.parametrize("tracks", [4, 9, 10, 40])
def test_the_prediction_set_covers_the_true_genre_also_with_few_tracks(tracks):
    labels = torch.arange(tracks) % 4
    probabilities = noisy_logits(0.5, labels, 0).exp()
    of_truth = probabilities.gather(1, labels[:, None])
    covered = (of_truth >= thresholds_of(probabilities, labels).prediction_set).float().mean().item()
    assert covered >= 0.9
    fresh = torch.arange(4000) % 4  # recordings that the threshold was not fitted on
    seeds = [thresholds_of(noisy_logits(0.5, labels, seed).exp(), labels).prediction_set for seed in range(200)]
    of_truth = noisy_logits(0.5, fresh, 1000).exp().gather(1, fresh[:, None])
    assert sum((of_truth >= threshold).float().mean().item() for threshold in seeds) / 200 >= 0.89


def test_a_single_track_has_figures():
    probabilities = torch.tensor([[0.7, 0.3]])
    figures = summary(probabilities, probabilities, torch.tensor([0]), ["a", "b"], Thresholds(0.5, 0.2))
    assert figures["track"]["top1_of_surest_half"] == 1.0
    assert "NaN" not in json.dumps(figures)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_stored_predictions_give_the_figures_in_metrics(split):
    tracks, probabilities, labels = read_predictions(SHIPPED / "fma-small" / f"predictions-{split}.csv")
    confidence, predicted = probabilities.max(-1)
    correct = predicted == labels
    figures = read_metrics(SHIPPED / "fma-small")[split]["FMA-small"]["track"]
    assert len(set(tracks)) == 800
    assert correct.float().mean().item() == pytest.approx(figures["top1"], abs=1e-4)
    assert calibration_error(confidence, correct) == pytest.approx(figures["calibration_error"], abs=2e-3)
