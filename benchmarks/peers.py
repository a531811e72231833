"""This project and alternatives to it behind one interface, which benchmarks/worker.py measures.

Each system is set up as its users do it. It imports its packages when it is created, and keeps its model between files.
`NEEDS` lists the distributions that it is installed with; Gradio, for a page, is added to them for every system.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"


class Ours:
    """`genre.load().classify(path)`, in a process that keeps freed memory as the page and the command do."""

    NEEDS = re.findall(r"^([\w-]+)==", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)

    def __init__(self):
        import genre
        from genre.audio.audio import Audio
        from genre.models.model import keep_freed_memory

        keep_freed_memory()
        self.classifier = genre.load()
        self.audio = Audio

    def decode(self, path: str) -> None:
        for _ in self.audio(path).pieces(self.classifier.sample_rate):
            pass

    def classify(self, path: str) -> dict[str, float]:
        return self.classifier.classify(path).probabilities

    def weight_bytes(self) -> int:
        return _tensor_bytes(tensor for m in self.classifier.model.members.values() for tensor in m.parameters())


class DistilHubert:
    """The genre demo of Hugging Face's audio course: the `transformers` pipeline around a fine-tuned distilHuBERT.

    The network has the configuration of ntu-spml/distilhubert, a head for ten genres and random weights, which take the
    same time. It was fine-tuned on 30 s, and its attention grows with the square of the length, so longer files are
    classified in pieces of 30 s.
    """

    NEEDS = ("transformers", "torch", "librosa")
    RATE, PIECE_SECONDS = 16000, 30

    def __init__(self):
        import librosa
        from transformers import HubertConfig, HubertForSequenceClassification, Wav2Vec2FeatureExtractor, pipeline

        config = HubertConfig(num_hidden_layers=2, feat_proj_layer_norm=False, num_labels=10)
        extractor = Wav2Vec2FeatureExtractor(sampling_rate=self.RATE, do_normalize=True, return_attention_mask=True)
        model = HubertForSequenceClassification(config)
        self.load_audio = librosa.load
        self.pipeline = pipeline("audio-classification", model=model, feature_extractor=extractor, top_k=None)

    def decode(self, path: str) -> np.ndarray:
        return self.load_audio(path, sr=self.RATE)[0]

    def classify(self, path: str) -> dict[str, float]:
        waveform, scores = self.decode(path), {}
        size = self.PIECE_SECONDS * self.RATE
        # A remainder shorter than a second, such as an encoder's padding, is left out.
        pieces = [waveform[i : i + size] for i in range(0, max(1, len(waveform) - self.RATE), size)]
        for piece in pieces:
            for answer in self.pipeline({"raw": piece, "sampling_rate": self.RATE}):
                scores[answer["label"]] = scores.get(answer["label"], 0) + answer["score"] / len(pieces)
        return scores

    def weight_bytes(self) -> int:
        return _tensor_bytes(self.pipeline.model.parameters())


class MusiCNN:
    """The published MTT_musicnn by the code of its package: its log-mels, its patches of 3 s, one at a time.

    The package builds the network again for every file; here it is built once.
    """

    NEEDS = ("musicnn", "tensorflow", "tf-keras", "librosa")
    NAME, SECONDS = "MTT_musicnn", 3

    def __init__(self):
        os.environ["TF_USE_LEGACY_KERAS"] = "1"  # its layers are in tf-keras only
        import librosa
        import tensorflow as tf
        from musicnn import configuration, extractor, models

        self.config, self.batch_data, self.load_audio = configuration, extractor.batch_data, librosa.load
        self.frames = 1 + librosa.time_to_frames(
            self.SECONDS, sr=configuration.SR, n_fft=configuration.FFT_SIZE, hop_length=configuration.FFT_HOP
        )
        with tf.name_scope("model"):
            self.patches = tf.compat.v1.placeholder(tf.float32, [None, self.frames, configuration.N_MELS])
            self.training = tf.compat.v1.placeholder(tf.bool)
            logits, *_ = models.define_model(self.patches, self.training, self.NAME, len(configuration.MTT_LABELS))
            self.tags = tf.nn.sigmoid(logits)
        self.variables = tf.compat.v1.global_variables()
        self.session = tf.compat.v1.Session()
        tf.compat.v1.train.Saver().restore(self.session, f"{Path(extractor.__file__).parent / self.NAME}/")

    def decode(self, path: str) -> np.ndarray:
        return self.load_audio(path, sr=self.config.SR)[0]

    def classify(self, path: str) -> dict[str, float]:
        batch, _ = self.batch_data(path, self.frames, self.frames)
        size = self.config.BATCH_SIZE
        tags = [
            self.session.run(self.tags, {self.patches: batch[i : i + size], self.training: False})
            for i in range(0, len(batch), size)
        ]
        return dict(zip(self.config.MTT_LABELS, np.concatenate(tags).mean(0).tolist(), strict=True))

    def weight_bytes(self) -> int:
        """Of the network alone: its file holds the optimiser's state, too."""
        return sum(4 * variable.shape.num_elements() for variable in self.variables)


class LibrosaLoop:
    """The pipeline of most course projects: librosa, a log-mel image of each window, one network, the mean.

    The network is `tf_efficientnet_lite0` with random weights, on log-mels of 3 s in librosa's size.
    """

    NEEDS = ("torch", "timm", "librosa")
    RATE, SECONDS, LABELS = 22050, 3, 8

    def __init__(self):
        import librosa
        import timm
        import torch

        self.librosa, self.torch = librosa, torch
        self.network = timm.create_model("tf_efficientnet_lite0", in_chans=1, num_classes=self.LABELS).eval()

    def decode(self, path: str) -> np.ndarray:
        return self.librosa.load(path, sr=self.RATE)[0]

    def classify(self, path: str) -> dict[str, float]:
        waveform, size = self.decode(path), self.SECONDS * self.RATE
        starts = range(0, len(waveform) - size + 1, size)
        windows = [self._classify_window(waveform[i : i + size]) for i in starts]
        return dict(enumerate(np.mean(windows, axis=0).tolist()))

    def _classify_window(self, window: np.ndarray) -> np.ndarray:
        power = self.librosa.feature.melspectrogram(y=window, sr=self.RATE)
        image = self.torch.from_numpy(self.librosa.power_to_db(power, ref=np.max))
        with self.torch.no_grad():
            return self.network(image[None, None]).softmax(-1)[0].numpy()

    def weight_bytes(self) -> int:
        return _tensor_bytes(self.network.parameters())


SYSTEMS = {"ours": Ours, "distilHuBERT": DistilHubert, "MusiCNN": MusiCNN, "librosa loop": LibrosaLoop}


def _tensor_bytes(tensors: Iterable) -> int:
    return sum(tensor.nbytes for tensor in tensors)
