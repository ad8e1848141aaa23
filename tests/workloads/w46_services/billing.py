"""Names its main thread, as servers that set a title do."""
import ctypes
from selftime import busy_cpu
from serve import serve


def charge_card():
    return busy_cpu(40)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(15, b"billing: worker", 0, 0, 0)  # PR_SET_NAME
    serve(charge_card)
