"""Says nothing of itself: WL_PORT is the port that it takes."""
import os
from selftime import busy_cpu
from serve import serve


def count_stock():
    return busy_cpu(40)


if __name__ == "__main__":
    serve(count_stock, int(os.environ.get("WL_PORT", "0")))
