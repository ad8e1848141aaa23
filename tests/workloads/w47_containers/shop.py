"""A service in a container: its own process ids, files and network."""
import os
from selftime import busy_cpu
from serve import serve


def weigh_basket():
    return busy_cpu(40)


def weigh_left():
    return busy_cpu(40)


def weigh_right():
    return busy_cpu(40)


if __name__ == "__main__":
    where = os.environ.get("WL_PORT", "8000")
    serve(globals()[os.environ.get("WL_WORK", "weigh_basket")], int(where) if where.isdigit() else where)
