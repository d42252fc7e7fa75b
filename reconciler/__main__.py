"""`python -m reconciler` is the command `reconcile`."""

from reconciler.cli import main

raise SystemExit(main())
