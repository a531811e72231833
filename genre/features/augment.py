"""Augmentation of log-mel windows in batches, on whatever device the batch is.

Besides mixup and SpecAugment (Park et al., 2019), it varies what differs between masters of a song and not between
genres: level, dynamic range, spectral tilt and bandwidth. It also simulates recordings made by a phone across a room.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchaudio.functional import mask_along_axis_iid

SHORTEST_EXCERPT = 13  # columns: 3 s of the *sparse* front end
EQUALISER_KNOTS = 7  # over the mel axis, interpolated linearly
# Simulated phone recordings: a band-pass with random edges and slopes, and noise.
PASS_BAND = (0.15, 0.6)  # fractions of the mel axis: upper limit of the low cutoff, lower limit of the high cutoff
STOP_BAND_SLOPE = (1.5, 20.0)  # dB a band beyond a cutoff, at 128 bands
NOISE_BELOW = (20.0, 60.0)  # dB of the noise below the loudest cell, at the lowest band
NOISE_TILT = 18.0  # dB by which the noise falls from the lowest to the highest band
HOLES_FROM = (0.5, 0.8)  # limits of the fraction of the mel axis from which on a codec leaves holes
NEPERS = math.log(10) / 10  # natural logarithm of a power ratio of 1 dB, for logaddexp of levels in dB


@dataclass(frozen=True)
class Augmentation:
    """Strengths and probabilities of the augmentations; zero switches one off.

    Attributes:
        mixup: alpha of the Beta distribution that the mixing weight is drawn from.
        band_mask: bands masked at most, of 128 (scaled to the bands there are); two masks.
        column_mask: fraction of the columns masked at most; two masks.
        gain: level change, in dB, at most either way.
        tilt: level change between the lowest and the highest band, in dB, at most either way.
        dynamic_range: factor on the distance in dB from the loudest cell, from 1 - this to 1 + this.
        low_pass: fraction of the windows whose bands above a random one in the upper half are set to the floor.
        equaliser: standard deviation of a random curve over the bands, in dB.
        codec: fraction of the windows that get the spectral holes of a codec at a low bit rate: cells below a level
            that rises with frequency are set to the floor.
        phone: fraction of the windows that get the band-pass and noise of a phone recording.
        roll: fraction of the columns that each window is rotated by in time, at most either way.
        excerpt: fraction of the windows that are replaced by a shorter excerpt, repeated as short recordings are.
    """

    mixup: float = 0.3
    band_mask: int = 16
    column_mask: float = 0.15
    gain: float = 6.0
    tilt: float = 10.0
    dynamic_range: float = 0.25
    low_pass: float = 0.3
    equaliser: float = 3.0
    codec: float = 0.0
    phone: float = 0.3
    roll: float = 0.0
    excerpt: float = 0.0

    def __call__(self, windows: Tensor) -> Tensor:
        """All augmentations but mixup: windows in dB, shape (batch, bands, columns), to the same shape."""
        changes = self._equalise, self._simulate_phone, self._remaster, self._encode, self._rearrange, self._mask
        for change in changes:
            windows = change(windows)
        return windows

    def _rearrange(self, windows: Tensor) -> Tensor:
        """Roll in time, and repeat excerpts, by an index of source columns."""
        if not self.roll and not self.excerpt:
            return windows
        batch, bands, columns = windows.shape
        device, each = windows.device, (batch, 1)
        length = torch.randint(SHORTEST_EXCERPT, columns, each, device=device)
        length = torch.where(torch.rand(each, device=device) < self.excerpt, length, columns)
        reach = int(self.roll * columns)
        shift = torch.randint(-reach, reach + 1, each, device=device)
        source = (torch.arange(columns, device=device) % length + shift) % columns
        return windows.gather(2, source[:, None].expand(-1, bands, -1))

    def _equalise(self, windows: Tensor) -> Tensor:
        if not self.equaliser:
            return windows
        knots = torch.randn(len(windows), 1, EQUALISER_KNOTS, device=windows.device) * self.equaliser
        curve = interpolate(knots, windows.shape[1], mode="linear", align_corners=True)
        floor = windows.amin(dim=(1, 2), keepdim=True)
        return torch.maximum(windows + curve.mT, floor)

    def _simulate_phone(self, windows: Tensor) -> Tensor:
        """Band-pass and noise. The level of the loudest cell is preserved, as by the gain of `raise_level`."""
        if not self.phone:
            return windows
        batch, bands, _ = windows.shape
        loudest = windows.amax(dim=(1, 2), keepdim=True)
        low, high, slope, noise = windows.new_empty(4, batch, 1, 1).uniform_(0, 1)
        low = low * PASS_BAND[0]
        high = PASS_BAND[1] + high * (1 - PASS_BAND[1])
        slope = STOP_BAND_SLOPE[0] * (STOP_BAND_SLOPE[1] / STOP_BAND_SLOPE[0]) ** slope
        band = torch.linspace(0, 1, bands, device=windows.device)[:, None]
        attenuation = slope * (torch.maximum(low - band, band - high).clamp(min=0) * 128)
        recorded = windows - attenuation
        level = torch.randn_like(windows) * 3 + recorded.amax(dim=(1, 2), keepdim=True)
        level = level - (NOISE_BELOW[0] + noise * (NOISE_BELOW[1] - NOISE_BELOW[0])) - NOISE_TILT * band - attenuation
        recorded = torch.logaddexp(recorded * NEPERS, level * NEPERS) / NEPERS  # power of signal and noise
        recorded = recorded - recorded.amax(dim=(1, 2), keepdim=True) + loudest
        recorded = torch.maximum(recorded, windows.amin(dim=(1, 2), keepdim=True))
        return torch.where(torch.rand(batch, 1, 1, device=windows.device) < self.phone, recorded, windows)

    def _remaster(self, windows: Tensor) -> Tensor:
        batch, bands, _ = windows.shape
        spread = (windows.new_empty(3, batch, 1, 1).uniform_(-1, 1)).unbind()
        loudest = windows.amax(dim=(1, 2), keepdim=True)
        floor = windows.amin(dim=(1, 2), keepdim=True)
        windows = loudest + (windows - loudest) * (1 + self.dynamic_range * spread[0])
        slope = torch.linspace(-0.5, 0.5, bands, device=windows.device)[:, None]
        windows = windows + self.gain * spread[1] + self.tilt * spread[2] * slope
        band = torch.arange(bands, device=windows.device)[:, None]
        cutoff = windows.new_empty(batch, 1, 1).uniform_(0.5, 1) * bands
        cut = (torch.rand_like(cutoff) < self.low_pass) & (band >= cutoff)
        return torch.where(cut, floor, torch.maximum(windows, floor))

    def _encode(self, windows: Tensor) -> Tensor:
        """Spectral holes, as an encoder leaves where its bit rate is too low for quiet cells of high bands.

        The level below which cells are cut rises linearly, from the floor at a random band to half of the window's
        range or more at the highest.
        """
        if not self.codec:
            return windows
        batch, bands, _ = windows.shape
        loudest = windows.amax(dim=(1, 2), keepdim=True)
        floor = windows.amin(dim=(1, 2), keepdim=True)
        start, top, chosen = windows.new_empty(3, batch, 1, 1).uniform_(0, 1)
        start = HOLES_FROM[0] + start * (HOLES_FROM[1] - HOLES_FROM[0])
        band = torch.linspace(0, 1, bands, device=windows.device)[:, None]
        threshold = floor + (loudest - floor) * (0.5 + top / 2) * ((band - start) / (1 - start)).clamp(min=0)
        return torch.where((windows < threshold) & (chosen < self.codec), floor, windows)

    def _mask(self, windows: Tensor) -> Tensor:
        bands, columns = windows.shape[1:]
        images, fill = windows[:, None], windows.mean()  # no .item(), for which the CPU would wait for the GPU
        for _ in range(2):
            images = mask_along_axis_iid(images, int(self.band_mask * bands / 128), fill, axis=2)
            images = mask_along_axis_iid(images, int(self.column_mask * columns), fill, axis=3)
        return images[:, 0]

    def mix(self, windows: Tensor, *targets: Tensor, others: Tensor | None = None) -> tuple[Tensor, ...]:
        """Mixup (Zhang et al., 2018): blend every window, and its targets, with another one of the batch.

        Args:
            windows: in dB, shape (batch, bands, columns).
            targets: shape (batch, size) each.
            others: position of the other window, shape (batch,); random by default.

        Returns:
            the blended windows and targets, shapes as given.
        """
        if not self.mixup:
            return windows, *targets
        batch = len(windows)
        alpha = torch.full((), self.mixup, device=windows.device)
        weight = torch.distributions.Beta(alpha, alpha, validate_args=False).sample((batch,))
        weight = torch.maximum(weight, 1 - weight)  # the first window dominates its blend
        other = torch.randperm(batch, device=windows.device) if others is None else others
        return tuple(
            tensor * (w := weight.view(-1, *[1] * (tensor.dim() - 1))) + tensor[other] * (1 - w)
            for tensor in (windows, *targets)
        )


NO_CHANGE = Augmentation(
    mixup=0, band_mask=0, column_mask=0, gain=0, tilt=0, dynamic_range=0, low_pass=0, equaliser=0, phone=0
)
