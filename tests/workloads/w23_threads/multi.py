"""multiprocessing: two Processes and a Pool of two, by fork or by spawn; each child measures its own functions."""
import multiprocessing as mp, os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import selftime
from selftime import sect

_tc = time.thread_time_ns


def _burn(cpu_ms):
    end, x = _tc() + int(cpu_ms * 1000000), 1
    while _tc() < end:
        for _ in range(400):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def child_long(box):
    with sect("child_long"):
        _burn(500)
    box.put(("child_long", selftime.ACC["child_long"]))


def child_short(box):
    with sect("child_short"):
        _burn(200)
    box.put(("child_short", selftime.ACC["child_short"]))


def pool_task(n):
    before = list(selftime.ACC.get("pool_task", [0, 0, 0]))
    with sect("pool_task"):
        _burn(40)
    return [a - b for a, b in zip(selftime.ACC["pool_task"], before)]


def run_processes(ctx):
    with sect("run_processes"):
        box = ctx.Queue()
        ps = [ctx.Process(target=f, args=(box,)) for f in (child_long, child_short)]
        for p in ps:
            p.start()
        got = dict(box.get() for _ in ps)
        for p in ps:
            p.join()
    selftime.ACC.update(got)


def run_pool(ctx):
    with sect("run_pool"):
        with ctx.Pool(2) as pool:
            parts = pool.map(pool_task, range(20), chunksize=1)
            pool.close()
            pool.join()
    selftime.ACC["pool_task"] = [sum(x) for x in zip(*parts)]


if __name__ == "__main__":
    how = sys.argv[1] if len(sys.argv) > 1 else "fork"
    ctx = mp.get_context(how)
    run_processes(ctx)
    run_pool(ctx)
    child = dict(wall_sum_over_threads=True)
    selftime.finish("w23_threads", "mp-" + how,
                    functions=[selftime.fn("run_processes"), selftime.fn("run_pool"), selftime.fn("child_long"),
                               selftime.fn("child_short"), selftime.fn("pool_task", **child)],
                    edges=[["run_processes", "child_long"], ["run_pool", "pool_task"]], suspicions=[])
