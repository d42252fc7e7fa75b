"""The contract suite is no test module by its name; its assertions should explain themselves all the same."""

import pytest

pytest.register_assert_rewrite("tests.state.contract")
