"""What the files of a released version say now, read and digested without any of its nonces: to compare with."""

from __future__ import annotations

from commonground.store.blobs import BlobStore
from commonground.structure import parts, versions
from commonground.structure.versions import Manifest, list_types


def measure_files(blobs: BlobStore, manifest: Manifest) -> Manifest:
    """The same manifest with the content of its parts as their files have it now."""
    return versions._with_digests(
        manifest,
        lambda table, part: parts.measure_rows(parts.read_file(blobs, part["blob"]), list_types(table), table["order"]),
    )
