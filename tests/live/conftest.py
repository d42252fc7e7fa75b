"""What every live test goes through: a person's consent, an estimate, a journal, a deadline, and a removal.

`pytest` without arguments does not come here (`norecursedirs` in pyproject.toml). Whoever does without consent is told
what is missing, and nothing runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from drivers.errors import DriverError
from reconciler.errors import ReconcilerError
from tests.egress import GUARD
from tests.live.consent import Consent, NotAsked, consent, journal_of
from tests.live.estimate import REMOVAL_MIN, Bill, Overdrawn, bill_of, within
from tests.live.ground import Account, Ground, account_of
from tests.live.journal import RUN, Busy, Journal, findings, opened
from tests.live.prices import Unpriced
from tests.live.removal import remove

HERE = Path(__file__).parent
DOMAINS = ("amazonaws.com", "api.aws", "amazonaws.com.cn")
CREDENTIALS = tuple(map(ip_network, ("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32")))
"""Where machines and containers of AWS get the credentials of their role."""
BILL = pytest.StashKey[Bill]()
ESTIMATE = pytest.StashKey[str]()
KNOWN = pytest.StashKey[int]()
"""How many findings earlier runs left in the journal."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KNOWN] = len(findings(journal_of(os.environ)))
    config.addinivalue_line("markers", "bill(*things, minutes, questions): what the test may have, and for how long")


@pytest.hookimpl(trylast=True)  # what -k and -m leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Consent, then an estimate of what was selected, the cheapest first. Without either, nothing runs at all."""
    ours = [item for item in items if HERE in item.path.parents]
    try:
        if ours:
            _prepare(config, ours)
    except (NotAsked, Overdrawn, Unpriced, Busy, ValueError, ReconcilerError) as refusal:
        raise pytest.UsageError(str(refusal)) from None
    items.sort(key=lambda item: item.stash[BILL].usd("us-east-1") if item in ours else 0.0)


def _prepare(config: pytest.Config, items: list[pytest.Item]) -> None:
    given = consent(os.environ)
    if hasattr(config, "workerinput") or config.getoption("numprocesses", None):
        raise NotAsked("live tests run one after the other: leave out -n")
    for item in items:
        bill = bill_of(item.name, item.get_closest_marker("bill"), given.at_most_min)
        item.stash[BILL] = bill
        # A second deadline, for what hangs: the test ends, and its things are removed all the same.
        seconds = bill.minutes * 60 + 60
        item.add_marker(pytest.mark.timeout(seconds, method="signal", func_only=True))
    region = account_of(given, Path(os.devnull)).settings.region
    if region is None:
        raise ValueError(f"{given.settings} must name aws.region: prices go by it")
    usd = within((item.stash[BILL] for item in items), region, given.budget_usd)
    config.stash[ESTIMATE] = f"{len(items)} live tests in {region}: {usd:.2f} USD at most, of {given.budget_usd:.2f}"
    left = opened(given.journal)
    if left:
        named = ", ".join(f"{one.test} ({one.platform})" for one in left[:3])
        raise Busy(f"an earlier run left {len(left)} things that were not seen gone: {named}; run `make live-sweep`")


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    return config.stash.get(ESTIMATE, "")


@pytest.fixture(scope="session")
def consented() -> Consent:
    return consent(os.environ)


@pytest.fixture(scope="session")
def account(consented: Consent, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The account, which the guard around all tests lets us reach from now on; for a rehearsal nothing is opened."""
    if not consented.rehearsal:
        GUARD.open_to(DOMAINS, (*CREDENTIALS, *([consented.network] if consented.network else [])))
    made = account_of(consented, tmp_path_factory.mktemp("keys"))
    try:
        for place in made.places:
            made.clients.guard_account(place, {})
    except DriverError as trouble:
        pytest.exit(f"nothing is made: {trouble}", pytest.ExitCode.USAGE_ERROR)
    return made


@pytest.fixture(scope="session")
def journal(consented: Consent) -> Iterator[Journal]:
    made = Journal(consented.journal, lambda: datetime.now(UTC))
    os.environ[RUN] = made.mark
    yield made
    made.close()
    del os.environ[RUN]


@pytest.fixture
def ground(request: pytest.FixtureRequest, account: Account, journal: Journal) -> Iterator[Ground]:
    """A lineage of the test's own; whatever is there of it at the end is removed, or the test fails."""
    bill: Bill = request.node.stash[BILL]
    made = Ground(account, journal, request.node.nodeid, time.monotonic() + bill.minutes * 60)
    yield made
    if made.platform is None:
        return
    left = next(one for one in opened(journal.path) if one.lineage == made.lineage)
    patience_s = 30.0 if account.consent.rehearsal else REMOVAL_MIN * 60
    try:
        remove(account, left, patience_s=patience_s)
    except BaseException:
        # The estimate counts on removals: nothing more is made while one does not end.
        request.session.shouldstop = f"something of {made.test} is left: run `make live-sweep`"
        raise
    journal.gone(made.lineage)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """What only an account could tell."""
    found = findings(journal_of(os.environ))[terminalreporter.config.stash[KNOWN] :]
    if found:
        terminalreporter.section("findings", sep="-")
        for test, text in found:
            terminalreporter.write_line(f"{test.rpartition('::')[2]}: {text}")
