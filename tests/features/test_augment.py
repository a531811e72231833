import torch

from genre.features.augment import NO_CHANGE, SHORTEST_EXCERPT, Augmentation


def test_augmentation_changes_levels_but_not_shapes():
    torch.manual_seed(0)
    windows = -80 * torch.rand(16, 128, 13)
    changed = Augmentation()(windows)
    assert changed.shape == windows.shape
    assert changed.isfinite().all()
    assert not torch.allclose(changed, windows)
    torch.testing.assert_close(NO_CHANGE(windows), windows)
    assert NO_CHANGE.mix(windows)[0] is windows


def columns_of(length=40, windows=64):
    """Windows whose value is the number of their column."""
    return torch.arange(float(length)).expand(windows, 16, length)


def test_windows_are_rolled_in_time():
    torch.manual_seed(0)
    rolled = Augmentation(roll=0.5)._rearrange(columns_of())[:, 0]
    assert ((rolled.diff(dim=1) % 40) == 1).all()
    assert len(rolled[:, 0].unique()) > 20 and rolled[:, 0].eq(20).any()  # by up to half of the columns


def test_excerpts_are_repeated_as_short_recordings_are():
    torch.manual_seed(0)
    cut = Augmentation(excerpt=1.0)._rearrange(columns_of())[:, 0]
    lengths = cut.amax(dim=1) + 1
    assert (cut == torch.arange(40) % lengths[:, None]).all()
    assert lengths.amin() == SHORTEST_EXCERPT and lengths.amax() < 40


def test_mixup_blends_targets_as_it_blends_windows():
    torch.manual_seed(0)
    labels = torch.eye(4).repeat(8, 1)
    windows = labels[:, :, None].expand(-1, -1, 5)  # each window encodes its own label
    mixed, targets = Augmentation(mixup=0.5).mix(windows, labels)
    torch.testing.assert_close(mixed[:, :, 0], targets)
    torch.testing.assert_close(targets.sum(1), torch.ones(32))
    assert ((targets > 0) & (targets < 1)).any()
