"""Data bases: sqlite3 as a program, redis and PostgreSQL as servers on this machine alone."""

import glob
import os
import signal
import socket
import subprocess
import time

from case import WORKLOADS, Case


def sqlite3(session):
    session.run("sqlite3", "sqlite3", "work.db", stdin=(WORKLOADS / "work.sql").read_bytes())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def redis_commands():
    for index in range(20000):
        yield f"SET key:{index % 5000} value-{index}-{'x' * (index % 200)}"
        yield f"INCRBY counter:{index % 50} {index}"
        yield f"LPUSH list:{index % 40} item-{index}"
        yield f"ZADD ranks {(index * 7919) % 10007} member-{index % 3000}"
        yield f"HSET hash:{index % 100} field-{index % 97} {index}"
        yield f"SADD set:{index % 20} {index % 1000}"
        if index % 3 == 0:
            yield f"DEL key:{(index * 31) % 5000}"
        if index % 50 == 0:
            yield f"APPEND long {'y' * 1000}"
    for index in range(0, 5000, 25):
        yield f"GET key:{index}"
    for index in range(40):
        yield f"LRANGE list:{index} 0 20"
        yield f"GET counter:{index}"
        yield f"SORT set:{index % 20} LIMIT 0 30"
    yield "ZRANGE ranks 0 -1 WITHSCORES"
    yield "STRLEN long"
    yield "EVAL 'local t = {} for i = 1, 1000 do t[i] = i * 3 end return table.concat(t, 44)' 0"
    yield "DBSIZE"


def redis(session):
    port = str(free_port())
    server = session.start("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                           "--dir", str(session.folder))
    try:
        wait_until(lambda: subprocess.run(["redis-cli", "-p", port, "PING"], capture_output=True, check=False)
                   .stdout == b"PONG\n", server)
        session.run("redis-cli", "redis-cli", "-p", port, stdin="\n".join(redis_commands()).encode())
    finally:
        stop(server, signal.SIGTERM)


def postgresql(session):
    session.become_ordinary()
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    data = session.folder / "data"
    made = subprocess.run(
        [f"{programs}/initdb", "-D", data, "-U", "tester", "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust"],
        cwd=session.folder, env=session.environment, capture_output=True, check=False, **session.identity())
    session.outcome["initdb: exit code"] = str(made.returncode).encode()
    session.outcome["initdb: standard error"] = made.stderr
    server = session.start(f"{programs}/postgres", "-D", data, "-k", session.folder, "-c", "listen_addresses=",
                           "-c", "fsync=off", "-c", "max_connections=20", "-c", "shared_buffers=16MB")
    to_server = ("-h", str(session.folder), "-U", "tester")
    try:
        wait_until(lambda: subprocess.run([f"{programs}/pg_isready", *to_server], capture_output=True, check=False,
                                          cwd="/").returncode == 0, server)
        session.run("psql", f"{programs}/psql", "-X", "-q", *to_server, "-d", "postgres",
                    stdin=(WORKLOADS / "work_postgresql.sql").read_bytes())
        # The amounts are random, so the load's own account is the oracle: all four sums are the same number.
        for step in (["-i", "-q", "-s", "1"], ["-n", "-c", "4", "-j", "2", "-t", "200"]):
            done = subprocess.run([f"{programs}/pgbench", *to_server, *step, "postgres"], cwd=session.folder,
                                  env=session.environment, capture_output=True, check=False, **session.identity())
            session.outcome[f"pgbench {step[0]}: exit code"] = str(done.returncode).encode()
        session.run("sums", f"{programs}/psql", "-X", "-q", *to_server, "-d", "postgres", stdin=b"""
            SELECT (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(abalance) FROM pgbench_accounts),
                   (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history),
                   (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(bbalance) FROM pgbench_branches),
                   (SELECT count(*) FROM pgbench_history);""")
    finally:
        stop(server, signal.SIGINT)


def wait_until(ready, server):
    for _ in range(600):
        if ready():
            return
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode} before it was ready")
        time.sleep(0.05)
    raise SystemExit("the server did not become ready")


def stop(server, with_signal):
    os.kill(server.pid, with_signal)
    try:
        code = server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        raise SystemExit("the server did not stop") from None
    if code != 0:
        raise SystemExit(f"the server ended with {code}")


CASES = {
    "sqlite3": Case(sqlite3, ("sqlite3",), ("sqlite3",)),
    "redis": Case(redis, ("redis-server", "redis-cli"), ("redis-server", "redis-cli")),
    "postgresql": Case(postgresql, ("postgres", "initdb", "pgbench", "psql"), ()),
}
