"""Put before the program by perfmap for one run, because an option asked for what is below. Changes no file; the program is slower,
and with tracemalloc larger. A sitecustomize of the installation's own is loaded as ever."""
import os
import sys


def _perfmap_leave_path():
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place or os.curdir) != here]


def _perfmap_writer(out, told):
    """What this process has to tell goes to a file of its own."""
    def write():
        import json
        path = os.path.join(out, "%d.json" % os.getpid())
        try:
            with open(path + ".new", "w") as file:
                json.dump(told, file)
            os.replace(path + ".new", path)
        except OSError:
            pass
    return write
