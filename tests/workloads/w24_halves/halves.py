"""Half CPU, half sleep: each sleep lasts as long as the burn before it lasted."""
import time
import selftime
from selftime import sect, busy_cpu


def burn_half():
    with sect("burn_half"):
        t0 = time.perf_counter()
        busy_cpu(100)
    return time.perf_counter() - t0


def sleep_half(seconds):
    with sect("sleep_half"):
        time.sleep(seconds)


if __name__ == "__main__":
    for _ in range(20):
        sleep_half(burn_half())
    selftime.finish("w24_halves", "py", functions=[selftime.fn("burn_half"), selftime.fn("sleep_half", kind="sleep")], suspicions=[])
