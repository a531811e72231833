"""Run the members of a checkpoint on a clip, in threads.

PyTorch would split each operation over OpenMP's threads, which spin while they wait for each other: beside another busy
process a clip takes three times as long and more, and without spinning a quiet machine is slower by a third. Here each
thread runs whole networks on its part of the windows, and waits once.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch
from torch import Tensor

from genre.audio.clips import Clip
from genre.audio.silence import audible_span
from genre.models.checkpoint import Checkpoint
from genre.models.member import Member


def run_members(checkpoint: Checkpoint, clip: Clip) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Run every member of a checkpoint on the windows of a clip.

    Returns:
        by member, log-probabilities (windows, labels) and pooled features (windows, features); of a member whose input
        is the whole clip both have one row.
    """
    threads, number = member_threads()
    starts = torch.tensor(clip.window_starts, dtype=torch.float64) - clip.start
    # Tasks start in this order, so one that waits for an earlier one waits for a task that is running or done.
    waveform = threads.submit(lambda: clip.raised)
    spectra: dict[tuple, Future[Tensor]] = {}
    for member in checkpoint.members.values():  # members with the same settings share a spectrum
        if (settings := member.log_mel.config.spectrum_settings) not in spectra:
            spectra[settings] = threads.submit(_spectrum, member, waveform)
    running = {}
    for name, member in checkpoint.members.items():
        spectrum = spectra[member.log_mel.config.spectrum_settings]
        if member.log_mel.config.window_seconds > checkpoint.window_seconds:
            running[name] = [threads.submit(_whole_outputs, member, spectrum, clip)]
        else:
            running[name] = [threads.submit(_outputs, member, spectrum, part) for part in starts.chunk(number)]
    log_probabilities, features = {}, {}
    for name, tasks in running.items():
        results = [task.result() for task in tasks]
        features[name], log_probabilities[name] = map(torch.cat, zip(*results, strict=True))
    return log_probabilities, features


@torch.inference_mode()
def _spectrum(member: Member, waveform: Future[Tensor]) -> Tensor:
    return member.log_mel.spectrum(waveform.result())


@torch.inference_mode()
def _outputs(member: Member, spectrum: Future[Tensor], starts: Tensor) -> tuple[Tensor, Tensor]:
    """Features and log-probabilities of the windows that start there, in seconds from the start of the clip."""
    return _run(member, spectrum.result(), starts)


@torch.inference_mode()
def _whole_outputs(member: Member, spectrum: Future[Tensor], clip: Clip) -> tuple[Tensor, Tensor]:
    """Features and log-probabilities of the clip, without silence at its ends: silent windows do not count either."""
    config = member.log_mel.config
    start, end = audible_span(clip.waveform.numpy(), config.sample_rate)
    first, last = (round(seconds * config.frames_per_second) for seconds in (start, end))
    return _run(member, spectrum.result()[:, first : last + 1], torch.zeros(1))


def _run(member: Member, spectrum: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    features = member.embed(member.log_mel.windows(spectrum, starts))
    return features, member.head(features).float().log_softmax(-1)


@cache
def member_threads() -> tuple[ThreadPoolExecutor, int]:
    """The threads that members run in, for all classifiers of the process, and their number.

    There are as many as PyTorch is set to use at the first call. In each of them PyTorch uses only that one.
    """
    number = torch.get_num_threads()
    threads, all_started = ThreadPoolExecutor(number, "members"), Barrier(number)

    def use_one() -> None:
        torch.get_num_threads()  # lets PyTorch initialise this thread, which would undo the next line later
        torch.set_num_threads(1)  # for this thread, and the default for threads to come
        all_started.wait()

    for started in [threads.submit(use_one) for _ in range(number)]:
        started.result()
    torch.set_num_threads(number)  # that default again
    return threads, number


def _after_fork() -> None:
    """Use one thread in a forked process, where neither OpenMP's threads nor these exist: waiting would never end."""
    member_threads.cache_clear()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
