"""MusiCNN in PyTorch, a teacher for distillation: what the Million Song Dataset's tags say of 3-second windows.

    python -m genre.data.musicnn OUT.safetensors

converts the weights of the network `MSD_musicnn` in the Python package musicnn 0.1.0 (Jordi Pons and Xavier Serra, ISC
licence; Pons and Serra, 2019, "musicnn: Pre-trained convolutional neural networks for music audio tagging"). It needs

    pip install --no-deps musicnn==0.1.0 && pip install tensorflow-cpu==2.21.0

which training does not. Mel powers stay float32 here, while the package rounds them to float16, which overflows for
loud songs; for others the outputs are equal to within 1e-4 where the log-mels are.
"""

import argparse
import importlib.util
import sys
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from genre.audio.audio import CLIP_SECONDS
from genre.errors import DataError
from genre.features.log_mel import MelPower

SAMPLE_RATE = 16_000  # Hz
FRAMES = 187  # of a window, 3 s at 62.5 frames a second
BANDS = 96
WINDOWS = 10  # of a clip
TAGS, PENULTIMATE = 50, 200
SIZE = TAGS + PENULTIMATE  # of the output for a window
TIMBRE = (38, 67)  # heights in bands of kernels that are 7 frames wide
RHYTHM = (128, 64, 32)  # widths in frames of kernels that are one band high
EPSILON = 1e-3  # of batch normalisation in TensorFlow


class _Block(nn.Module):
    """Convolution, ReLU, batch normalisation, and the maximum over bands."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int]):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel)
        self.norm = nn.BatchNorm1d(outputs, eps=EPSILON)

    def forward(self, images: Tensor) -> Tensor:
        """Images (windows, channels, frames, bands) to the maximum over bands, shape (windows, channels, frames).

        ReLU and normalisation are monotonic in each channel, so they come after the maximum, or after the minimum where
        the normalisation's factor is negative: that is a third faster.
        """
        out = self.convolution(images)
        rising = self.norm.weight[:, None] > 0
        return self.norm(functional.relu(torch.where(rising, out.amax(3), out.amin(3))))


class MusiCNN(nn.Module):
    """Windows of log-mels to tags and features, in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelPower(SAMPLE_RATE, 512, 256, BANDS, SAMPLE_RATE / 2)
        self.norm = nn.BatchNorm2d(1, eps=EPSILON)
        self.timbre = nn.ModuleList([_Block(1, 204, (7, height)) for height in TIMBRE])
        self.rhythm = nn.ModuleList([_Block(1, 51, (width, 1)) for width in RHYTHM])
        self.middle = nn.ModuleList([_Block(1, 64, (7, rows)) for rows in (561, 64, 64)])
        self.pooled_norm = nn.BatchNorm1d(1506, eps=EPSILON)
        self.penultimate = nn.Linear(1506, PENULTIMATE)
        self.penultimate_norm = nn.BatchNorm1d(PENULTIMATE, eps=EPSILON)
        self.tags = nn.Linear(PENULTIMATE, TAGS)
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """Log-mels, shape (windows, frames, bands), to shape (windows, SIZE): logits of tags, then features."""
        images = self.norm(windows[:, None])  # (windows, 1, frames, bands)
        wide = functional.pad(images, (0, 0, 3, 3))
        front = [block(wide) for block in self.timbre]
        for block, width in zip(self.rhythm, RHYTHM, strict=True):
            front.append(block(functional.pad(images, (0, 0, (width - 1) // 2, width // 2))))
        layers = [torch.cat(front, dim=1)]  # (windows, channels, frames)
        for number, block in enumerate(self.middle):
            image = functional.pad(layers[-1].transpose(1, 2)[:, None], (0, 0, 3, 3))
            out = block(image)
            layers.append(out + layers[-1] if number else out)
        stacked = torch.cat(layers, dim=1)
        pooled = torch.stack([stacked.amax(2), stacked.mean(2)], dim=2).flatten(1)
        features = self.penultimate_norm(functional.relu(self.penultimate(self.pooled_norm(pooled))))
        return torch.cat([self.tags(features), features], dim=1)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """A waveform at `SAMPLE_RATE`, shape (samples,), to log-mels, shape (frames, bands)."""
        return torch.log10(10_000 * self.mel(waveform).T + 1)

    @torch.inference_mode()
    def clip(self, waveform: Tensor) -> Tensor:
        """The outputs for the windows of a clip; a shorter clip is repeated.

        Args:
            waveform: mono at `SAMPLE_RATE`, shape (samples,), at most `CLIP_SECONDS` long.

        Returns:
            shape (WINDOWS, SIZE).
        """
        samples = int(CLIP_SECONDS * SAMPLE_RATE)
        waveform = waveform.repeat(-(-samples // len(waveform)))[:samples]
        return self(self.log_mel(waveform)[: WINDOWS * FRAMES].unflatten(0, (WINDOWS, FRAMES)))


@cache
def load_musicnn(weights: Path) -> MusiCNN:
    """Read weights that this module converted; raises DataError where the file is none of those."""
    network = MusiCNN()
    try:
        network.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{weights} holds no weights of MusiCNN; `python -m genre.data.musicnn {weights.name}` makes them."
        ) from error
    return network


def convert(out: Path) -> None:
    """Write the weights of the installed package musicnn for `load_musicnn`."""
    from tensorflow.python.training.py_checkpoint_reader import NewCheckpointReader

    package = importlib.util.find_spec("musicnn")
    if package is None or not package.submodule_search_locations:
        sys.exit("musicnn is not installed, see the top of this file.")
    reader = NewCheckpointReader(f"{package.submodule_search_locations[0]}/MSD_musicnn/")

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(reader.get_tensor(name))

    network = MusiCNN()
    blocks = [*network.timbre, *network.rhythm, *network.middle]
    for number, block in enumerate(blocks):
        name = f"conv2d_{number}" if number else "conv2d"
        block.convolution.weight.data = tensor(f"{name}/kernel").permute(3, 2, 0, 1).contiguous()
        block.convolution.bias.data = tensor(f"{name}/bias")
    norms = [network.norm, *(block.norm for block in blocks), network.pooled_norm, network.penultimate_norm]
    for number, norm in enumerate(norms):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        norm.weight.data, norm.bias.data = tensor(f"{name}/gamma"), tensor(f"{name}/beta")
        norm.running_mean, norm.running_var = tensor(f"{name}/moving_mean"), tensor(f"{name}/moving_variance")
    for name, layer in (("dense", network.penultimate), ("dense_1", network.tags)):
        layer.weight.data, layer.bias.data = tensor(f"{name}/kernel").T.contiguous(), tensor(f"{name}/bias")
    save_file(network.state_dict(), out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Convert the weights of the installed package musicnn.")
    parser.add_argument("out", type=Path, metavar="FILE", help="safetensors file to write, for train.py --teacher")
    convert(parser.parse_args().out)
