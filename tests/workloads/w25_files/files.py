"""File reads and writes of known sizes from Python: buffered, unbuffered, positional, vectored, copied inside the kernel."""
import os, shutil, tempfile
import selftime
from selftime import sect

BYTES = {}      # function -> [read, written], as the calls returned
A = B = None


def count(fn, read=0, written=0):
    r = BYTES.setdefault(fn, [0, 0])
    r[0] += read
    r[1] += written


def write_lines():
    with sect("write_lines"):
        with open(A, "w") as f:
            for i in range(20000):
                f.write("line %06d\n" % i)
        count("write_lines", written=20000 * 12)


def write_raw():
    with sect("write_raw"):
        with open(B, "wb", buffering=0) as f:
            for _ in range(300):
                count("write_raw", written=f.write(b"z" * 700))


def read_text():
    with sect("read_text"):
        with open(A) as f:
            count("read_text", read=len(f.read()))


def read_raw():
    with sect("read_raw"):
        with open(B, "rb", buffering=0) as f:
            while True:
                b = f.read(999)
                if not b:
                    break
                count("read_raw", read=len(b))


def pread_blocks():
    with sect("pread_blocks"):
        fd = os.open(A, os.O_RDONLY)
        for i in range(50):
            count("pread_blocks", read=len(os.pread(fd, 1000, i * 4000)))
        os.close(fd)


def writev_parts():
    with sect("writev_parts"):
        fd = os.open(B, os.O_WRONLY | os.O_TRUNC)
        for _ in range(100):
            count("writev_parts", written=os.writev(fd, [b"a" * 10, b"b" * 990, b"c" * 24]))
        os.close(fd)


def copy_file():
    with sect("copy_file"):
        shutil.copyfile(A, B)
        n = os.path.getsize(A)
        count("copy_file", read=n, written=n)


if __name__ == "__main__":
    d = tempfile.mkdtemp()
    A, B = os.path.join(d, "a"), os.path.join(d, "b")
    work = [write_lines, write_raw, read_text, read_raw, pread_blocks, writev_parts, copy_file]
    for f in work:
        f()
    shutil.rmtree(d)
    selftime.finish("w25_files", "py", functions=[selftime.fn(f.__name__, kind="file_io") for f in work], suspicions=[],
                    files=[dict(function=f, io_read_bytes=r, io_write_bytes=w) for f, (r, w) in BYTES.items()])
