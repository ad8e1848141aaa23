"""A plain-socket HTTP/1.1 server that answers in every odd shape the protocol has, and counts exactly. On SIGTERM it prints its
counters as JSON. usage: server.py READY_FD"""
import base64, ctypes, hashlib, json, os, signal, socket, sys, threading, time

C = dict(connections=0, round_trips=0, by_route={}, unanswered=0, continues=0, body_bytes=0, messages=0)
L = threading.Lock()
BODY = b"b" * 300


class Conn:
    def __init__(self, sock):
        self.s, self.buf = sock, b""

    def more(self):
        got = self.s.recv(65536)
        if not got:
            raise EOFError
        self.buf += got

    def until(self, mark):
        while mark not in self.buf:
            self.more()
        head, self.buf = self.buf.split(mark, 1)
        return head

    def exactly(self, n):
        while len(self.buf) < n:
            self.more()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out


def answered(route):
    with L:
        C["round_trips"] += 1
        C["by_route"][route] = C["by_route"].get(route, 0) + 1


def body_of(c, headers):
    if headers.get("expect", "").lower() == "100-continue":
        with L:
            C["continues"] += 1
        c.s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        n = 0
        while True:
            size = int(c.until(b"\r\n").split(b";")[0], 16)
            n += len(c.exactly(size))
            c.until(b"\r\n")
            if size == 0:
                return n
    return len(c.exactly(int(headers.get("content-length", 0))))


def frames(c):
    """echoes WebSocket text frames (short, masked) until a close frame"""
    while True:
        op, n = c.exactly(2)
        n &= 127
        mask = c.exactly(4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(c.exactly(n)))
        if op & 15 == 8:
            return
        with L:
            C["messages"] += 1
        c.s.sendall(bytes([129, len(data)]) + data)


def answer(c, method, route, headers):
    """True while the connection stays open"""
    time.sleep(0.002)
    if route == "/drop":
        with L:
            C["unanswered"] += 1
        return False
    if route == "/head":
        # The length of what GET would give; no body follows.
        c.s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
    elif route == "/nocontent":
        c.s.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    elif route == "/notmodified":
        c.s.sendall(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 300\r\n\r\n")
    elif route == "/close":
        c.s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(3):
            c.s.sendall(BODY)
            time.sleep(0.002)
        answered(route)
        return False
    elif route == "/ws":
        key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
        c.s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        answered(route)
        frames(c)
        return False
    else:
        c.s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
    answered(route)
    return True


def serve(sock):
    c = Conn(sock)
    try:
        while True:
            lines = c.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {k.strip().lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:])}
            n = body_of(c, headers)
            with L:
                C["body_bytes"] += n
            if not answer(c, method, target.split("?")[0], headers):
                return
    except (EOFError, ConnectionError):
        pass
    finally:
        sock.close()


def main():
    try:
        ctypes.CDLL(None).prctl(15, b"edge", 0, 0, 0)
    except Exception:
        pass
    srv = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept():
        while True:
            sock, _ = srv.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with L:
                C["connections"] += 1
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=accept, daemon=True).start()
    os.write(int(sys.argv[1]), b"%d\n" % srv.getsockname()[1])
    os.close(int(sys.argv[1]))
    signal.sigwait({signal.SIGTERM})
    with L:
        print(json.dumps(C), flush=True)
    os._exit(0)


main()
