"""The services of the twins, a process of their own. HTTP/1.1: /t/MS/… answers after MS milliseconds of sleep, in one write, with
a body of words that no two answers share; /page/CURSOR with the next cursor; /busy/… refuses more than a few requests a second.
RESP on the second port: every command after 4 ms. HTTPS on the third. Prints its ports, ends with its standard input."""
import os, socket, ssl, sys, threading, time, uuid

DELAY = 0.004
RATE = 0.02                       # seconds between two requests that /busy lets through
lock, let_through = threading.Lock(), [0.0]


def token():
    return uuid.uuid4().hex


def answer(target):
    """(status, body) of a request, after the time that it takes."""
    parts = target.strip("/").split("/")
    if parts[0] == "t":
        time.sleep(int(parts[1]) / 1000)
        if parts[2:3] == ["rates"]:
            return 200, '{"rates": "the-same-for-all", "euro": 11520}'
    if parts[0] == "page":
        time.sleep(0.015)
        return 200, '{"cursor": "%s"}' % token()
    if parts[0] == "busy":
        with lock:
            now = time.monotonic()
            if now - let_through[0] < RATE:
                return 429, '{"error": "slow down"}'
            let_through[0] = now
    return 200, '{"id": "%s"}' % token()


def http(c, tls=None):
    if tls:
        c = tls.wrap_socket(c, server_side=True)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = c.recv(65536)
            if not more:
                return c.close()
            data += more
        head, data = data.split(b"\r\n\r\n", 1)
        length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        while length and len(data) < length[0]:
            data += c.recv(65536)
        data = data[length[0]:] if length else data
        status, body = answer(head.split(b" ", 2)[1].decode())
        c.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body.encode()))


def resp(c):
    """Commands as arrays of strings; a pipeline is answered in one write, after one delay."""
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = c.makefile("rb")
    while True:
        line = file.readline()
        if not line:
            return
        words = []
        for _ in range(int(line[1:])):
            words.append(file.read(int(file.readline()[1:]) + 2)[:-2])
        time.sleep(DELAY)
        if words[0] == b"MGET":
            c.sendall(b"*%d\r\n" % (len(words) - 1) + b"".join(b"$9\r\nvalue-%03d\r\n" % (i % 1000) for i in range(len(words) - 1)))
        else:
            c.sendall(b"$9\r\nvalue-001\r\n")


def listen(serve, *more):
    s = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept():
        while True:
            c = s.accept()[0]
            threading.Thread(target=quiet, args=(serve, c) + more, daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return s.getsockname()[1]


def quiet(serve, *words):
    try:
        serve(*words)
    except OSError:
        pass


def names():
    """A name server at port 53 of a network of its own: an address for everything."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 53))

    def reply():
        while True:
            q, whom = s.recvfrom(2048)
            time.sleep(DELAY)
            at = 12
            while q[at]:
                at += 1 + q[at]
            is_a = q[at + 1:at + 3] == b"\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_a else b""
            s.sendto(q[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0" + q[12:at + 5] + record, whom)
    threading.Thread(target=reply, daemon=True).start()


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(here, "cert.pem"), os.path.join(here, "key.pem"))
    if "names" in sys.argv:
        names()
    print(listen(http), listen(resp), listen(http, tls), flush=True)
    sys.stdin.read()
