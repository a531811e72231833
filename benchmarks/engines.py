"""The networks of a verdict on 30 s under several engines: python -m benchmarks.engines

Prints a Markdown table: milliseconds of each member and of all, the largest change of a logit, and what the engine
costs beside. Then what it would save to judge the clips of several visitors in one batch. Engines that are not
installed are left out; requirements-bench.txt has them.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

import genre
from genre.frontend import CLIP_SECONDS
from genre.memory import keep_memory

CLIPS_AT_ONCE = (1, 2, 4, 8)
Network = Callable[[], np.ndarray]  # judges the pictures it was made for


def pytorch(network: nn.Module, pictures: Tensor) -> Network:
    return lambda: network(pictures).numpy()


def bfloat16(network: nn.Module, pictures: Tensor) -> Network:
    def judge() -> np.ndarray:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return network(pictures).float().numpy()

    return judge


def openvino(network: nn.Module, pictures: Tensor) -> Network:
    from openvino import Core, convert_model, properties

    converted = convert_model(network, example_input=pictures, input=tuple(pictures.shape))
    settings = {properties.inference_num_threads: torch.get_num_threads(), properties.hint.inference_precision: "f32"}
    request = Core().compile_model(converted, "CPU", settings).create_infer_request()
    array = pictures.contiguous().numpy()
    return lambda: request.infer(array)[0]


def onnx_runtime(network: nn.Module, pictures: Tensor) -> Network:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(network, (pictures,), path, input_names=["pictures"], dynamo=False)
        session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
    array = pictures.contiguous().numpy()
    return lambda: session.run(None, {"pictures": array})[0]


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


def milliseconds(network: Network, repeat: int) -> float:
    seconds = []
    for _ in range(repeat + 1):  # the first one warms up
        started = time.perf_counter()
        network()
        seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds[1:])


def compare_engines(classifier: genre.Classifier, repeat: int) -> None:
    members, pictures = classifier.checkpoint.members, pictures_of(classifier, 1)
    print(f"| engine | {' | '.join(members)} | all | logits differ by | made in |")
    print(f"| --- |{' --- |' * (len(members) + 3)}")
    for engine, (make, package) in ENGINES.items():
        if not find_spec(package):
            continue
        started = time.perf_counter()
        networks = {name: make(member.backbone, pictures[name]) for name, member in members.items()}
        made = time.perf_counter() - started
        change = max(
            abs(networks[name]() - member.backbone(pictures[name]).numpy()).max() for name, member in members.items()
        )
        times = [milliseconds(network, repeat) for network in networks.values()]
        cells = [f"{one:.1f} ms" for one in (*times, sum(times))]
        print(f"| {engine} | {' | '.join(cells)} | {change:.1g} | {made:.1f} s |", flush=True)


def compare_batches(classifier: genre.Classifier, repeat: int) -> None:
    print(f"\n| clips in a batch | {' | '.join(map(str, CLIPS_AT_ONCE))} |\n| --- |{' --- |' * len(CLIPS_AT_ONCE)}")
    cells = []
    for clips in CLIPS_AT_ONCE:
        pictures = pictures_of(classifier, clips)
        members = classifier.checkpoint.members.items()
        total = sum(milliseconds(pytorch(member.backbone, pictures[name]), repeat) for name, member in members)
        cells.append(f"{total / clips:.1f} ms")
    print(f"| networks, for each clip | {' | '.join(cells)} |")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=15, help="measurements behind a median (15)")
    parser.add_argument("--threads", type=int, default=2, help="of the networks (2)")
    arguments = parser.parse_args()
    keep_memory()
    torch.set_num_threads(arguments.threads)
    classifier = genre.load()
    compare_engines(classifier, arguments.repeat)
    compare_batches(classifier, arguments.repeat)


if __name__ == "__main__":
    main()
