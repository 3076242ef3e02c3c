"""redis-server under redis-benchmark: values overwritten by others of other sizes, lists and hashes.

The time is the server's CPU time, because client and server share the cores and the client uses no allocator of ours;
the wall time that the client saw is kept beside it. The server listens on loopback only, at a port the kernel chose.
Debian's redis-server is linked with jemalloc; the preloaded library comes before it, and so does glibc's when glibc is
what is measured.
"""
import socket
import subprocess
import time

from . import Launch

NAME = "redis"
WHAT = "redis-server under redis-benchmark: SET, GET, LPUSH, HSET, overwritten (server's CPU time)"
NEEDS = ["redis-server", "redis-benchmark", "redis-cli"]

REQUESTS = 150_000
KEYS = 60_000
STEPS = [
    ["-d", "48", "-t", "set"],
    ["-d", "900", "-t", "set"],
    ["-t", "get"],
    ["lpush", "list:__rand_int__", "an element of some thirty bytes"],
    ["hset", "hash:__rand_int__", "field:__rand_int__", "a value of moderate length, as sessions have"],
    ["-d", "200", "-t", "set"],
]


def prepare(folder, divisor):
    """What the check for engagement starts: the same binary, for a moment."""
    return Launch(["redis-server", "--version"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_command(folder, port):
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--daemonize", "no", "--dir", str(folder), "--logfile", str(folder / "redis.log")]


def wait_until_ready(port, launcher):
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and launcher.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("redis-server did not answer")


def drive(port, divisor):
    common = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", "8", "-P", "16", "-q",
              "-r", str(KEYS), "-n", str(REQUESTS // divisor)]
    for step in STEPS:
        subprocess.run(common + step, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)


def run(folder, divisor, start):
    """start(command) begins the command under the launcher and gives its process; returns the client's wall seconds."""
    port = free_port()
    launcher = start(server_command(folder, port))
    try:
        wait_until_ready(port, launcher)
        began = time.monotonic()
        drive(port, divisor)
        seconds = time.monotonic() - began
        subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(port), "shutdown", "nosave"], check=True,
                       stdout=subprocess.DEVNULL, timeout=30)
        launcher.wait(timeout=30)
    finally:
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait(timeout=30)
    return seconds
