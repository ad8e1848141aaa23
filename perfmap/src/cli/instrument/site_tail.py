

_perfmap_leave_path()
_perfmap()
del _perfmap, _perfmap_leave_path, _perfmap_writer
_own = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize
except ImportError:
    sys.modules["sitecustomize"] = _own
