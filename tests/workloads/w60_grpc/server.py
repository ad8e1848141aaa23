"""A gRPC server that counts every call that it answered. On SIGTERM it prints its counters as JSON. usage: server.py READY_FD"""
import ctypes, json, os, signal, sys, threading, time
from concurrent import futures
import grpc

C = dict(round_trips=0, by_method={}, unanswered=0)
L = threading.Lock()


def counted(method, key="round_trips"):
    with L:
        C[key] += 1
        C["by_method"][method] = C["by_method"].get(method, 0) + 1


def get(request, context):
    counted("Get")
    time.sleep(0.005)
    return b"item " + request


def missing(request, context):
    counted("Missing")
    context.abort(grpc.StatusCode.NOT_FOUND, "no such item")


def watch(request, context):
    counted("Watch")
    for i in range(int(request)):
        time.sleep(0.002)
        yield b"event %d" % i


def collect(requests, context):
    n = sum(len(r) for r in requests)
    counted("Collect")
    return b"%d" % n


def chat(requests, context):
    counted("Chat")
    for r in requests:
        yield r.upper()


def forever(request, context):
    """Until the client gives up."""
    counted("Forever", "unanswered")
    over = threading.Event()
    context.add_callback(over.set)
    yield b"first"
    over.wait()


class Stock(grpc.GenericRpcHandler):
    def service(self, details):
        kinds = dict(Get=(grpc.unary_unary_rpc_method_handler, get), Missing=(grpc.unary_unary_rpc_method_handler, missing),
                     Watch=(grpc.unary_stream_rpc_method_handler, watch), Collect=(grpc.stream_unary_rpc_method_handler, collect),
                     Chat=(grpc.stream_stream_rpc_method_handler, chat), Forever=(grpc.unary_stream_rpc_method_handler, forever))
        service, _, method = details.method.lstrip("/").partition("/")
        if service == "shop.Stock" and method in kinds:
            kind, f = kinds[method]
            return kind(f)


def main(ready):
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Stock(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    os.write(ready, b"%d\n" % port)
    signal.sigwait({signal.SIGTERM})
    server.stop(1).wait()
    print(json.dumps(C), flush=True)


main(int(sys.argv[1]))
