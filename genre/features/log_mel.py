"""Waveform to log-mel spectrogram: the front ends of training and inference.

A *clip* is at most 30 s of audio, to whose loudest cell levels are relative, as in FMA-small, whose tracks are 30 s
clips. A *window* is the input of a network: 3 s, or with *whole* the clip. There are four settings of the same code:

sparse  The recipe of FMA-small's 30 s log-mel images: one exact STFT frame about every 234 ms, in dB below the loudest
        cell of the clip. Fine in frequency, coarse in time.
smooth  20 MFCCs of 22,050 Hz audio at hop 512, inverted to a 64-band log-mel: fine in time, only the envelope in
        frequency. Levels are absolute, floored 80 dB under the loudest cell of the clip.
whole   The sparse columns of a whole clip as one image, for the prediction of the recording.
dense   An ordinary log-mel, 43 frames a second up to 11 kHz, for training from audio.

All take audio at 44,100 Hz, the rate of nearly all music. Features defined at 22,050 Hz with frames of 2,048 samples
are computed with frames twice as long, which is equivalent below 11 kHz and needs no resampling.

The mel scale, its normalisation and the decibel conventions are librosa's defaults (Slaney, power, top_db 80), so that
features equal those computed by librosa.
"""

from dataclasses import asdict, dataclass
from functools import cached_property

import torch
import torchaudio
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from genre.audio.audio import CLIP_SECONDS

FRAMES_AT_ONCE = 256  # of the STFT: with their spectra 2 to 4 MB
LOUD_FRAMES = 32  # whose loudest cell is a first guess of the loudest one of the clip
ROUNDING = 1.001  # more than float32 loses in the energy of a frame
BANDS_AT_ONCE = 16  # whose filters are multiplied together: most of each filter is zero
MIN_RMS = 0.1  # -20 dB of full scale: clips below are amplified to it; most masters are above
MIN_POWER = 1e-10  # lower limit of mel power, librosa's `amin`
RANGES = {  # of settings: one far outside, in a checkpoint from anywhere, would take all memory
    "sample_rate": (8000, 192_000),
    "n_fft": (64, 65_536),
    "hop_length": (64, 65_536),
    "n_mels": (1, 1024),
    "bands": (1, 1024),
    "columns": (1, 4096),
    "window_seconds": (0.5, CLIP_SECONDS),
}


@dataclass(frozen=True)
class LogMelConfig:
    """All settings of a front end; stored in each member's config.json.

    Attributes:
        sample_rate: of the waveform, in Hz.
        n_fft: STFT frame and FFT length, in samples (Hann window, centred, zero-padded ends).
        hop_length: STFT hop, in samples.
        n_mels: mel bands computed.
        f_max: upper end of the mel axis, in Hz; None for half the sample rate.
        roll_off: start of the transition band of a low-pass filter, in Hz, that ends at `f_max`; None for no filter.
        power_scale: factor on the STFT's power.
        columns: frames of a window, in the input of the network.
        column_seconds: time from one selected frame to the next; None selects every STFT frame.
        reference: 0 dB is the loudest cell of the clip ("max") or a power of one ("one").
        top_db: range in dB below the loudest cell of the clip.
        n_mfcc: number of cepstral coefficients (orthonormal DCT-II over the bands); None for the bands themselves.
        bands: rows of a window in the input of the network: `n_mels`, or the bands rebuilt from the coefficients.
        window_seconds: length of a window, in seconds.
    """

    sample_rate: int = 44100
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    f_max: float | None = None
    roll_off: float | None = None
    power_scale: float = 1.0
    columns: int = 130
    column_seconds: float | None = None
    reference: str = "max"
    top_db: float = 80.0
    n_mfcc: int | None = None
    bands: int = 128
    window_seconds: float = 3.0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}, not {getattr(self, name)}")
        if self.reference not in ("max", "one"):
            raise ValueError(f"reference must be 'max' or 'one', not {self.reference!r}")
        if self.n_mfcc is None and self.bands != self.n_mels:
            raise ValueError(f"without n_mfcc, bands ({self.bands}) must equal n_mels ({self.n_mels})")

    @property
    def highest_hz(self) -> float:
        """Upper end of the mel axis, in Hz."""
        return self.f_max or self.sample_rate / 2

    @property
    def frames_per_second(self) -> float:
        return self.sample_rate / self.hop_length

    @property
    def frames_per_column(self) -> float:
        """STFT frames from one column to the next; 1.0 where every frame is a column."""
        return self.column_seconds * self.frames_per_second if self.column_seconds else 1.0

    @property
    def spectrum_settings(self) -> tuple:
        """The settings that `LogMel.spectrum` depends on."""
        return (
            *(self.sample_rate, self.n_fft, self.hop_length, self.n_mels),
            *(self.f_max, self.roll_off, self.power_scale, self.reference, self.top_db),
        )

    def to_dict(self) -> dict:
        return asdict(self)


FRONT_ENDS = {
    "sparse": LogMelConfig(columns=13, column_seconds=30 / 128),
    "whole": LogMelConfig(columns=128, column_seconds=30 / 128, window_seconds=CLIP_SECONDS),
    "smooth": LogMelConfig(
        n_fft=4096,
        hop_length=1024,
        f_max=11025,
        roll_off=10067,  # a raised cosine from here approximates the filter of soxr best, by the MFCCs
        power_scale=0.25,  # a frame of 2,048 samples has half the amplitude
        reference="one",
        n_mfcc=20,
        bands=64,
    ),
    "dense": LogMelConfig(n_fft=4096, hop_length=1024, f_max=11025),
}


def raise_level(waveform: Tensor) -> Tensor:
    """The input of members, shape (samples,): a clip without DC offset, amplified to `MIN_RMS` if it is below."""
    waveform = waveform - waveform.mean()
    rms = waveform.square().mean().sqrt()
    return waveform * (MIN_RMS / rms.clamp(min=torch.finfo(rms.dtype).tiny)).clamp(min=1)


class MelPower(nn.Module):
    """A waveform, shape (samples,), to its power in mel bands, shape (n_mels, frames).

    Equal to torchaudio's MelSpectrogram with Slaney's bands in a third of the time: that one takes the root of every
    cell's power and squares it again, multiplies with all the zeros of the filters, and computes all frames at once,
    which do not fit into a core's cache.
    """

    window: Tensor  # (n_fft,)
    filters: Tensor  # (used bins, n_mels)

    def __init__(self, sample_rate: int, n_fft: int, hop_length: int, n_mels: int, highest_hz: float):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        scale = {"norm": "slaney", "mel_scale": "slaney"}
        filters = melscale_fbanks(n_fft // 2 + 1, 0, highest_hz, n_mels, sample_rate, **scale)
        used = int(highest_hz / sample_rate * n_fft) + 1
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", filters[:used].contiguous(), persistent=False)
        self.blocks = []  # of the filters, that hold all that is not zero: slices of bins and of bands
        for first in range(0, n_mels, BANDS_AT_ONCE):
            bands = slice(first, first + BANDS_AT_ONCE)
            bins = filters[:used, bands].any(dim=1).nonzero()
            self.blocks.append((slice(int(bins.min()), int(bins.max()) + 1) if len(bins) else slice(0), bands))

    def forward(self, waveform: Tensor) -> Tensor:
        return self.power(self.frames(waveform))

    def frames(self, waveform: Tensor) -> Tensor:
        """A waveform, shape (samples,), to a view of its frames, shape (frames, n_fft)."""
        # Zero-padded ends: reflected ones would need more samples than a very short recording has.
        end = waveform.new_zeros(self.n_fft // 2)
        return torch.cat([end, waveform, end]).unfold(0, self.n_fft, self.hop_length)

    def power(self, frames: Tensor) -> Tensor:
        """Frames, shape (frames, n_fft), to their power in mel bands, shape (n_mels, frames)."""
        return torch.cat([self._power(some) for some in frames.split(FRAMES_AT_ONCE)]).T

    def loudest(self, frames: Tensor) -> Tensor:
        """The highest power of all cells of these frames, from the spectra of those that may have it.

        By Parseval's theorem, the power of all bins but the first and the last, which no filter passes, is at most
        `n_fft` / 2 times the energy of the frame. So most frames have no energy for a cell as loud as the loudest one
        of the few frames with the most energy.
        """
        envelope = self.window.square()
        energy = torch.cat([some.square() @ envelope for some in frames.split(FRAMES_AT_ONCE)])
        limit = energy * (self.filters.max() * (self.n_fft / 2 * ROUNDING))
        most = limit.topk(min(LOUD_FRAMES, len(frames))).indices
        loudest = self.power(frames[most]).max()
        limit[most] = 0
        others = (limit > loudest).nonzero()[:, 0]
        return torch.maximum(loudest, self.power(frames[others]).max()) if len(others) else loudest

    def _power(self, frames: Tensor) -> Tensor:
        """Frames, shape (frames, n_fft), to shape (frames, n_mels)."""
        cells = torch.fft.rfft(frames * self.window)[:, : len(self.filters)]
        parts = torch.view_as_real(cells).square()
        power = parts[..., 0] + parts[..., 1]
        return torch.cat([power[:, bins] @ self.filters[bins, bands] for bins, bands in self.blocks], dim=1)


class LogMel(nn.Module):
    """Log-mel windows of a clip, in dB.

    Args:
        config: the settings, e.g. `FRONT_ENDS["sparse"]`.
    """

    to_cepstrum: Tensor  # (n_mfcc, n_mels)
    from_cepstrum: Tensor  # (bands, n_mfcc)

    def __init__(self, config: LogMelConfig):
        super().__init__()
        self.config = config
        self.mel = MelPower(config.sample_rate, config.n_fft, config.hop_length, config.n_mels, config.highest_hz)
        self.mel.filters *= config.power_scale
        if config.roll_off:
            hertz = torch.arange(len(self.mel.filters)) * (config.sample_rate / config.n_fft)
            position = ((hertz - config.roll_off) / (config.highest_hz - config.roll_off)).clamp(0, 1)
            self.mel.filters *= (0.5 + 0.5 * torch.cos(torch.pi * position)).square()[:, None]
        if config.n_mfcc:
            to_cepstrum = torchaudio.functional.create_dct(config.n_mfcc, config.n_mels, norm="ortho")
            # The scale corrects for fewer bands, since the factors of an orthonormal DCT depend on its length.
            from_cepstrum = torchaudio.functional.create_dct(config.n_mfcc, config.bands, norm="ortho")
            self.register_buffer("to_cepstrum", to_cepstrum.T.contiguous(), persistent=False)
            self.register_buffer(
                "from_cepstrum", from_cepstrum * (config.bands / config.n_mels) ** 0.5, persistent=False
            )

    def forward(self, clip: Tensor, starts: Tensor) -> Tensor:
        """Windows of a clip, the input of a network.

        Args:
            clip: mono waveform at `config.sample_rate`, shape (samples,), at most `CLIP_SECONDS` long.
            starts: of the windows, in seconds from the start of the clip, shape (windows,).

        Returns:
            log-mel in dB, shape (windows, bands, columns).
        """
        return self.windows(self.spectrum(clip), starts)

    def spectrum(self, clip: Tensor) -> "Spectrum":
        """The spectrum of a clip, shape (samples,)."""
        return Spectrum(self.config, self.mel, clip)

    def windows(self, spectrum: "Spectrum", starts: Tensor, part: range | None = None) -> Tensor:
        """As `forward`, from the spectrum of a clip. A clip shorter than a window is repeated to fill it.

        Args:
            spectrum: of the clip, by these settings.
            starts: of the windows, in seconds from the first frame of the part, shape (windows,).
            part: consecutive numbers of the frames that count as the clip; None for all.
        """
        part = part or range(len(spectrum))
        config, last = self.config, len(part) - 1
        starts = starts.cpu()  # with double precision, which not every device has
        columns = (torch.arange(config.columns, dtype=torch.float64, device="cpu") + 0.5) * config.frames_per_column
        frames = (starts.double()[:, None] * config.frames_per_second + columns).floor().long()
        # By rounding, a window that ends with the clip may exceed its last frame.
        frames = frames.clamp(max=last) if last >= columns[-1] - 1 else frames % (last + 1)
        return self.to_bands(self.to_stored(spectrum[part.start + frames].movedim(0, 1)))

    def clip_features(self, clip: Tensor) -> Tensor:
        """The features of a whole clip that archives store: evenly spaced columns in dB, or of cepstral coefficients.

        Args:
            clip: mono waveform at `config.sample_rate`, shape (samples,).

        Returns:
            shape (n_mels or n_mfcc, columns of the clip): 128 columns for 30 s of *sparse*, all frames otherwise.
        """
        spectrum = self.spectrum(clip)
        columns = max(1, round(len(spectrum) / self.config.frames_per_column))
        chosen = (torch.arange(columns, dtype=torch.float64, device="cpu") + 0.5) * len(spectrum) / columns
        return self.to_stored(spectrum[chosen.floor().long()])

    def to_stored(self, decibels: Tensor) -> Tensor:
        """dB (..., n_mels, columns) to what archives store: the same, or coefficients (..., n_mfcc, columns)."""
        return self.to_cepstrum @ decibels if self.config.n_mfcc else decibels

    def to_bands(self, stored: Tensor) -> Tensor:
        """The inverse of `to_stored`: the input of the network in dB, shape (..., bands, columns)."""
        return self.from_cepstrum @ stored if self.config.n_mfcc else stored


class Spectrum:
    """The spectrum of a clip in dB, of which only those frames are computed that are asked for.

    Args:
        config: with the settings in `LogMelConfig.spectrum_settings`.
        mel: for these settings.
        clip: mono waveform at their sample rate, shape (samples,).
    """

    def __init__(self, config: LogMelConfig, mel: MelPower, clip: Tensor):
        self.config, self.mel = config, mel
        self._frames = mel.frames(clip)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def __getitem__(self, frames: Tensor) -> Tensor:
        """Frames, by their numbers of any shape, shape (n_mels, *that shape)."""
        device = self._frames.device
        # Picking more than half of them takes longer, and on a GPU any.
        if "_all" in vars(self) or frames.numel() > len(self) / 2 or device.type != "cpu":
            return self._all[:, frames.to(device)]
        different, where = frames.unique(return_inverse=True)
        return self._decibels(self.mel.power(self._frames[different]), self._loudest)[:, where]

    @cached_property
    def _all(self) -> Tensor:
        """All frames, shape (n_mels, frames)."""
        power = self.mel.power(self._frames)
        return self._decibels(power, power.max())

    @cached_property
    def _loudest(self) -> Tensor:
        """The power of the loudest cell."""
        return self.mel.loudest(self._frames)

    def _decibels(self, power: Tensor, loudest: Tensor) -> Tensor:
        """Mel power (n_mels, frames) to dB, floored `top_db` below the loudest cell of the clip."""
        loudest = 10 * loudest.clamp(min=MIN_POWER).log10()
        decibels = torch.maximum(10 * power.clamp(min=MIN_POWER).log10(), loudest - self.config.top_db)
        return decibels - loudest if self.config.reference == "max" else decibels
