# SPDX-License-Identifier: Apache-2.0
"""A real OpenSearch node on loopback. Its jars come by Maven into ~/.cache/dmarctap/opensearch (53 MB, half a minute at the first time)."""
import os
import shutil
import subprocess

from .base import HERE, Server, free_port

SOURCE = f"{HERE}/opensearch_node"
CACHE = os.path.expanduser("~/.cache/dmarctap/opensearch-2.19.1.0")
FETCH = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def install():
    if os.path.exists(f"{CACHE}/classes/SearchNode.class"):
        return
    os.makedirs(f"{CACHE}/classes", exist_ok=True)
    shutil.copy(f"{SOURCE}/pom.xml", CACHE)
    subprocess.run(["mvn", "-q", "-B", "-f", f"{CACHE}/pom.xml", FETCH, f"-DoutputDirectory={CACHE}/lib"], check=True, timeout=600)
    subprocess.run(["javac", "-cp", f"{CACHE}/lib/*", "-d", f"{CACHE}/classes", f"{SOURCE}/SearchNode.java"], check=True, timeout=300)


class OpenSearch(Server):
    patience = 120

    def __init__(self, directory):
        super().__init__(directory)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        install()
        self.run_foreground(["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.disable.jmx=true",
                             "-cp", f"{CACHE}/classes:{CACHE}/lib/*", "SearchNode", self.path("node"), str(self.port)],
                            lambda: "READY" in self.logs())
