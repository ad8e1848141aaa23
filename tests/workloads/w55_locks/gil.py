"""Threads that compute, each in a function of its own, in an interpreter with one lock: each waits while another one runs.
gil.py [THREADS: 2|4]. Each measures its wall and CPU time, and how long it waited for a CPU: the rest it waited for the lock."""
import sys, threading, time
import selftime
from selftime import sect

_tc, _pc = time.thread_time_ns, time.perf_counter_ns
COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 2
EACH = 800_000_000 // COUNT
BLOCKED = {}


def queued():
    with open("/proc/thread-self/schedstat") as f:
        return int(f.read().split()[1])


class blocked:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        # Reading the file gives the lock away as well: not between the two looks at the clock.
        self.queue, self.cpu, self.wall = queued(), _tc(), _pc()

    def __exit__(self, *a):
        wall, cpu = _pc() - self.wall, _tc() - self.cpu
        BLOCKED[self.name] = (wall - cpu - (queued() - self.queue)) / 1e6


def crunch():
    with sect("crunch"), blocked("crunch"):
        end, s = _tc() + EACH, 0
        while _tc() < end:
            for i in range(500):
                s += i * i
        return s


def grind():
    with sect("grind"), blocked("grind"):
        end, s = _tc() + EACH, 0
        while _tc() < end:
            for i in range(500):
                s ^= i * i
        return s


def mill():
    with sect("mill"), blocked("mill"):
        end, s = _tc() + EACH, 0
        while _tc() < end:
            for i in range(500):
                s |= i * i
        return s


def press():
    with sect("press"), blocked("press"):
        end, s = _tc() + EACH, 0
        while _tc() < end:
            for i in range(500):
                s -= i * i
        return s


if __name__ == "__main__":
    all_of_them = (crunch, grind, mill, press)[:COUNT]
    threads = [threading.Thread(target=f) for f in all_of_them]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    functions = [selftime.fn(f.__name__, blocked_ms=round(BLOCKED[f.__name__], 2)) for f in all_of_them]
    selftime.finish("w55_locks", "gil", functions=functions, suspicions=[])
