from dataclasses import replace

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


def test_a_simulated_phone_is_a_band_pass_of_the_same_level():
    torch.manual_seed(0)
    windows = -40 - 20 * torch.rand(16, 128, 13)
    windows[:, :, 0] = -80  # a pause
    changed = Augmentation(phone=1.0)._simulate_phone(windows)
    torch.testing.assert_close(changed.amax(dim=(1, 2)), windows.amax(dim=(1, 2)))
    assert changed.amin() >= -80
    level = changed[:, :, 1:].mean(dim=(0, 2))
    assert level[-8:].mean() < level[40:80].mean() - 10
    assert level[:4].mean() < level[40:80].mean()
    assert (changed[:, 60, 0] > -80).any()  # noise in the pause


def test_a_codec_leaves_holes_where_high_bands_are_quiet():
    torch.manual_seed(0)
    windows = torch.full((16, 128, 13), -75.0)
    windows[:, :, ::2] = 0
    windows[:, 0, 0] = -80  # the floor
    changed = Augmentation(codec=1.0)._encode(windows)
    assert (changed[:, :64] == windows[:, :64]).all()
    assert (changed[:, -8:, 1::2] == -80).all()
    assert (changed[:, :-1, ::2] == windows[:, :-1, ::2]).all()  # loud cells


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


def test_a_low_pass_sets_high_bands_to_the_floor():
    torch.manual_seed(0)
    windows = torch.full((64, 16, 5), -20.0)
    windows[:, 0, 0] = -80
    only = replace(NO_CHANGE, low_pass=1.0)
    changed = only(windows)
    assert (changed[:, :8] == windows[:, :8]).all()
    assert (changed[:, -1] == -80).float().mean() > 0.7
    assert len((changed[:, :, 1] == -80).sum(dim=1).unique()) > 4  # from random bands on


def test_an_equaliser_changes_whole_bands():
    torch.manual_seed(0)
    windows = torch.full((4, 128, 13), -40.0)
    windows[:, :, 0] = -80
    changed = Augmentation(equaliser=6.0)._equalise(windows)[:, :, 1:]
    assert changed.std(dim=2).max() < 1e-4
    assert (changed[:, :, 0].std(dim=1) > 1).all()


def test_mixup_blends_targets_as_it_blends_windows():
    torch.manual_seed(0)
    labels = torch.eye(4).repeat(8, 1)
    windows = labels[:, :, None].expand(-1, -1, 5)  # each window encodes its own label
    mixed, targets = Augmentation(mixup=0.5).mix(windows, labels)
    torch.testing.assert_close(mixed[:, :, 0], targets)
    torch.testing.assert_close(targets.sum(1), torch.ones(32))
    assert ((targets > 0) & (targets < 1)).any()
