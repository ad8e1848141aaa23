"""A known split over four functions of pure Python and one C extension call, on whatever CPython runs it (3.8 and later)."""
import sys, time, zlib
import selftime
from selftime import sect

_tc = time.thread_time_ns
BLOB = bytes(range(256)) * 40


def parse_records(cpu_ms):
    with sect("parse_records"):
        end, s = _tc() + cpu_ms * 1000000, 0
        while _tc() < end:
            for w in ("alpha,beta,12,14.5,gamma,delta," * 20).split(","):
                s += len(w.strip().upper())
        return s


def score_items(cpu_ms):
    with sect("score_items"):
        end, x = _tc() + cpu_ms * 1000000, 0.5
        while _tc() < end:
            for _ in range(500):
                x = 3.9 * x * (1 - x)
        return x


def _descend(n):
    return 0 if n == 0 else 1 + _descend(n - 1)


def build_index(cpu_ms):
    with sect("build_index"):
        end, s = _tc() + cpu_ms * 1000000, 0
        while _tc() < end:
            for _ in range(20):
                s += _descend(40)
        return s


def compress_blobs(cpu_ms):
    with sect("compress_blobs"):
        end = _tc() + cpu_ms * 1000000
        while _tc() < end:
            zlib.compress(BLOB, 6)


def run_rounds(n):
    for _ in range(n):
        parse_records(160)
        score_items(120)
        build_index(80)
        compress_blobs(40)


if __name__ == "__main__":
    run_rounds(10)
    names = ["parse_records", "score_items", "build_index", "compress_blobs"]
    selftime.finish("w22_python", "%d.%d" % sys.version_info[:2],
                    functions=[selftime.fn(n, tol_share_pts=2.0) for n in names],
                    edges=[["run_rounds", n] for n in names],
                    bottleneck=dict(classification="CPU", accept=["CPU"], top_function="parse_records"), suspicions=[])
