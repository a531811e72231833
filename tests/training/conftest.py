import csv

import numpy as np
import pytest

from genre.data.windows import FORMATS


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Two separable genres: energy in the lower or in the upper half of the bands, with noise."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    splits = ["training"] * 64 + ["validation"] * 32 + ["test"] * 32
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "note"])
        writer.writerows((i, ("High", "Low")[i % 2], split, "") for i, split in enumerate(splits))
    mel = random.integers(0, 60, (128, 128, 128), dtype=np.uint8)
    mel[::2, 64:] += 50
    mel[1::2, :64] += 50
    np.save(folder / FORMATS["sparse"].file, mel)
    cepstra = random.integers(-20, 20, (128, 20, 130), dtype=np.int16)
    cepstra[1::2, 1] += 600
    np.save(folder / FORMATS["smooth"].first_window_file, cepstra)
    np.save(folder / "vggish.npy", random.normal(size=(128, 128)).astype(np.float16))
    return folder
