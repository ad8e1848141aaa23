"""Four threads in four functions, joined by `join_all`. zlib and hashlib release the GIL, the other two hold it."""
import hashlib, threading, time, zlib
import selftime
from selftime import sect

_tc = time.thread_time_ns
BLOB = bytes(range(256)) * 4000


def _until(cpu_ms):
    return _tc() + cpu_ms * 1000000


def zip_blobs():
    with sect("zip_blobs", keep=True):
        end = _until(400)
        while _tc() < end:
            zlib.compress(BLOB, 6)


def hash_blobs():
    with sect("hash_blobs", keep=True):
        end = _until(300)
        while _tc() < end:
            hashlib.sha256(BLOB).digest()


def sum_squares():
    with sect("sum_squares", keep=True):
        end, s = _until(200), 0
        while _tc() < end:
            s += sum(i * i for i in range(500))
        return s


def join_words():
    with sect("join_words", keep=True):
        end = _until(100)
        while _tc() < end:
            "-".join(str(i) for i in range(500))


def join_all(threads):
    for t in threads:
        t.join()


if __name__ == "__main__":
    work = [zip_blobs, hash_blobs, sum_squares, join_words]
    threads = [threading.Thread(target=f, name=f.__name__) for f in work]
    for t in threads:
        t.start()
    join_all(threads)
    selftime.finish("w23_threads", "py",
                    functions=[selftime.fn(f.__name__, union_ms=selftime.union_ms(f.__name__)) for f in work], suspicions=[])
