"""Threads that work for others. Each function times itself; of one that runs in several threads at once the union counts.
variants: requests (two hundred over twenty threads, to `server.py`), pool (concurrent.futures), queue (a producer, consumers)"""
import http.client, json, os, queue, signal, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))


def request_worker(port, n):
    with sect("request_worker", keep=True):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for i in range(n):
            fetch(connection, i)
        connection.close()


def fetch(connection, i):
    with sect("fetch", keep=True):
        connection.request("GET", "/item/%d" % i)
        assert connection.getresponse().read() == b"there"


def all_requests(port):
    threads = [threading.Thread(target=request_worker, args=(port, 10)) for _ in range(20)]
    with sect("all_requests", keep=True):
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def requests():
    r, w = os.pipe()
    p = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), str(w)], pass_fds=(w,), stdout=subprocess.PIPE)
    os.close(w)
    port = int(os.read(r, 32))
    all_requests(port)
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate()
    for name, spans in json.loads(out).items():
        selftime.INTERVALS[name] = [tuple(span) for span in spans]


def sleep_item(i):
    with sect("sleep_item", keep=True):
        time.sleep(0.05)


def compute_item(i):
    with sect("compute_item", keep=True):
        selftime.busy_cpu(20)


def collect_sleeps(pool):
    with sect("collect_sleeps", keep=True):
        for future in [pool.submit(sleep_item, i) for i in range(12)]:
            future.result()


def collect_computes(pool):
    with sect("collect_computes", keep=True):
        for future in [pool.submit(compute_item, i) for i in range(12)]:
            future.result()


def pool():
    with ThreadPoolExecutor(4) as four:
        collect_sleeps(four)
        collect_computes(four)


def produce(items):
    with sect("produce", keep=True):
        for i in range(20):
            time.sleep(0.01)
            items.put(i)
        items.put(None)


def consume(items, results):
    while (i := items.get()) is not None:
        digest(i)
        results.put(i)
    results.put(None)


def digest(i):
    with sect("digest", keep=True):
        time.sleep(0.015)


def gather_results(results):
    """Waits for the consumer, which waits for the producer now and then."""
    with sect("gather_results", keep=True):
        while results.get() is not None:
            pass


def pipeline():
    items, results = queue.Queue(2), queue.Queue()
    threads = [threading.Thread(target=produce, args=(items,)), threading.Thread(target=consume, args=(items, results))]
    for t in threads:
        t.start()
    gather_results(results)
    for t in threads:
        t.join()


def main():
    variant = sys.argv[1]
    dict(requests=requests, pool=pool, queue=pipeline)[variant]()
    names = sorted(selftime.INTERVALS)
    selftime.finish("w41_pools", variant, functions=[selftime.fn(n, wall_ms=round(selftime.union_ms(n), 2)) for n in names])


if __name__ == "__main__":
    main()
