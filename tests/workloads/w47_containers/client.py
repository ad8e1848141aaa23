"""A client on the host, and services in namespaces of their own. Needs root.
container: two containers under runc, each with its own process ids, files and network, reached over veth: a Python service
(shop.py) that a compose label names, and a native one (depot) with its own name alone.
hold, calls: the same containers started by somebody else, before.
unix: a container whose Unix socket lies in a directory that it shares with the host.
loopback: twice the same connection, 127.0.0.1:40000 to 127.0.0.1:8000, at the same time in two network namespaces.
nat: a service behind a translated address, as published ports of containers are.
nat_held: the same with a service in between, whose connections are made before its pid is printed.
nat_open, nat_calls: the services, held by somebody else, and a client that enters their network."""
import ctypes, http.client, json, os, shutil, socket, subprocess, sys, tempfile, threading, time
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
INSIDE = os.path.join(HERE, "bin", "shop")
N = int(os.environ.get("WL_N", "5"))
ME = os.getpid()
UNDO = []
os.environ["PATH"] += ":/usr/sbin:/sbin"


def do(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def namespace(number):
    """a network namespace, joined to ours: 10.213.<number>.1 is our end of the wire, .2 is its"""
    name, here, there = "pm%d_%d" % (ME, number), "pm%dh%d" % (number, ME % 100000), "pm%dc%d" % (number, ME % 100000)
    do("ip", "netns", "add", name)
    UNDO.append(lambda: do("ip", "netns", "del", name))
    do("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
    do("ip", "addr", "add", "10.213.%d.1/30" % number, "dev", here)
    do("ip", "link", "set", here, "up")
    do("ip", "-n", name, "addr", "add", "10.213.%d.2/30" % number, "dev", there)
    do("ip", "-n", name, "link", "set", there, "up")
    do("ip", "-n", name, "link", "set", "lo", "up")
    do("ip", "-n", name, "route", "add", "default", "via", "10.213.%d.1" % number)
    return name


def started(command, **environment):
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, **environment))

    def end():
        child.stdin.close()
        child.wait(10)

    UNDO.append(end)
    assert child.stdout.readline().strip().isdigit(), "%s did not start" % command
    return child


def container(number, arguments, annotations, shared=None, **environment):
    """its files: the host's programs and libraries, /srv/shop, and a /tmp of its own"""
    bundle = tempfile.mkdtemp(prefix="pm-bundle-")
    UNDO.append(lambda: shutil.rmtree(bundle))
    os.chmod(bundle, 0o755)
    root = os.path.join(bundle, "rootfs")
    binds = {path: path for path in ("/usr", "/lib", "/lib64", "/bin") if os.path.isdir(path)}
    binds["/srv/shop"] = INSIDE
    if shared:
        binds["/run/shared"] = shared
    python = os.path.realpath(sys.executable)
    if sys.base_prefix != "/usr":
        binds["/opt/python"] = sys.base_prefix
        python = "/opt/python" + python[len(sys.base_prefix):]
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
              {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
              {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=1777"]}]
    for inside, outside in binds.items():
        os.makedirs(root + inside)
        mounts.append({"destination": inside, "type": "bind", "source": outside, "options": ["rbind"] if inside == "/run/shared" else ["rbind", "ro"]})
    for made in ("proc", "dev", "tmp"):
        os.makedirs(os.path.join(root, made))
    kinds = [{"type": kind} for kind in ("pid", "mount", "uts", "ipc")]
    kinds.append({"type": "network", "path": "/run/netns/" + namespace(number)})
    config = {
        "ociVersion": "1.0.2", "hostname": "c%d" % number, "root": {"path": "rootfs"}, "mounts": mounts,
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/srv/shop",
                    "args": [python if word == "python" else word for word in arguments],
                    "env": ["PATH=/usr/bin:/bin", "LD_LIBRARY_PATH=/opt/python/lib", "WL_HOST=0.0.0.0",
                            "PYTHONDONTWRITEBYTECODE=1", *("%s=%s" % pair for pair in environment.items())]},
        "linux": {"namespaces": kinds}, "annotations": annotations}
    with open(os.path.join(bundle, "config.json"), "w") as file:
        json.dump(config, file)
    name = "pm%d-c%d" % (ME, number)
    UNDO.append(lambda: subprocess.run(["runc", "delete", "-f", name], stderr=subprocess.DEVNULL))
    started(["runc", "run", "-b", bundle, name])
    return name


def ask(host, port, source=None):
    """returns the CPU time, in ms, that the service says it took for its work"""
    connection, spent = http.client.HTTPConnection(host, port, source_address=source), 0
    if isinstance(port, str):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(port)
    for _ in range(N):
        connection.request("GET", "/")
        spent += int(connection.getresponse().read())
    connection.close()
    return spent / 1e6


def ask_shop():
    with sect("ask_shop"):
        return ask("10.213.1.2", 8000)


def ask_depot():
    with sect("ask_depot"):
        return ask("10.213.2.2", 8000)


def two_containers():
    container(1, ["python", "shop.py"], {"com.docker.compose.service": "basket"})
    return container(2, ["./depot", "8000"], {})


def containers():
    name = two_containers()
    return {"spent_ms": {"weigh_basket": ask_shop(), "pack_parcel": ask_depot()}, "depot": name}


def hold():
    """the containers alone, until standard input ends"""
    print(two_containers(), flush=True)
    sys.stdin.read()
    return {}


def calls():
    """to containers that somebody else holds"""
    return {"spent_ms": {"weigh_basket": ask_shop(), "pack_parcel": ask_depot()}}


def ask_shared(path):
    with sect("ask_shared"):
        return ask("localhost", path)


def unix():
    shared = tempfile.mkdtemp(prefix="pm-shared-")
    UNDO.append(lambda: shutil.rmtree(shared))
    name = container(1, ["python", "shop.py"], {}, shared, WL_PORT="/run/shared/shop.sock")
    return {"spent_ms": {"weigh_basket": ask_shared(os.path.join(shared, "shop.sock"))}, "shop": name}


def ask_left():
    ask("127.0.0.1", 8000, ("127.0.0.1", 40000))


def ask_right():
    ask("127.0.0.1", 8000, ("127.0.0.1", 40000))


def one_side(side):
    """one of two that do the same at the same time; runs in its own network namespace"""
    started([sys.executable, "shop.py"], WL_WORK="weigh_" + side)
    print("1", flush=True)
    assert sys.stdin.readline(), "nobody says go"
    (ask_left if side == "left" else ask_right)()
    print("2", flush=True)
    sys.stdin.read()


def loopbacks():
    sides = []
    for number, side in enumerate(("left", "right"), 1):
        words = ["ip", "netns", "exec", namespace(number), sys.executable, __file__, side]
        # The right one takes longer, so that its end is waited for.
        sides.append(started(words, WL_N=str(N * number)))
    with sect("loopbacks"):
        for child in sides:
            child.stdin.write(b"go\n")
            child.stdin.flush()
        for child in sides:
            assert child.stdout.readline() == b"2\n"
    return {}


def ask_published():
    with sect("ask_published"):
        ask("10.213.9.9", 80)


def ask_masqueraded():
    with sect("ask_masqueraded"):
        ask("10.213.9.8", 80, ("10.213.8.1", 0))


def translated():
    """from a network namespace of our own, because the machine's rules are not ours to change"""
    assert ctypes.CDLL(None).unshare(0x40000000) == 0, "unshare"  # CLONE_NEWNET
    do("ip", "link", "set", "lo", "up")
    do("ip", "addr", "add", "10.213.8.1/32", "dev", "lo")
    server = [sys.executable, os.path.join(HERE, "shop.py")]
    for number, work in ((1, "weigh_left"), (2, "weigh_right")):
        started(["ip", "netns", "exec", namespace(number), *server], WL_HOST="0.0.0.0", WL_WORK=work)
    do("ip", "route", "add", "10.213.9.9", "via", "10.213.1.2")
    do("ip", "route", "add", "10.213.9.8", "via", "10.213.2.2")
    do("nft", """
        add table ip pm
        add chain ip pm out { type nat hook output priority -100; }
        add chain ip pm post { type nat hook postrouting priority 100; }
        add rule ip pm out ip daddr 10.213.9.9 tcp dport 80 dnat to 10.213.1.2:8000
        add rule ip pm out ip daddr 10.213.9.8 tcp dport 80 dnat to 10.213.2.2:8000
        add rule ip pm post ip saddr 10.213.8.1 snat to 10.213.2.1""")


def nat():
    translated()
    ask_published()
    ask_masqueraded()
    return {}


def ask_again(connection):
    connection.request("GET", "/")
    connection.getresponse().read()


def ask_published_again(connection):
    ask_again(connection)


def ask_masqueraded_again(connection):
    ask_again(connection)


def nat_front():
    """a service that asks both over connections that it made before it serves"""
    import serve
    published = http.client.HTTPConnection("10.213.9.9", 80)
    masqueraded = http.client.HTTPConnection("10.213.9.8", 80, source_address=("10.213.8.1", 0))
    both = (published, masqueraded)
    for connection in both:
        ask_again(connection)

    def forward():
        ask_published_again(published)
        ask_masqueraded_again(masqueraded)

    serve.serve(forward, 7000)


def nat_held():
    translated()
    child = started([sys.executable, __file__, "nat_front"])
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print(child.pid, flush=True)
    front = http.client.HTTPConnection("127.0.0.1", 7000)
    while not ended.wait(0.01):
        ask_again(front)
    return {}


def nat_open():
    """the services alone, for a client that enters this network"""
    translated()
    print(ME, flush=True)
    sys.stdin.read()
    return {}


def nat_calls():
    ask_published()
    return {}


def main(variant):
    try:
        extra = {"container": containers, "unix": unix, "hold": hold, "calls": calls, "loopback": loopbacks, "nat": nat,
                 "nat_held": nat_held, "nat_open": nat_open, "nat_calls": nat_calls}[variant]()
    finally:
        for undo in reversed(UNDO):
            undo()
    selftime.finish("w47_containers", variant, **extra)


if __name__ == "__main__":
    if sys.argv[1] == "nat_front":
        nat_front()
    elif sys.argv[1] in ("left", "right"):
        try:
            one_side(sys.argv[1])
        finally:
            for undo in reversed(UNDO):
                undo()
    else:
        main(sys.argv[1])
