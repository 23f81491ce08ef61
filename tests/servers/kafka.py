# SPDX-License-Identifier: Apache-2.0
"""A real Apache Kafka, broker and controller in one, in a private directory on loopback: PLAINTEXT, SASL_PLAINTEXT and SASL_SSL.
Its jars come by Maven, once, into the cache; it ends by its process id."""
import fcntl
import os
import shutil
import signal
import subprocess
import time

from .base import Server, free_port

VERSION = "3.9.1"
CACHE = os.path.expanduser(f"~/.cache/dmarctap/kafka-{VERSION}")
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def jars():
    """The folder of its jars. Two test runs at once fetch them once."""
    os.makedirs(os.path.dirname(CACHE), exist_ok=True)
    with open(f"{CACHE}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(CACHE) or len(os.listdir(CACHE)) < 20:
            work = f"{CACHE}.work"
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
            with open(f"{work}/pom.xml", "w", encoding="utf-8") as f:
                f.write(POM)
            subprocess.run(["mvn", "-q", "-B", "-f", f"{work}/pom.xml", COPY, f"-DoutputDirectory={work}/lib"], check=True, timeout=600)
            shutil.rmtree(CACHE, ignore_errors=True)
            os.rename(f"{work}/lib", CACHE)
            shutil.rmtree(work)
    return CACHE


class Kafka(Server):
    """Users: alice (PLAIN), bob (SCRAM)."""

    def __init__(self, directory):
        super().__init__(directory)
        self.plain, self.sasl, self.tls, self.controller = (free_port() for _ in range(4))
        self.certificates()
        login = "org.apache.kafka.common.security"
        mechanisms = "".join(f"""listener.name.{name}.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_alice="alice-secret";
listener.name.{name}.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.{name}.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
""" for name in ("sasl_plaintext", "sasl_ssl"))
        listeners = f"PLAINTEXT://127.0.0.1:{self.plain},SASL_PLAINTEXT://127.0.0.1:{self.sasl},SASL_SSL://127.0.0.1:{self.tls}"
        self.write("server.properties", f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.controller}
listeners={listeners},CONTROLLER://127.0.0.1:{self.controller}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
{mechanisms}ssl.keystore.type=PEM
ssl.keystore.location={self.path("server-all.pem")}
ssl.truststore.type=PEM
ssl.truststore.location={self.path("ca.pem")}
log.dirs={self.folder("logs")}
num.partitions=1
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.enable=false
message.max.bytes=1048588
""")
        self.java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", self.path("server.properties"),
                  "--add-scram", "SCRAM-SHA-256=[name=bob,password=bob-secret]",
                  "--add-scram", "SCRAM-SHA-512=[name=bob,password=bob-secret]").wait(120)

    def certificates(self):
        def ssl(*args):
            subprocess.run(["openssl", *args], check=True, stderr=subprocess.DEVNULL, cwd=self.dir)
        for ca in ("ca", "other-ca"):
            ssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
        ssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
        self.write("names", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        ssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "names",
            "-out", "server.pem")
        self.write("server-all.pem", self.read("server.key") + self.read("server.pem"))

    def java(self, *args):
        log = open(self.path("kafka.log"), "ab")
        quiet = "-Dorg.slf4j.simpleLogger."
        p = subprocess.Popen(["java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp",
                              f"{jars()}/*", f"{quiet}defaultLogLevel=warn", f"{quiet}log.org.apache.kafka=info", f"{quiet}log.kafka=info",
                              *args], stdout=log, stderr=log, cwd=self.dir, start_new_session=True)
        log.close()
        return p

    def start(self):
        before = self.read("kafka.log").count("Kafka Server started")
        self.process = self.java("kafka.Kafka", self.path("server.properties"))
        end = time.monotonic() + 120
        while self.read("kafka.log").count("Kafka Server started") == before:
            assert self.process.poll() is None and time.monotonic() < end, self.read("kafka.log")[-3000:]
            time.sleep(0.1)

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, sig)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def messages(self, topic):
        """All of a topic as (key, value)."""
        out = subprocess.run(["kcat", "-b", f"127.0.0.1:{self.plain}", "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k|%s\\n"],
                             stdout=subprocess.PIPE, check=True, timeout=60).stdout
        return [tuple(line.split("|", 1)) for line in out.decode().split("\n")[:-1]]
