# SPDX-License-Identifier: Apache-2.0
"""Which tests a build is for: one that is marked plain_build(why) is not collected where the programs are built with a sanitizer; and names."""
import os


def pytest_configure(config):
    config.addinivalue_line("markers", "plain_build(why): for programs without a sanitizer only")
    config.addinivalue_line("markers", "alone: measures time or memory, so nothing else runs beside it")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("TAP_PRESET") not in ("asan", "tsan"):
        return
    out = [i for i in items if i.get_closest_marker("plain_build")]
    config.hook.pytest_deselected(items=out)
    items[:] = [i for i in items if not i.get_closest_marker("plain_build")]


def pytest_make_parametrize_id(val, argname):
    """Whole mails are no names of tests; those with random Message-IDs would be other tests in each process."""
    return argname if isinstance(val, bytes) else None
