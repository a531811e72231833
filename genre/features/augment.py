"""Augmentation of log-mel windows in batches, on whatever device the batch is.

Besides mixup and SpecAugment (Park et al., 2019), it varies what differs between masters of a song and not between
genres: level, dynamic range, spectral tilt and bandwidth; and what a phone across a room does to a song.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchaudio.functional import mask_along_axis_iid

SHORTEST_EXCERPT = 13  # columns: 3 s of the *sparse* kind
EQUALISER_KNOTS = 7
PHONE_NOISE = (20.0, 60.0)  # dB below the loudest cell at the lowest band, and PINK dB lower at the highest
PINK = 18.0
PHONE_EDGES = (0.15, 0.6)  # a phone begins to hear below the first part of the bands and stops above the second
NEPERS = math.log(10) / 10  # a dB, so that powers are added without leaving the scale
PHONE_SLOPE = (1.5, 20.0)  # dB a band beyond an edge, of 128


@dataclass(frozen=True)
class Augmentation:
    """Strengths; zero switches a kind off.

    Attributes:
        mixup: alpha of the Beta distribution that the mixing weight is drawn from.
        band_mask: bands masked at most, of 128 (scaled to the bands there are); two masks.
        column_mask: part of the columns masked at most; two masks.
        gain: level change, in dB, at most either way.
        tilt: level change between the lowest and the highest band, in dB, at most either way.
        dynamic_range: factor on the distance in dB from the loudest cell, from 1 - this to 1 + this.
        low_pass: part of the windows that lose everything above a random band in the upper half.
        equaliser: standard deviation of a random curve over the bands, in dB.
        phone: part of the windows that lose both ends of the spectrum and drown in noise.
        roll: part of the columns that each window is rotated by in time, at most either way.
        excerpt: part of the windows that become a shorter stretch of themselves, repeated as short recordings are.
    """

    mixup: float = 0.3
    band_mask: int = 16
    column_mask: float = 0.15
    gain: float = 6.0
    tilt: float = 10.0
    dynamic_range: float = 0.25
    low_pass: float = 0.1
    equaliser: float = 3.0
    phone: float = 0.3
    roll: float = 0.0
    excerpt: float = 0.0

    def __call__(self, windows: Tensor) -> Tensor:
        """Everything but mixup: windows in dB, shape (batch, bands, columns), to the same shape."""
        return self._mask(self._rearrange(self._remaster(self._phone(self._equalise(windows)))))

    def _rearrange(self, windows: Tensor) -> Tensor:
        """Roll and excerpt: the column that each column is taken from."""
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

    def _phone(self, windows: Tensor) -> Tensor:
        """The level of the loudest cell stays, as it does where recordings are raised to the level of masters."""
        if not self.phone:
            return windows
        batch, bands, _ = windows.shape
        loudest = windows.amax(dim=(1, 2), keepdim=True)
        low, high, slope, noise = windows.new_empty(4, batch, 1, 1).uniform_(0, 1)
        low = low * PHONE_EDGES[0]
        high = PHONE_EDGES[1] + high * (1 - PHONE_EDGES[1])
        slope = PHONE_SLOPE[0] * (PHONE_SLOPE[1] / PHONE_SLOPE[0]) ** slope
        band = torch.linspace(0, 1, bands, device=windows.device)[:, None]
        beyond = torch.maximum(low - band, band - high).clamp(min=0) * 128
        heard = windows - slope * beyond
        hiss = torch.randn_like(windows) * 3 + heard.amax(dim=(1, 2), keepdim=True)
        hiss = hiss - (PHONE_NOISE[0] + noise * (PHONE_NOISE[1] - PHONE_NOISE[0])) - PINK * band - slope * beyond
        heard = torch.logaddexp(heard * NEPERS, hiss * NEPERS) / NEPERS
        heard = heard - heard.amax(dim=(1, 2), keepdim=True) + loudest
        heard = torch.maximum(heard, windows.amin(dim=(1, 2), keepdim=True))
        return torch.where(torch.rand(batch, 1, 1, device=windows.device) < self.phone, heard, windows)

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

    def _mask(self, windows: Tensor) -> Tensor:
        bands, columns = windows.shape[1:]
        pictures, fill = windows[:, None], windows.mean().item()
        for _ in range(2):
            pictures = mask_along_axis_iid(pictures, int(self.band_mask * bands / 128), fill, axis=2)
            pictures = mask_along_axis_iid(pictures, int(self.column_mask * columns), fill, axis=3)
        return pictures[:, 0]

    def mix(self, windows: Tensor, *targets: Tensor) -> tuple[Tensor, ...]:
        """Mixup (Zhang et al., 2018): every window and its targets blended with another of the batch."""
        if not self.mixup:
            return windows, *targets
        batch = len(windows)
        weight = torch.distributions.Beta(self.mixup, self.mixup).sample((batch,)).to(windows.device)
        weight = torch.maximum(weight, 1 - weight)  # the first partner leads, so that pairs are not counted twice
        other = torch.randperm(batch, device=windows.device)
        return tuple(
            tensor * (w := weight.view(-1, *[1] * (tensor.dim() - 1))) + tensor[other] * (1 - w)
            for tensor in (windows, *targets)
        )


NO_CHANGE = Augmentation(
    mixup=0, band_mask=0, column_mask=0, gain=0, tilt=0, dynamic_range=0, low_pass=0, equaliser=0, phone=0
)
