"""Three services, each called from a function of its own: `orders` says its name in OTEL_SERVICE_NAME, `billing` names its
process, `stock` says nothing. WL_GROUP: a directory of the cgroup file system that `stock` enters before it executes."""
import http.client, os, subprocess, sys
import selftime
from selftime import sect

N = int(os.environ.get("WL_N", "4"))


def start(script, **env):
    environment = dict(os.environ, **env)
    command = [sys.executable, script]
    group = os.environ.get("WL_GROUP")
    if group and script == "stock.py":
        command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', os.path.join(group, "cgroup.procs"), *command]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    return child, int(child.stdout.readline())


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(N):
        connection.request("GET", "/")
        assert connection.getresponse().read()
    connection.close()


def ask_orders(port):
    with sect("ask_orders"):
        ask(port)


def ask_billing(port):
    with sect("ask_billing"):
        ask(port)


def ask_stock(port):
    with sect("ask_stock"):
        ask(port)


def main():
    started = [start("orders.py", OTEL_SERVICE_NAME="orders-api"), start("billing.py"), start("stock.py")]
    for call, (_, port) in zip((ask_orders, ask_billing, ask_stock), started):
        call(port)
    for child, _ in started:
        child.stdin.close()
        child.wait()
    peers = [{"service": name, "port": port, "round_trips": N, "connections": 1, "failed": 0}
             for name, (_, port) in zip(("orders", "billing", "stock"), started)]
    selftime.finish("w46_services", "default", http={"peers": peers})


if __name__ == "__main__":
    main()
