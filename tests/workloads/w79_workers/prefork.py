"""A server with four equal processes, each answers one request after the other: 8 ms of its own, 6 ms under a lock on a
   file.  prefork.py serve PORT_FILE | prefork.py ask PORT: eight threads that ask; prints how many answers a second"""
import fcntl, http.client, os, signal, socket, sys, tempfile, threading, time

WORKERS, CLIENTS, REQUESTS = 4, 8, 20


def prepare():
    time.sleep(0.008)


def save(lock):
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        time.sleep(0.006)


def answer(connection, lock):
    connection.recv(4096)
    prepare()
    save(lock)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def worker(listener, lock):
    while True:
        connection, _ = listener.accept()
        with connection:
            answer(connection, lock)


def serve(port_file):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    lock = os.path.join(tempfile.mkdtemp(prefix="perfmap-prefork-"), "lock")
    children = []
    for _ in range(WORKERS):
        child = os.fork()
        if child == 0:
            worker(listener, lock)
        children.append(child)
    with open(port_file + ".new", "w") as out:
        out.write(str(listener.getsockname()[1]))
    os.rename(port_file + ".new", port_file)

    def end(*_):
        for child in children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        signal.pause()


def ask(port):
    answered = []

    def client():
        for _ in range(REQUESTS):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/item")
            assert connection.getresponse().read() == b"ok"
            answered.append(time.perf_counter())
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print((len(answered) - 1) / (max(answered) - min(answered)))


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    ask(int(sys.argv[2]))
