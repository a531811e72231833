import ctypes

import pytest

from genre.malloc import keep_all_freed_memory, keep_freed_memory


class Library:
    """Records the calls of mallopt."""

    def __init__(self):
        self.options = {}

    def mallopt(self, option, value):
        self.options[option] = value


@pytest.mark.parametrize(
    ("keep", "expected"),
    [  # M_TRIM_THRESHOLD is -1, M_MMAP_THRESHOLD -3, M_MMAP_MAX -4 in malloc.h
        (keep_freed_memory, {-1: 2**28, -3: 2**25}),
        (keep_all_freed_memory, {-1: -1, -4: 0}),
    ],
)
def test_freed_memory_is_kept_by_the_options_of_malloc(monkeypatch, keep, expected):
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep()
    assert library.options == expected


def test_a_system_without_mallopt_is_not_changed(monkeypatch):
    def on_windows(name):
        raise TypeError("bad argument type for built-in operation")

    for load in (on_windows, lambda name: object()):
        monkeypatch.setattr(ctypes, "CDLL", load)
        keep_freed_memory()
        keep_all_freed_memory()
