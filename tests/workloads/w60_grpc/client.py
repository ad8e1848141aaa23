"""gRPC with the synchronous client, each kind of call in its own function, against `server.py` in another process, whose
counters are the truth. A call that streams is one round trip, an error status is an answer, a call that the client gives up is
none.
variants: unary errors streams cancel threads all"""
import json, os, signal, subprocess, sys, threading
import selftime
from selftime import sect
import grpc

HERE = os.path.dirname(os.path.abspath(__file__))
# The truth counts connections: every channel makes its own, and none asks for a proxy.
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
SECRET = (("authorization", "Bearer s3cr3t-t0ken"),)
PORT = 0


def channel():
    return grpc.insecure_channel("127.0.0.1:%d" % PORT, options=OPTIONS)


def unary_calls():
    with sect("unary_calls"):
        with channel() as c:
            get = c.unary_unary("/shop.Stock/Get")
            for i in range(25):
                assert get(b"%d" % i, metadata=SECRET, timeout=60) == b"item %d" % i


def error_calls():
    with sect("error_calls"):
        with channel() as c:
            for method, code in [("Missing", grpc.StatusCode.NOT_FOUND)] * 3 + [("Nothing", grpc.StatusCode.UNIMPLEMENTED)] * 2:
                try:
                    c.unary_unary("/shop.Stock/" + method)(b"x", timeout=60)
                    raise SystemExit("no error")
                except grpc.RpcError as e:
                    assert e.code() == code, e


def stream_calls():
    with sect("stream_calls"):
        with channel() as c:
            for n in (1, 10, 40):
                assert len(list(c.unary_stream("/shop.Stock/Watch")(b"%d" % n, timeout=60))) == n
            # Larger than one frame, both ways.
            big = [b"z" * 30000] * 4
            assert c.stream_unary("/shop.Stock/Collect")(iter(big), timeout=60) == b"120000"
            assert b"".join(c.stream_stream("/shop.Stock/Chat")(iter(big), timeout=60)) == b"Z" * 120000


def cancelled_calls():
    with sect("cancelled_calls"):
        with channel() as c:
            for _ in range(2):
                call = c.unary_stream("/shop.Stock/Forever")(b"", timeout=60)
                assert next(call) == b"first"
                call.cancel()
            # Read behind the cancelled ones, so both were told.
            assert c.unary_unary("/shop.Stock/Get")(b"1", timeout=60)


def threaded_calls():
    with sect("threaded_calls"):
        with channel() as c:
            get = c.unary_unary("/shop.Stock/Get")

            def ten():
                for i in range(10):
                    get(b"%d" % i, timeout=60)
            threads = [threading.Thread(target=ten) for _ in range(8)]
            [t.start() for t in threads]
            [t.join() for t in threads]


def main():
    global PORT
    variant = sys.argv[1] if len(sys.argv) > 1 else "all"
    # By variant: function, round trips, failed, and calls that no handler of the server's counts.
    shapes = dict(unary=(unary_calls, 25, 0, 0), errors=(error_calls, 5, 0, 2), streams=(stream_calls, 5, 0, 0),
                  cancel=(cancelled_calls, 1, 2, 0), threads=(threaded_calls, 80, 0, 0))
    chosen = [shapes[variant]] if variant != "all" else list(shapes.values())
    r, w = os.pipe()
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), str(w)], pass_fds=[w], stdout=subprocess.PIPE)
    os.close(w)
    PORT = int(os.read(r, 20))
    for f, _, _, _ in chosen:
        f()
    server.send_signal(signal.SIGTERM)
    counted = json.loads(server.communicate()[0])
    round_trips, failed, unhandled = (sum(shape[i] for shape in chosen) for i in (1, 2, 3))
    assert counted["round_trips"] + unhandled == round_trips and counted["unanswered"] == failed, counted
    selftime.finish("w60_grpc", variant,
                    functions=[selftime.fn(f.__name__, kind="grpc_call", http_round_trips=n) for f, n, _, _ in chosen],
                    http=dict(round_trips_total=round_trips, peers=[dict(service="server", port=PORT, round_trips=round_trips, failed=failed, connections=len(chosen), in_tree=True)]),
                    grpc=counted)


main()
