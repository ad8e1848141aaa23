"""Names looked up through the C library's resolver, from a name server of our own: over UDP, over TCP where an answer does not
fit, a name that is not there, and a question that is answered only when it is asked again. The server counts what it was asked and
what it answered."""
import os, socket, struct, subprocess, sys, threading
import selftime
from selftime import sect

N = int(os.environ.get("WL_N", "10"))
PORT = 53
DELAY = 0.005


def serve():
    """Prints "ready", serves until its standard input ends, then prints the questions and the answers."""
    counts, silent, lock = [0, 0], set(), threading.Lock()

    def answer(message, tcp):
        at, labels = 12, []
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        question, kind = message[12:at + 5], struct.unpack("!H", message[at + 1:at + 3])[0]
        name = labels[0]
        with lock:
            counts[0] += 1
            if name.startswith("late") and name not in silent:
                silent.add(name)  # asked again after the resolver's time-out
                return None
            counts[1] += 1
        threading.Event().wait(DELAY)
        flags, records = 0x8180, b""
        if name.startswith("none"):
            flags |= 3
        elif name.startswith("large") and not tcp:
            flags |= 0x200
        elif kind == 1:
            records = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([127, 0, 0, 7])
        return message[:2] + struct.pack("!HHHHH", flags, 1, bool(records), 0, 0) + question + records

    def datagrams(s):
        while True:
            message, whom = s.recvfrom(2048)
            reply = answer(message, False)
            if reply:
                s.sendto(reply, whom)

    def streams(s):
        while True:
            c = s.accept()[0]
            with c:
                while True:
                    length = c.recv(2, socket.MSG_WAITALL)
                    if len(length) < 2:
                        break
                    reply = answer(c.recv(struct.unpack("!H", length)[0], socket.MSG_WAITALL), True)
                    c.sendall(struct.pack("!H", len(reply)) + reply)

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", PORT))
    tcp = socket.create_server(("127.0.0.1", PORT))
    threading.Thread(target=datagrams, args=(udp,), daemon=True).start()
    threading.Thread(target=streams, args=(tcp,), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    print(*counts, flush=True)
    os._exit(0)


def address(name):
    return socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]


def look_up():
    with sect("look_up"):
        for i in range(N):
            assert address("host%d.example." % i) == "127.0.0.7"


def look_up_large():
    with sect("look_up_large"):
        assert address("large.example.") == "127.0.0.7"


def look_up_nothing():
    with sect("look_up_nothing"):
        try:
            address("none.example.")
        except socket.gaierror:
            return
    sys.exit("a name that is not there was found")


def look_up_late():
    with sect("look_up_late"):
        assert address("late.example.") == "127.0.0.7"


def main():
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    steps = (look_up, look_up_large, look_up_nothing, look_up_late)
    for step in steps:
        step()
    asked, answered = map(int, server.communicate()[0].split())
    selftime.finish("w35_names", functions=[selftime.fn(step.__name__) for step in steps],
                    names=dict(asked=asked, answered=answered, port=PORT))


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
