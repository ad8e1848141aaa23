"""Ordinary programs without a fault: nothing may be suspected here.
batch: reads a file in large blocks, computes, writes one result.   pooled: eight independent requests at a time on kept connections.
pipeline: producer, worker and consumer that keep step.   report: sorts and formats what it computed."""
import http.client, json, os, queue, sys, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor
import selftime, svc
from selftime import sect

V = sys.argv[1] if len(sys.argv) > 1 else "batch"


def load_rows(path):
    with sect("load_rows"):
        with open(path, "rb", buffering=1 << 20) as f:
            return f.read().split(b"\n")


def score_rows(rows):
    with sect("score_rows"):
        return sorted((sum(r) * 31 % 1009, i) for i, r in enumerate(rows))


def save_scores(path, scores):
    with sect("save_scores"):
        with open(path, "w", buffering=1 << 20) as f:
            json.dump(scores, f)


def batch():
    with tempfile.TemporaryDirectory() as d:
        src = os.path.join(d, "rows")
        with open(src, "wb") as f:
            f.write(b"\n".join(b"%d,some,row,of,text" % i for i in range(200000)))
        save_scores(os.path.join(d, "scores"), score_rows(load_rows(src)))
    return dict(functions=[selftime.fn(n) for n in ("load_rows", "score_rows", "save_scores")])


def fetch_share(port, items):
    with sect("fetch_share", keep=True):
        c = http.client.HTTPConnection("127.0.0.1", port)
        for i in items:
            c.request("GET", "/item/%d" % i)
            c.getresponse().read()
        c.close()


def pooled():
    s = svc.up()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: fetch_share(s["stock"].port, range(k, 160, 8)), range(8)))
    col = svc.collect()
    svc.down()
    return dict(functions=[selftime.fn("fetch_share", kind="http_call", http_round_trips=160, wall_sum_over_threads=True)],
                http=svc.http_truth(col), baseline=dict(http_round_trips=dict(value=160)))


def produce(out):
    with sect("produce"):
        for i in range(120):
            time.sleep(0.005)
            out.put(i)
        out.put(None)


def consume(inp):
    with sect("consume"):
        while inp.get() is not None:
            selftime.busy_cpu(1)


def pipeline():
    q = queue.Queue(16)
    t = threading.Thread(target=produce, args=(q,))
    t.start()
    consume(q)
    t.join()
    return dict(functions=[selftime.fn("produce"), selftime.fn("consume")])


def compute_table(n):
    with sect("compute_table"):
        return [(i, i * i % 9973, i ** 0.5) for i in range(n)]


def format_table(rows):
    with sect("format_table"):
        return "\n".join("%8d %8d %10.3f" % r for r in sorted(rows, key=lambda r: r[1]))


def report():
    text = ""
    for _ in range(3):
        text = format_table(compute_table(200000))
    assert text
    return dict(functions=[selftime.fn("compute_table"), selftime.fn("format_table")])


if __name__ == "__main__":
    truth = {"batch": batch, "pooled": pooled, "pipeline": pipeline, "report": report}[V]()
    ids = ["sequential_http_calls", "connection_per_request", "n_plus_one_queries", "lock_contention", "small_reads"]
    selftime.finish("w28_healthy", V, suspicions=[dict(id=i, verdict="dismissed") for i in ids], **truth)
