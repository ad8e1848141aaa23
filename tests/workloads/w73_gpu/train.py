"""Waits for a GPU that is not there: the driver's and the management library's places are taken by two small libraries whose
times and figures are known. Beside it the CPU's own work inside the driver, and a sleep outside of it."""
import ctypes, os, time
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
BYTES = 3 << 30


def wait_asleep(driver):
    with sect("wait_asleep"):
        driver.cuCtxSynchronize()


def wait_awake(driver):
    with sect("wait_awake"):
        driver.cuStreamSynchronize(None)


def launch(driver):
    with sect("launch"):
        driver.cuLaunchKernel()


def nap():
    with sect("nap"):
        time.sleep(0.2)


def main():
    driver = ctypes.CDLL(os.path.join(HERE, "bin", "libcuda.so.1"))
    state = os.path.join(HERE, "bin", "libnvidia-ml.so.1.state")
    with open(state, "w") as f:
        f.write("%d %d" % (os.getpid(), BYTES))
    node = open(os.environ["W73_NODE"]) if "W73_NODE" in os.environ else None
    wait_asleep(driver)
    wait_awake(driver)
    launch(driver)
    nap()
    if node:
        node.close()
    os.unlink(state)
    names = ("wait_asleep", "wait_awake", "launch", "nap")
    selftime.finish("w73_gpu", functions=[selftime.fn(name) for name in names], gpu_bytes=BYTES)


main()
