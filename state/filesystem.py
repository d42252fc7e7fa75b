"""Which kind of filesystem a path is on. SQLite's locks and shared memory are not safe on network filesystems."""

from __future__ import annotations

import os
from pathlib import Path

from state.store import StateError

_NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs",
    "fuse.blobfuse2", "fuse.ceph", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs",
    "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
})  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")


def refuse_network_filesystem(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raise StateError when the path is on a filesystem that other machines see, too.

    Where the table of mounts cannot be read, nothing is known and nothing is refused.
    """
    try:
        table = mounts.read_bytes()
    except OSError:
        return
    kind = filesystem_of(os.path.realpath(path), os.fsdecode(table))
    if kind in _NETWORK:
        raise StateError(
            f"the state {path} is on a network filesystem ({kind}), where SQLite's locks do not hold; "
            "put it on a local disk, or share it as a `postgresql:` state"
        )


def filesystem_of(path: str, mountinfo: str) -> str:
    """The filesystem type of an absolute path without symlinks, from the text of a mountinfo file; empty if unknown."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if len(fields) < 5 or not types[0]:
            continue
        point = _unescape(fields[4])
        # Later lines cover earlier ones at the same mount point, hence `>=`.
        if _is_below(path, point) and len(point) >= best:
            best, kind = len(point), types[0]
    return kind


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes for space, tab, newline and backslash."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
