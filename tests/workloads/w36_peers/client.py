"""Asks services that run already (`server.py`, not started from here) and adds up what they say their handlers took.

calls: three of each kind, one after the other. steady: one request after the other to /cpu and /nap until STEADY_STOP exists."""
import http.client, json, os, sys, time
import selftime
from selftime import sect

PORT = int(os.environ["PEER_PORT"])
SERVED = {}
TIMES = {}


def get(connection, path):
    t = time.perf_counter_ns()
    connection.request("GET", path)
    answer = json.loads(connection.getresponse().read())
    TIMES.setdefault(path, []).append((time.perf_counter_ns() - t) / 1e6)
    s = SERVED.setdefault(path, dict(count=0, ms=0.0, inner_ms=0.0, first=answer))
    s["count"] += 1
    s["ms"] += answer["ms"]
    s["inner_ms"] += answer.get("inner_ms", 0.0)


def ask_cpu(c):
    with sect("ask_cpu"):
        for _ in range(3):
            get(c, "/cpu")


def ask_nap(c):
    with sect("ask_nap"):
        for _ in range(3):
            get(c, "/nap")


def ask_chain(c):
    with sect("ask_chain"):
        for _ in range(3):
            get(c, "/chain")


def steady(c):
    n = 0
    while not os.path.exists(os.environ["STEADY_STOP"]):
        get(c, "/cpu" if n % 2 else "/nap")
        n += 1


def main():
    variant = sys.argv[1] if len(sys.argv) > 1 else "calls"
    c = http.client.HTTPConnection("127.0.0.1", PORT)
    if variant == "steady":
        steady(c)
        functions = []
    else:
        work = [ask_cpu, ask_nap] + ([ask_chain] if os.environ.get("PEER_CHAIN") else [])
        for f in work:
            f(c)
        functions = [selftime.fn(f.__name__, kind="http_call", http_round_trips=3) for f in work]
    total = sum(s["count"] for s in SERVED.values())
    selftime.finish("w36_peers", variant, functions=functions, served=SERVED, times=TIMES,
                    http=dict(round_trips_total=total,
                              peers=[dict(service="front", port=PORT, round_trips=total, connections=1, in_tree=False)]),
                    baseline=dict(http_round_trips=dict(value=total)), suspicions=[])


if __name__ == "__main__":
    main()
