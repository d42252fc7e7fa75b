"""`python -m tests.live.sweep`: find what live tests left in an account, and delete it. Nothing else is looked at.

What a run was about to make stands in the journal. Where that is lost, or somebody else's, lineages of live tests are
known by how they begin, and are looked for by tag in every region that the settings name. It ends with 0 when everybody
who was asked has nothing any more.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from drivers.aws.place import Place
from drivers.aws.tags import LINEAGE, as_mapping
from drivers.errors import DriverError
from reconciler.errors import ReconcilerError
from tests.live.consent import BUDGET, NotAsked, consent
from tests.live.ground import BEGINNING, PLATFORMS, Account, account_of
from tests.live.journal import RUN, Busy, Journal, Open, opened
from tests.live.removal import Left, remove


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live.sweep", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="say what is left, and delete nothing")
    parser.add_argument("--all", action="store_true", help="ask again also for what was seen gone")
    parser.add_argument("--patience", type=float, default=1800.0, metavar="S", help="for each lineage, in seconds")
    given = parser.parse_args()
    try:
        # A sweep spends nothing: it needs no budget.
        agreed = consent({BUDGET: "1", **os.environ})
        with tempfile.TemporaryDirectory() as keys:
            return _sweep(account_of(agreed, Path(keys)), given)
    except (NotAsked, Busy, ValueError, ReconcilerError, DriverError, ClientError, BotoCoreError) as refusal:
        print(refusal, file=sys.stderr)
        return 2


def _sweep(account: Account, given: argparse.Namespace) -> int:
    journal = Journal(account.consent.journal, lambda: datetime.now(UTC))
    for pid in _orphans(journal.mark):
        print(f"process {pid} of a run that has ended still runs: it is ended")
        if not given.dry_run:
            os.kill(pid, signal.SIGKILL)
    known = opened(journal.path, everything=given.all)
    left = 0
    for one in (*known, *_unknown(account, {each.lineage for each in known})):
        left += not _is_removed(account, journal, one, given)
    print("nothing is left" if not left else f"{left} lineages still have something")
    journal.close()
    return 1 if left else 0


def _is_removed(account: Account, journal: Journal, one: Open, given: argparse.Namespace) -> bool:
    there = account.count(one.platform, one.lineage)
    print(f"{one.platform} {one.lineage} ({one.test}): {len(there)} things")
    for thing in there:
        print(f"  {thing.kind} {thing.name}")
    if given.dry_run:
        return not there
    try:
        remove(account, one, patience_s=given.patience, say=print)
    except Left as left:
        print(left)
        return False
    journal.gone(one.lineage)
    return True


def _unknown(account: Account, known: set[str]) -> Iterator[Open]:
    """Lineages of live tests that the journal does not have, on each platform that has something of theirs."""
    found = {lineage for place in account.places for lineage in _tagged(account, place) if lineage not in known}
    for lineage in sorted(found):
        for platform in PLATFORMS:
            if account.count(platform, lineage) or list(account.driver(platform).owned(lineage)):
                yield Open(lineage, platform, "not in this journal", (), ())


def _tagged(account: Account, place: Place) -> Iterator[str]:
    """By the tag of the lineage; by the description, which Bedrock's list shows, for inference profiles."""
    tagging = account.clients(place, "resourcegroupstaggingapi").reads
    for page in tagging.get_paginator("get_resources").paginate(TagFilters=[{"Key": LINEAGE}]):
        for one in page["ResourceTagMappingList"]:
            yield from _ours(as_mapping(one["Tags"]).get(LINEAGE, ""))
    ec2 = account.clients(place, "ec2").reads
    wanted = [{"Name": "key", "Values": [LINEAGE]}, {"Name": "value", "Values": [f"{BEGINNING}*"]}]
    for page in ec2.get_paginator("describe_tags").paginate(Filters=wanted):
        for one in page["Tags"]:
            yield from _ours(one["Value"])
    bedrock = account.clients(place, "bedrock").reads
    for page in bedrock.get_paginator("list_inference_profiles").paginate(typeEquals="APPLICATION"):
        for one in page["inferenceProfileSummaries"]:
            yield from _ours(one.get("description", "").rpartition(" ")[2])


def _ours(lineage: str) -> Iterator[str]:
    if lineage.startswith(BEGINNING):
        yield lineage


def _orphans(mark: str) -> Iterator[int]:
    """Processes of this host that a run with this journal started: it has ended, or we had not got the journal."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if f"{RUN}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


if __name__ == "__main__":
    sys.exit(main())
