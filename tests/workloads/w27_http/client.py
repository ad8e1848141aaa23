"""HTTP/1.1 in its odd shapes, each in its own function, against `server.py` in another process, whose counters are the truth.
variants: head nocontent notmodified close continue pipelined upload connect drop websocket all"""
import base64, http.client, json, os, signal, socket, subprocess, sys, time
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 0


def connect():
    s = socket.create_connection(("127.0.0.1", PORT))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def simple(method, path, n):
    c = http.client.HTTPConnection("127.0.0.1", PORT)
    for i in range(n):
        c.request(method, "%s?i=%d" % (path, i))
        c.getresponse().read()
    c.close()


def head_calls():
    with sect("head_calls"):
        simple("HEAD", "/head", 5)


def nocontent_calls():
    with sect("nocontent_calls"):
        simple("GET", "/nocontent", 6)


def notmodified_calls():
    with sect("notmodified_calls"):
        simple("GET", "/notmodified", 7)


def close_calls():
    with sect("close_calls"):
        for _ in range(4):
            s = connect()
            s.sendall(b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n")
            got = b""
            while True:
                b = s.recv(4096)
                if not b:
                    break
                got += b
            assert got.endswith(b"b" * 900), got[-20:]
            s.close()


def read_response(s, buf=b""):
    """head and body of one response with a Content-Length; what is left over"""
    while b"\r\n\r\n" not in buf:
        got = s.recv(65536)
        assert got, "closed early"
        buf += got
    head, buf = buf.split(b"\r\n\r\n", 1)
    n = [int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")]
    want = n[0] if n else 0
    while len(buf) < want:
        got = s.recv(65536)
        assert got, "closed early"
        buf += got
    return head, buf[want:]


def continue_calls():
    with sect("continue_calls"):
        s = connect()
        for _ in range(3):
            s.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
            head, rest = read_response(s)
            assert b" 100 " in head and not rest
            s.sendall(b"d" * 5000)
            head, rest = read_response(s)
            assert b" 200 " in head and not rest
        s.close()


def pipelined_calls():
    with sect("pipelined_calls"):
        s = connect()
        data = b"".join(b"GET /item/%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(50))
        # Seven sends that cut heads in the middle.
        step = len(data) // 7 + 1
        for i in range(0, len(data), step):
            s.sendall(data[i:i + step])
            time.sleep(0.003)
        rest = b""
        for _ in range(50):
            _, rest = read_response(s, rest)
        assert not rest
        s.close()


def upload_calls():
    with sect("upload_calls"):
        c = http.client.HTTPConnection("127.0.0.1", PORT)
        for _ in range(3):
            c.request("POST", "/upload", body=(b"p" * 2000 for _ in range(6)), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
            c.getresponse().read()
        c.close()


def refused_connects():
    with sect("refused_connects"):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))        # bound, not listening: nobody else can take the port meanwhile
        for _ in range(3):
            try:
                socket.create_connection(s.getsockname()).close()
                raise SystemExit("connect succeeded")
            except ConnectionRefusedError:
                pass
        s.close()


def dropped_call():
    with sect("dropped_call"):
        s = connect()
        s.sendall(b"GET /drop HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(100) == b""
        s.close()


def websocket_chat():
    with sect("websocket_chat"):
        s = connect()
        key = base64.b64encode(b"0123456789abcdef")
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        head, rest = read_response(s)
        assert b" 101 " in head
        for i in range(60):
            # The text looks like a request; it is none.
            text = b"GET /fake/%d HTTP/1.1" % i
            s.sendall(bytes([129, 128 | len(text), 0, 0, 0, 0]) + text)
            while len(rest) < 2 + len(text):
                rest += s.recv(4096)
            rest = rest[2 + len(text):]
        s.sendall(bytes([136, 128, 0, 0, 0, 0]))
        s.close()


WORK = dict(head=head_calls, nocontent=nocontent_calls, notmodified=notmodified_calls, close=close_calls, pipelined=pipelined_calls,
            upload=upload_calls, connect=refused_connects, drop=dropped_call, websocket=websocket_chat)
WORK["continue"] = continue_calls
ROUTES = dict(head="/head", nocontent="/nocontent", notmodified="/notmodified", close="/close", pipelined=None, websocket="/ws")


def main():
    global PORT
    variant = sys.argv[1] if len(sys.argv) > 1 else "all"
    r, w = os.pipe()
    p = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), str(w)], pass_fds=(w,), stdout=subprocess.PIPE)
    os.close(w)
    PORT = int(os.read(r, 32))
    names = sorted(WORK) if variant == "all" else [variant]
    own = {}
    for name in names:
        WORK[name]()
    time.sleep(0.05)                    # the server's threads see the last closes
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate()
    c = json.loads(out)
    by = c["by_route"]
    items = sum(n for k, n in by.items() if k.startswith("/item/"))
    counted = dict(head=by.get("/head", 0), nocontent=by.get("/nocontent", 0), notmodified=by.get("/notmodified", 0), close=by.get("/close", 0),
                   pipelined=items, websocket=by.get("/ws", 0), connect=0, drop=0)
    uploads = by.get("/upload", 0)
    counted["continue"] = c["continues"]
    counted["upload"] = uploads - c["continues"]
    selftime.finish("w27_http", variant,
                    functions=[selftime.fn(WORK[n].__name__, kind="http_call", http_round_trips=counted[n]) for n in names],
                    http=dict(round_trips_total=c["round_trips"],
                              peers=[dict(service="edge", port=PORT, round_trips=c["round_trips"], connections=c["connections"],
                                          failed=c["unanswered"], in_tree=True)] if c["connections"] else []),
                    server=c, baseline=dict(http_round_trips=dict(value=c["round_trips"])), suspicions=[])


if __name__ == "__main__":
    main()
