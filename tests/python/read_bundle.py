"""Reads an unpacked bundle as the TUF repository that it is, with python-tuf.

usage: read_bundle.py FOLDER 1.root.json

Walks the root chain from the trusted root, takes timestamp, snapshot and targets, and verifies every target.
Prints the root's version and one line per target.
"""

import sys
import tempfile
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface


class FolderFetcher(FetcherInterface):
    """Fetches "bundle:/PATH" from the folder."""

    def __init__(self, folder):
        self.folder = folder

    def _fetch(self, url):
        path = self.folder / url.removeprefix("bundle:/")
        if not path.is_file():
            raise DownloadHTTPError("not there", 404)
        return iter([path.read_bytes()])


def main():
    folder, root = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as work:
        updater = Updater(
            metadata_dir=work,
            metadata_base_url="bundle:/metadata/",
            target_dir=work,
            target_base_url="bundle:/",
            fetcher=FolderFetcher(folder),
            config=UpdaterConfig(prefix_targets_with_hash=False),
            bootstrap=root.read_bytes(),
        )
        updater.refresh()
        trusted = updater._trusted_set
        print("root", trusted.root.version)
        for path in sorted(trusted.targets.targets):
            target = updater.get_targetinfo(path)
            updater.download_target(target, filepath=str(Path(work) / "target"))
            print("target", path)


main()
