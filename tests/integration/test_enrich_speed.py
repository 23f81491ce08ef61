# SPDX-License-Identifier: Apache-2.0
"""Names of many addresses, from a server that is slow and loses datagrams, from the cache, and from a server that says nothing."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from taplib import PATIENCE, ROOT

sys.path.insert(0, os.path.join(ROOT, "tests/servers"))
from dnsserver import DnsServer  # noqa: E402

NAMES = pathlib.Path(os.environ.get("TAP_BIN", f"{ROOT}/build/dev/bin")).parent / "tests/enrich_names"


def names(dns, cache, count, timeout_ms, rounds=1):
    p = subprocess.run([NAMES, dns.address, cache, str(count), str(timeout_ms), str(rounds)], stdout=subprocess.PIPE, check=True,
                       timeout=100 * PATIENCE)
    return [json.loads(line) for line in p.stdout.splitlines()]


@pytest.mark.alone
@pytest.mark.plain_build("measures time and memory")
def test_ten_thousand_addresses_in_four_seconds_and_from_the_cache_at_once(tmp_path):
    with DnsServer(tmp_path, "generate PTR 3600\n", "--delay", 50, "--loss", 0.05) as dns:
        first, = names(dns, tmp_path / "cache.db", 10000, 2000)
        assert (first["rc"], first["pending"], first["wrong"], first["confirmed"]) == (0, 0, 0, 10000), first
        assert first["ms"] <= 4000 and first["rss_kib"] <= 64 * 1024, first
        seen = dns.queries()
        assert seen >= 20000
        second, = names(dns, tmp_path / "cache.db", 10000, 2000)
        assert (second["queries"], second["wrong"], second["confirmed"]) == (0, 0, 10000), second
        assert second["ms"] <= 300, second
        assert dns.queries() == seen


def test_a_silent_server_is_given_up_in_time(tmp_path):
    timeout = 300 * PATIENCE
    with DnsServer(tmp_path, "", "--silent") as dns:
        first, again = names(dns, tmp_path / "cache.db", 1000, timeout, 2)
        assert first["pending"] == 1000 and first["ms"] <= 3 * timeout, first
        assert again["pending"] == 1000 and again["queries"] == 0 and again["ms"] < timeout, again
    # nothing of it was remembered: the next program, and a server that answers, find all
    with DnsServer(tmp_path, "generate PTR 3600\n") as dns:
        later, = names(dns, tmp_path / "cache.db", 1000, 2000 * PATIENCE)
        assert (later["pending"], later["wrong"]) == (0, 0), later


def test_t_en_5_one_question_for_each_address(tmp_path):
    with DnsServer(tmp_path, "generate PTR 3600\n") as dns:
        for row in names(dns, tmp_path / "cache.db", 500, 5000 * PATIENCE, 3):
            assert (row["pending"], row["wrong"]) == (0, 0), row
        # a name and its way back, for each once; the rest are repeats of what a busy machine answered late
        assert 1000 <= dns.queries() < 1500
