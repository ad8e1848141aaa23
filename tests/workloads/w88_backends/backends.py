"""What every means of collecting must agree on: one function sleeps, one computes, one waits for a child, one for an
answer from a socket that nobody gives in time."""
import socket, subprocess, time
import selftime
from selftime import sect


def sleeps():
    with sect("sleeps"):
        time.sleep(1.0)


def computes():
    with sect("computes"):
        end, x = time.thread_time_ns() + 400_000_000, 0.5
        while time.thread_time_ns() < end:
            for _ in range(500):
                x = 3.9 * x * (1 - x)
        return x


def waits_for_child():
    with sect("waits_for_child"):
        subprocess.run(["/bin/sleep", "0.3"], check=True)


def asks():
    with sect("asks"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as asking:
                asking.settimeout(0.3)
                try:
                    asking.recv(1)
                except TimeoutError:
                    pass


if __name__ == "__main__":
    sleeps()
    computes()
    waits_for_child()
    asks()
    selftime.finish("w88_backends", "python", functions=[selftime.fn(n) for n in ["sleeps", "computes", "waits_for_child", "asks"]])
