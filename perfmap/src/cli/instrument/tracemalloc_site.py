

def _perfmap():
    """Python's own tracemalloc counts what is allocated and not freed, by the project's function that did it: --tracemalloc."""
    out = os.environ.get("PERFMAP_MEMORY_OUT")
    roots = [root.rstrip("/") + "/" for root in os.environ.get("PERFMAP_MEMORY_ROOTS", "").split("\n") if root]
    if not out or not roots:
        return
    import atexit
    told = {"hindrance": None, "live": 0, "peak": 0, "functions": []}
    write = _perfmap_writer(out, told)
    try:
        if sys.version_info < (3, 8):
            raise ImportError("Python before 3.8")
        import tracemalloc
    except Exception as error:
        told["hindrance"] = "%s has no usable tracemalloc (%s)" % (sys.executable, error)
        write()
        return
    pid = os.getpid()
    # Deep enough to come from a library's inside to the project's function that called it.
    tracemalloc.start(16)

    def functions(file):
        """(first line, last line, qualified name) of all of a file's, outer ones first."""
        import ast
        found = []

        def below(node, above):
            for child in ast.iter_child_nodes(node):
                name = above
                if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    name = above + [child.name]
                    if not isinstance(child, ast.ClassDef):
                        first = min([child.lineno] + [one.lineno for one in child.decorator_list])
                        found.append((first, child.end_lineno, ".".join(name)))
                        name = name + ["<locals>"]
                below(child, name)

        try:
            with open(file, "rb") as source:
                below(ast.parse(source.read()), [])
        except (OSError, SyntaxError, ValueError, RecursionError):
            pass
        return found

    def end():
        if os.getpid() != pid:
            return
        told["live"], told["peak"] = tracemalloc.get_traced_memory()
        snapshot = tracemalloc.take_snapshot()
        tracemalloc.stop()
        own, lines = {}, {}

        def is_own(file):
            if file not in own:
                real = os.path.realpath(file)
                inside = any(real.startswith(root) for root in roots)
                own[file] = inside and not file.startswith("<") and "/site-packages/" not in real and "/dist-packages/" not in real
            return own[file]

        for trace in snapshot.traces:
            for frame in reversed(trace.traceback):
                if is_own(frame.filename):
                    size, blocks = lines.get((frame.filename, frame.lineno), (0, 0))
                    lines[frame.filename, frame.lineno] = (size + trace.size, blocks + 1)
                    break
        known, sums = {}, {}
        for (file, line), (size, blocks) in lines.items():
            if file not in known:
                known[file] = functions(file)
            around = [one for one in known[file] if one[0] <= line <= one[1]]
            first, _, name = around[-1] if around else (1, 0, "<module>")
            before = sums.get((file, first, name), (0, 0, (0, 0)))
            sums[file, first, name] = (before[0] + size, before[1] + blocks, max(before[2], (size, line)))
        largest = sorted(sums.items(), key=lambda one: (-one[1][0], one[0]))[:100]
        told["functions"] = [
            {"file": os.path.abspath(file), "line": first, "at": most[1], "function": name, "bytes": size,
             "blocks": blocks}
            for (file, first, name), (size, blocks, most) in largest]
        write()

    atexit.register(end)
