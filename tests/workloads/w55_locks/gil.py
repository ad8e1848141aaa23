"""Two threads that compute, each in a function of its own, in an interpreter with one lock: each waits while the other runs."""
import sys, threading, time
import selftime
from selftime import sect

_tc = time.thread_time_ns


def crunch():
    with sect("crunch", keep=True):
        end, s = _tc() + 400_000_000, 0
        while _tc() < end:
            for i in range(500):
                s += i * i
        return s


def grind():
    with sect("grind", keep=True):
        end, s = _tc() + 400_000_000, 0
        while _tc() < end:
            for i in range(500):
                s ^= i * i
        return s


if __name__ == "__main__":
    threads = [threading.Thread(target=f) for f in (crunch, grind)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    selftime.finish("w55_locks", "gil", functions=[selftime.fn(f.__name__) for f in (crunch, grind)], suspicions=[])
