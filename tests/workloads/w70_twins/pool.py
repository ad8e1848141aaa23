"""A pool of connections as libraries have them: who finds none waits until one is given back."""
import queue


class ConnectionPool:
    def __init__(self, size, make):
        self.free = queue.Queue()
        for _ in range(size):
            self.free.put(make())

    def acquire(self):
        return self.free.get()

    def release(self, connection):
        self.free.put(connection)
