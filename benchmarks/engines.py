"""A verdict by other engines than PyTorch: python -m benchmarks.engines SONGS

Prints a Markdown table: milliseconds of each member's network on a clip of 30 s, and of the whole verdict on a clip and
on a song of 4 minutes with the engine in PyTorch's place; the largest change of a probability; how long making it
takes. Then what it would save to judge the clips of several visitors in one batch. Engines that are not installed are
left out; requirements-bench.txt has them.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

import genre
from benchmarks.material import cut_file
from genre.features.log_mel import CLIP_SECONDS
from genre.malloc import keep_freed_memory

CLIPS_AT_ONCE = (1, 2, 4, 8)
Network = Callable[[Tensor], Tensor]  # pictures (batch, 1, height, width) to pooled features (batch, features)


class Embedding(nn.Module):
    """A member's network without its last layer: what `Member.embed` gives, which the music detector needs, too."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, pictures: Tensor) -> Tensor:
        return self.backbone.forward_head(self.backbone.forward_features(pictures), pre_logits=True)


def pytorch(network: nn.Module, _: Tensor) -> Network:
    return network


def bfloat16(network: nn.Module, _: Tensor) -> Network:
    def embed(pictures: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return network(pictures).float()

    return embed


def openvino(network: nn.Module, pictures: Tensor) -> Network:
    from openvino import Core, convert_model, properties

    converted = convert_model(network, example_input=pictures, input=(-1, *pictures.shape[1:]))
    settings = {properties.inference_num_threads: torch.get_num_threads(), properties.hint.inference_precision: "f32"}
    request = Core().compile_model(converted, "CPU", settings).create_infer_request()
    return lambda pictures: torch.from_numpy(request.infer(pictures.contiguous().numpy())[0].copy())


def onnx_runtime(network: nn.Module, pictures: Tensor) -> Network:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or it fights with PyTorch's for cores
    names = {"input_names": ["pictures"], "dynamic_axes": {"pictures": {0: "batch"}}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(network, (pictures,), path, dynamo=False, **names)
        session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pictures: torch.from_numpy(session.run(None, {"pictures": pictures.contiguous().numpy()})[0])


ENGINES = {
    "PyTorch": (pytorch, "torch"),
    "PyTorch, bfloat16": (bfloat16, "torch"),
    "OpenVINO": (openvino, "openvino"),
    "ONNX Runtime": (onnx_runtime, "onnxruntime"),
}


def pictures_of(classifier: genre.Classifier, clips: int) -> dict[str, Tensor]:
    """Random pictures, as many as each member gets of so many clips, shape (pictures, 1, height, width)."""
    pictures = {}
    for name, member in classifier.checkpoint.members.items():
        count = clips * round(CLIP_SECONDS / member.log_mel.config.window_seconds)
        pictures[name] = torch.randn(count, 1, *member.input_size).contiguous(memory_format=torch.channels_last)
    return pictures


def milliseconds(action: Callable[[], object], repeat: int) -> float:
    seconds = []
    for _ in range(repeat + 1):  # the first one warms up
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds[1:])


@torch.inference_mode()
def make(engine: str, classifier: genre.Classifier) -> tuple[dict[str, Network], float]:
    """Every member's network by an engine, and the seconds it took to make them."""
    pictures, started = pictures_of(classifier, 1), time.perf_counter()
    members = classifier.checkpoint.members.items()
    networks = {name: ENGINES[engine][0](Embedding(member.backbone), pictures[name]) for name, member in members}
    return networks, time.perf_counter() - started


@torch.inference_mode()
def network_times(classifier: genre.Classifier, networks: dict[str, Network], repeat: int) -> list[float]:
    return [milliseconds(lambda n=name, p=p: networks[n](p), repeat) for name, p in pictures_of(classifier, 1).items()]


def put_in(classifier: genre.Classifier, networks: dict[str, Network]) -> None:
    """Have a classifier's members see through these networks."""
    for name, member in classifier.checkpoint.members.items():
        member.embed = lambda windows, member=member, network=networks[name]: network(member.image(windows))


def compare_engines(clip: Path, song: Path, repeat: int) -> None:
    ours = genre.load()
    expected = ours.classify(song).probabilities
    members = ours.checkpoint.members
    print(f"| engine | {' | '.join(members)} | all | a clip | a song | probabilities differ by | made in |")
    print(f"| --- |{' --- |' * (len(members) + 5)}")
    for engine, (_, package) in ENGINES.items():
        if not find_spec(package):
            continue
        classifier = genre.load()
        networks, made = make(engine, classifier)
        times = network_times(classifier, networks, repeat)
        put_in(classifier, networks)
        probabilities = classifier.classify(song).probabilities
        change = max(abs(probabilities[label] - expected[label]) for label in expected)
        times += [sum(times), *(milliseconds(lambda f=f: classifier.classify(f), repeat) for f in (clip, song))]  # noqa: B023
        print(
            f"| {engine} | {' | '.join(f'{one:.1f} ms' for one in times)} | {change:.1g} | {made:.1f} s |", flush=True
        )


@torch.inference_mode()
def compare_batches(repeat: int) -> None:
    print(f"\n| clips in a batch | {' | '.join(map(str, CLIPS_AT_ONCE))} |\n| --- |{' --- |' * len(CLIPS_AT_ONCE)}")
    classifier, cells = genre.load(), []
    networks, _ = make("PyTorch", classifier)
    for clips in CLIPS_AT_ONCE:
        pictures = pictures_of(classifier, clips)
        total = sum(milliseconds(lambda n=name, p=pictures[name]: networks[n](p), repeat) for name in networks)
        cells.append(f"{total / clips:.1f} ms")
    print(f"| networks, for each clip | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path, help="a folder of music that the clip and the song are cut from")
    parser.add_argument("--repeat", type=int, default=15, help="measurements behind a median (15)")
    parser.add_argument("--threads", type=int, default=2, help="of the networks (2)")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as work:
        clip, song = (cut_file(arguments.songs, Path(work) / f"{s}.mp3", s) for s in (round(CLIP_SECONDS), 4 * 60))
        compare_engines(clip, song, arguments.repeat)
    compare_batches(arguments.repeat)


if __name__ == "__main__":
    main()
