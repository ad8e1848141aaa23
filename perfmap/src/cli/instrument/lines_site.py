

def _perfmap():
    """Times the lines of the functions in PERFMAP_LINES with line_profiler, where --allow-instrumentation was given."""
    out, wanted = os.environ.get("PERFMAP_LINES_OUT"), {}
    for one in os.environ.get("PERFMAP_LINES", "").split("\n"):
        file, _, line = one.rpartition(":")
        if file and line.isdigit():
            wanted[os.path.realpath(file), int(line)] = file
    if not out or not wanted:
        return
    import atexit
    import threading
    import types
    told = {"profiler": None, "hindrance": None, "functions": []}
    write = _perfmap_writer(out, told)
    try:
        if sys.version_info < (3, 8):
            raise ImportError("Python before 3.8")
        import line_profiler
    except Exception as error:
        told["hindrance"] = "%s has no usable line_profiler (%s); %s -m pip install line_profiler" % (
            sys.executable, error, sys.executable)
        write()
        return
    import importlib.machinery
    told["profiler"] = "line_profiler %s" % getattr(line_profiler, "__version__", "")
    files = {file for file, _ in wanted}
    profiler = line_profiler.LineProfiler()
    known = []

    def timed(code):
        """The same code, but that line_profiler knows the functions in it that are wanted."""
        constants = tuple(timed(one) if isinstance(one, types.CodeType) else one for one in code.co_consts)
        code = code.replace(co_consts=constants)
        if (os.path.realpath(code.co_filename), code.co_firstlineno) in wanted and code.co_name != "<module>":
            cells = tuple(types.CellType() for _ in code.co_freevars)
            function = types.FunctionType(code, {}, code.co_name, None, cells)
            profiler.add_function(function)
            known.append(function)
            code = function.__code__
        return code

    def prepared(code):
        if not isinstance(code, types.CodeType) or os.path.realpath(code.co_filename) not in files:
            return code
        before = len(known)
        code = timed(code)
        if len(known) > before:
            profiler.enable()
        return code

    load = importlib.machinery.SourceFileLoader.get_code
    importlib.machinery.SourceFileLoader.get_code = lambda self, name: prepared(load(self, name))
    begin = threading.Thread.run

    def run(self):
        if known:
            profiler.enable()
        return begin(self)

    threading.Thread.run = run
    first = []

    def audit(event, arguments):
        """The script itself comes through no loader: the prepared one runs in its place."""
        if event != "exec" or first:
            return
        code = arguments[0] if arguments else None
        main = sys.modules.get("__main__")
        script = isinstance(code, types.CodeType) and code.co_name == "<module>" and main is not None
        if not script or code.co_filename != getattr(main, "__file__", None):
            return
        first.append(code)
        again = prepared(code)
        if again is not code:
            exec(again, main.__dict__)
            raise SystemExit(0)

    audit.__cantrace__ = True
    pid = os.getpid()

    def end():
        if os.getpid() != pid:
            return
        profiler.disable()
        stats = profiler.get_stats()
        for (file, line, _), rows in stats.timings.items():
            lines = [[at, hits, int(time * stats.unit * 1e9)] for at, hits, time in rows]
            name = wanted.get((os.path.realpath(file), line))
            if name is not None:
                told["functions"].append({"file": name, "line": line, "lines": lines})
        write()

    atexit.register(end)
    sys.addaudithook(audit)
