#!/usr/bin/env python3
"""Measures a running `rondo serve` under load.

    rondo serve RUN --quiet &
    python3 bench/serve_load.py http://127.0.0.1:8080 --clients 1,8,32,128
    python3 bench/serve_load.py http://127.0.0.1:8080 --clients 32 --stream
    python3 bench/serve_load.py http://127.0.0.1:8080 --disconnect 10000

Each client is a thread that sends one request after the other. With `--stream`, the latency is that of the first token.
With `--disconnect N`, N requests are sent of which every other client goes away, and the server is asked afterward
whether any text is left. Status 429 is counted, and the request is repeated after the time that the server names.
"""

import argparse
import collections
import http.client
import json
import statistics
import sys
import threading
import time
import urllib.parse
from typing import List


class Load:
    """Requests from some clients until a time is over, and what came of them."""

    def __init__(self, given: argparse.Namespace):
        self.given = given
        self.address = urllib.parse.urlsplit(given.url).netloc
        self.lock = threading.Lock()
        self.latencies: List[float] = []
        self.statuses = collections.Counter()
        self.tokens = 0

    def body(self, seed: int) -> str:
        fields = dict(prompt=self.given.prompt, max_tokens=self.given.tokens, seed=seed, stream=self.given.stream)
        return json.dumps(fields)

    def client(self, number: int, until: float) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=120)
        seed = number * 1_000_000
        while time.perf_counter() < until:
            seed += 1
            begun = time.perf_counter()
            connection.request("POST", "/v1/completions", self.body(seed), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if self.given.stream and answer.status == 200:
                answer.readline()
                latency = time.perf_counter() - begun
                answer.read()
                tokens = self.given.tokens
            else:
                text = answer.read()
                latency = time.perf_counter() - begun
                tokens = json.loads(text)["usage"]["completion_tokens"] if answer.status == 200 else 0
            with self.lock:
                self.statuses[answer.status] += 1
                if answer.status == 200:
                    self.latencies.append(latency)
                    self.tokens += tokens
            if answer.status == 429:
                time.sleep(float(answer.headers["Retry-After"]))

    def run(self, clients: int) -> None:
        begun = time.perf_counter()
        until = begun + self.given.seconds
        threads = [threading.Thread(target=self.client, args=(number, until)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begun
        p50, p99 = statistics.median(self.latencies), statistics.quantiles(self.latencies, n=100)[98]
        others = {status: count for status, count in self.statuses.items() if status != 200}
        print("| %d | %.0f | %.1f | %.1f | %s |" % (clients, self.tokens / seconds, 1e3 * p50, 1e3 * p99, others or ""))


def disconnect(given: argparse.Namespace) -> None:
    """Sends many requests, of which every other client goes away before the answer."""
    load = Load(given)
    for number in range(given.disconnect):
        connection = http.client.HTTPConnection(load.address, timeout=120)
        connection.request("POST", "/v1/completions", load.body(number), {"Content-Type": "application/json"})
        if number % 2:
            answer = connection.getresponse()
            answer.read()
            load.statuses[answer.status] += 1
        connection.close()
    time.sleep(1)
    connection = http.client.HTTPConnection(load.address, timeout=120)
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    print("answered: %s" % dict(load.statuses))
    for line in metrics.splitlines():
        if line.startswith(("rondo_streams{", "rondo_queue_length{", "rondo_abandoned_total")):
            print(line)


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure a server under load")
    parser.add_argument("url", help="address of the server")
    parser.add_argument("--clients", metavar="N,…", default="1,8,32,128", help="numbers of clients [default: %(default)s]")
    parser.add_argument("--seconds", type=float, default=10, help="time for each number [default: %(default)s]")
    parser.add_argument("--tokens", type=int, default=100, help="tokens of each text [default: %(default)s]")
    parser.add_argument("--prompt", default="the", help="prompt [default: %(default)s]")
    parser.add_argument("--stream", action="store_true", help="stream, and measure the first token")
    parser.add_argument("--disconnect", type=int, metavar="N", help="send N requests, half of which go away")
    given = parser.parse_args(arguments)
    if given.disconnect:
        disconnect(given)
        return 0
    print("| clients | tokens/s | latency p50, ms | p99, ms | other statuses |\n|--:|--:|--:|--:|---|")
    for clients in given.clients.split(","):
        Load(given).run(int(clients))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
