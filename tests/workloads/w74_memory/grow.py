"""Functions in which memory grows by a known amount, shrinks again, or stays: each measures the change of its process's resident
size around itself."""
import sys, threading, time
import selftime
from selftime import sect

GROWN = {}  # function -> bytes
KEPT = []


def resident():
    """Exact: from the page tables, unlike the counters in statm."""
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024


def measured(function):
    def run(*arguments):
        before = resident()
        with sect(function.__name__):
            result = function(*arguments)
        GROWN[function.__name__] = GROWN.get(function.__name__, 0) + resident() - before
        return result
    return run


@measured
def build_dicts():
    """Small objects: the interpreter's own arenas."""
    KEPT.append([{"number": i, "text": str(i)} for i in range(220_000)])


@measured
def fill_array():
    """One large block, touched page by page."""
    block = bytearray(80 << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    KEPT.append(block)


@measured
def hold():
    return bytearray(b"\1") * (64 << 20)


@measured
def give_back(blocks):
    blocks.clear()


@measured
def compute():
    selftime.busy_cpu(150)


@measured
def in_a_thread():
    thread = threading.Thread(target=fill_elsewhere)
    thread.start()
    thread.join()


def fill_elsewhere():
    block = bytearray(48 << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    KEPT.append(block)


def remember(number):
    """Keeps a little of each item."""
    with sect("remember"):
        KEPT.append(bytearray(b"\2") * (1 << 20))
        time.sleep(0.005)


def leak():
    before = resident()
    with sect("leak"):
        for number in range(60):
            remember(number)
    GROWN["leak"] = GROWN["remember"] = resident() - before


def steady():
    """As much work, of which nothing is kept."""
    with sect("steady"):
        for number in range(60):
            block = bytearray(b"\2") * (1 << 20)
            time.sleep(0.005)
            del block


def main(variant):
    if variant == "leak":
        leak()
    elif variant == "steady":
        steady()
    else:
        build_dicts()
        fill_array()
        give_back([hold()])
        compute()
        in_a_thread()
    names = list(GROWN) or ["steady"]
    mib = {name: round(grown / (1 << 20), 2) for name, grown in GROWN.items()}
    selftime.finish("w74_memory", variant, functions=[selftime.fn(name) for name in names],
                    memory=dict(growth_by_function_mb=mib))


main(sys.argv[1] if len(sys.argv) > 1 else "growth")
