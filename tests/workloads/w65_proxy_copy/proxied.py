"""client → a proxy that only copies bytes between two sockets → front (threaded) → store (threaded).
socat: a process for each connection. copy: two threads for each connection. splice: the same, without the bytes passing through user
space. docker: docker-proxy itself, which splices (Go)."""
import json, os, shutil, signal, socket, subprocess, sys, tempfile, threading
import chain
import selftime

HERE = os.path.dirname(os.path.abspath(__file__))


def one_way(source, to):
    while True:
        block = source.recv(65536)
        if not block:
            break
        to.sendall(block)
    to.shutdown(socket.SHUT_WR)


def one_way_spliced(source, to):
    read, write = os.pipe()
    while True:
        count = os.splice(source.fileno(), write, 65536)
        if not count:
            break
        while count:
            count -= os.splice(read, to.fileno(), count)
    to.shutdown(socket.SHUT_WR)


def copy(port, to, way):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", to))
        threading.Thread(target=way, args=(client, server), daemon=True).start()
        threading.Thread(target=way, args=(server, client), daemon=True).start()


def proxy(variant, port, to):
    if variant == "socat":
        return ["socat", "TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr,fork,nodelay" % port, "TCP:127.0.0.1:%d,nodelay" % to]
    if variant == "docker":
        # It says on descriptor 3 that it listens.
        words = ["docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", str(port), "-container-ip", "127.0.0.1", "-container-port", str(to)]
        return ["sh", "-c", 'exec "$@" 3>/dev/null', "sh"] + words
    return [sys.executable, os.path.abspath(__file__), variant, str(port), str(to)]


def main(variant):
    d = tempfile.mkdtemp(prefix="w65-")
    try:
        edge, front, store = chain.free_ports(3)
        me = [sys.executable, os.path.join(HERE, "chain.py")]
        logs = {n: os.path.join(d, n) for n in ("front", "store")}
        children = [subprocess.Popen(me + ["store", str(store), "0", logs["store"]]),
                    subprocess.Popen(me + ["front", str(front), str(store), logs["front"]])]
        for port in (front, store):
            chain.wait_for(port)
        children.append(subprocess.Popen(proxy(variant, edge, front)))
        chain.wait_for(edge)
        chain.load_pages(edge)
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait()
        seen = {}
        for name, log in logs.items():
            with open(log) as f:
                seen.update({(name, k): v for k, v in json.load(f).items()})
    finally:
        shutil.rmtree(d, ignore_errors=True)
    below = [dict(function=k, calls=v[0], wall_ms=v[1] / 1e6, cpu_ms=v[2] / 1e6)
             for (name, k), v in seen.items() if k in ("look_up", "render_page", "scan_rows")]
    peer = lambda service, port, n: dict(service=service, port=port, round_trips=n, failed=0)
    n = chain.N
    selftime.finish("w65_proxy_copy", variant, functions=[selftime.fn("load_pages", kind="http_call", http_round_trips=n)] + below,
                    http=dict(peers=[peer("proxy", edge, n), peer("front", front, seen["front", "requests"][0]),
                                     peer("store", store, seen["store", "requests"][0])]))


if __name__ == "__main__":
    if len(sys.argv) > 3:
        copy(int(sys.argv[2]), int(sys.argv[3]), one_way_spliced if sys.argv[1] == "splice" else one_way)
    else:
        main(sys.argv[1])
