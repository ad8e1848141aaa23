"""The guest's workload: each function measures itself, and what it measured is the truth that the map is held against."""

import json, os, socket, sys, time

truth = {}


def measured(function):
    def run():
        wall, cpu = time.monotonic(), time.thread_time()
        function()
        truth[function.__name__] = {
            "wall_ms": (time.monotonic() - wall) * 1e3,
            "cpu_ms": (time.thread_time() - cpu) * 1e3,
        }

    return run


def burn(seconds):
    end, n = time.thread_time() + seconds, 0
    while time.thread_time() < end:
        for _ in range(500):
            n += 1
    return n


@measured
def compute():
    burn(1.5)


@measured
def nap():
    time.sleep(0.4)


PROCESSES = 60


def brief():
    time.sleep(0.004)


@measured
def storm():
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            brief()
            os._exit(0)
        os.waitpid(child, 0)


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(listener):
    connection, _ = listener.accept()
    while connection.recv(4096):
        time.sleep(0.005)
        connection.sendall(ANSWER)


@measured
def fetch():
    listener = socket.create_server(("127.0.0.1", 8077))
    if os.fork() == 0:
        serve(listener)
        os._exit(0)
    with socket.create_connection(("127.0.0.1", 8077)) as client:
        # By each of the calls that programs send and receive with.
        sends = [
            client.sendall,
            lambda request: os.write(client.fileno(), request),
            lambda request: client.sendmsg([request[:5], request[5:]]),
        ]
        receives = [client.recv, lambda most: os.read(client.fileno(), most), lambda most: client.recvmsg(most)[0]]
        for number in range(20):
            sends[number % 3](b"GET /%d HTTP/1.1\r\nHost: guest\r\n\r\n" % number)
            while not receives[number // 3 % 3](4096).endswith(b"ok"):
                pass
    os.wait()


@measured
def quota():
    burn(0.4)


@measured
def little():
    burn(0.3)
    time.sleep(0.3)


FUNCTIONS = {"answers": (compute, nap, storm, fetch), "throttled": (quota,), "little": (little,)}
for function in FUNCTIONS[sys.argv[1]]:
    function()
with open("/tmp/truth.json", "w") as out:
    json.dump(truth, out)
