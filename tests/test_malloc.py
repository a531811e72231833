import ctypes

from genre.malloc import keep_all_freed_memory, keep_freed_memory


def test_a_system_without_mallopt_is_not_changed(monkeypatch):
    def on_windows(name):
        raise TypeError("bad argument type for built-in operation")

    for load in (on_windows, lambda name: object()):
        monkeypatch.setattr(ctypes, "CDLL", load)
        keep_freed_memory()
        keep_all_freed_memory()
