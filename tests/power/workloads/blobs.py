"""Puts blobs in several ways, one after another and side by side; each that returns is acknowledged."""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

from acknowledge import acknowledge
from mutants import plant

from commonground.store import files
from commonground.store.blobs import DirectoryBlobs


def main(root: Path, mutant: str) -> None:
    """Put about sixty blobs below `root`."""
    plant(mutant)
    chance = random.Random(1)
    sources = root.with_name(root.name + "-sources")
    sources.mkdir()
    blobs = DirectoryBlobs(root / "blobs")
    contents = [chance.randbytes(chance.choice([0, 1, 300, 512, 1500, 4096, 9000])) for _ in range(60)]
    contents.append(chance.randbytes(files.CHUNK + 700))
    paths = []
    for number, content in enumerate(contents):
        paths.append(sources / str(number))
        paths[-1].write_bytes(content)

    def put(batch: list[Path]) -> None:
        acknowledge(blobs=[info.digest for info in DirectoryBlobs(blobs.root).put_files(batch)])

    for data in (b"one", b"two", b"one"):
        acknowledge(blobs=[blobs.put_bytes(data).digest])
    put(paths[:20])
    put(paths[15:25])
    for path in paths[25:32]:
        acknowledge(blobs=[blobs.put_file(path).digest])
    sides = [threading.Thread(target=put, args=[batch]) for batch in (paths[30:50], paths[40:61], paths[30:50])]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    generation = blobs.begin_generation()
    acknowledge(blobs=[blobs.put_bytes(b"one").digest])
    kept = [info.digest for info in blobs.put_files(paths[:30])]
    acknowledge(blobs=kept, sweeps=True)
    blobs.sweep(kept, generation)
    acknowledge(blobs=kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("CG_POWER_MUTANT", ""))
