"""Work for several workers (WL_WORKERS) whose scaling is known, because each run measures itself.

phases SERIAL ROUNDS   each round one alone sleeps for the serial share, then all share the rest: Amdahl's law as a program
terminal               says whether its output is one
backfill               items one after the other until the file OUT/recording.perfmap is there; ends with 7
items SECONDS          each worker fetches (a sleep), transforms (CPU) and writes under one lock, for so long

Each run appends a line to TRUTH_DIR/runs.jsonl; WL_FAIL=N ends a run with N workers with 3."""
import hashlib, json, os, sys, threading, time

import selftime

WORKERS = int(os.environ.get("WL_WORKERS", "1"))
TRUTH = os.environ.get("TRUTH_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "truth"))
ROUND = 0.12


def told(**facts):
    wall = (time.perf_counter_ns() - selftime._T0) / 1e9
    with open(os.path.join(TRUTH, "runs.jsonl"), "a") as file:
        file.write(json.dumps({"workers": WORKERS, "wall_s": wall, **facts}) + "\n")


def alone(seconds):
    time.sleep(seconds)


def together(seconds):
    threads = [threading.Thread(target=time.sleep, args=(seconds / WORKERS,)) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def phases(serial, rounds):
    begins = (time.perf_counter_ns() - selftime._T0) / 1e9
    shared = 0.0
    for done in range(1, rounds + 1):
        if serial:
            alone(ROUND * serial)
        before = time.perf_counter()
        together(ROUND * (1 - serial))
        shared += time.perf_counter() - before
        print(f"done {done * 5} of {rounds * 5}", flush=True)
    told(begins_s=begins, shared_s=shared, items=rounds * 5)
    if os.environ.get("WL_FAIL") == str(WORKERS):
        sys.exit(3)


def save(done, path):
    """A checkpoint: the whole state, written anew."""
    with open(path, "w") as file:
        file.write(json.dumps({"done": done, "seen": list(range(200))}))
        file.flush()
        os.fsync(file.fileno())


def backfill():
    """Ends soon after its sample is written; never goes on for long."""
    over, path, done = os.path.join(os.environ["OUT"], "recording.perfmap"), os.path.join(TRUTH, "checkpoint.json"), 0
    began = time.time()
    while not os.path.exists(over) and time.time() - began < 100:
        time.sleep(0.02)
        done += 1
        if done % 5 == 0:
            save(done, path)
        print(f"{time.perf_counter():.6f} item {done}/100000", flush=True)
    told(items=done, run_s=time.time() - began)
    sys.exit(7)


LOCK = threading.Lock()
COUNT = 0


def fetch():
    time.sleep(0.02)
    return b"x" * 4096


def transform(data):
    for _ in range(20):
        data = hashlib.sha256(data).digest() * 8
    return data


def write(file, data):
    global COUNT
    with LOCK:
        file.write(data)
        file.flush()
        time.sleep(0.0006)
        COUNT += 1


def worker(file, until):
    while time.perf_counter() < until:
        write(file, transform(fetch()))


def items(seconds):
    with open(os.path.join(TRUTH, f"out.{os.getpid()}"), "wb") as file:
        began = time.perf_counter()
        threads = [threading.Thread(target=worker, args=(file, began + seconds)) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
    os.unlink(file.name)
    told(items=COUNT, per_second=COUNT / took)
    print(f"rate {COUNT / took:.1f} items/s")


if __name__ == "__main__":
    variant = sys.argv[1]
    if variant == "phases":
        phases(float(sys.argv[2]), int(sys.argv[3]))
    elif variant == "terminal":
        print("terminal", sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size(1).columns)
        print("done 1")
        print("done 2")
    elif variant == "backfill":
        backfill()
    else:
        items(float(sys.argv[2]))
