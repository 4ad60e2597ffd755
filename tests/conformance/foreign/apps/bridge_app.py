"""The application behind the tests of others that keep their own application in the test's process: this one hands every
request over to it, through the socket BRIDGE_SOCKET, and does to the server whatever it does. bridge.py is the other end.

Each request opens one connection. Messages are a length and a pickle; both ends are of one Python and trust each other.
"""

import os
import pickle
import socket
import struct


class Channel:
    def __init__(self, connection):
        self.connection = connection
        self.unread = b""

    def send(self, kind, value=None, descriptor=None):
        data = pickle.dumps((kind, value))
        message = struct.pack("!I", len(data)) + data
        if descriptor is None:
            self.connection.sendall(message)
        else:
            sent = socket.send_fds(self.connection, [message], [descriptor])
            self.connection.sendall(message[sent:])

    def receive(self):
        """(kind, value, descriptor), or (None, None, None) at the end of the connection."""
        descriptor = None
        size = None
        while size is None or len(self.unread) < size:
            data, descriptors, _, _ = socket.recv_fds(self.connection, 65536, 1)
            if descriptors:
                (descriptor,) = descriptors
            if not data:
                return None, None, None
            self.unread += data
            if size is None and len(self.unread) >= 4:
                size = struct.unpack("!I", self.unread[:4])[0] + 4
        kind, value = pickle.loads(self.unread[4:size])
        self.unread = self.unread[size:]
        return kind, value, descriptor

    def close(self):
        self.connection.close()


class Torn(Exception):
    """What the other end's application raised, or that the other end is gone."""


class Relay:
    """One request: does what the other end asks for until it has something for the server."""

    def __init__(self, environ, start_response):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(os.environ["BRIDGE_SOCKET"])
        self.channel, self.environ, self.start_response, self.write = Channel(connection), environ, start_response, None
        told = {key: value for key, value in environ.items() if isinstance(value, (str, int, bool, tuple))}
        self.channel.send("environ", told)

    def until(self, *kinds):
        while True:
            kind, value, descriptor = self.channel.receive()
            if kind in kinds:
                return kind, value, descriptor
            if kind is None:
                raise Torn("the other end is gone")
            if kind == "raised":
                raise Torn(value)
            try:
                result = getattr(self, "on_" + kind)(*value)
            except Exception as error:  # the server's objects refuse: it is for the application there to hear it
                self.channel.send("refused", error)
            else:
                self.channel.send("done", result)

    def on_input(self, method, *arguments):
        return getattr(self.environ["wsgi.input"], method)(*arguments)

    def on_errors(self, method, *arguments):
        return getattr(self.environ["wsgi.errors"], method)(*arguments)

    def on_start_response(self, status, headers, error):
        if error is None:
            self.write = self.start_response(status, headers)
            return
        try:
            raise error
        except Exception as raised:
            self.write = self.start_response(status, headers, (type(raised), raised, raised.__traceback__))

    def on_write(self, data):
        self.write(data)

    def __iter__(self):
        return self

    def __next__(self):
        self.channel.send("next")
        kind, value, _ = self.until("item", "end")
        if kind == "end":
            raise StopIteration
        return value

    def close(self):
        try:
            self.channel.send("close")
            self.until("closed")
        finally:
            self.channel.close()


class SentFile:
    """A file of the other end, for the server's own wsgi.file_wrapper; closing it closes what it was there."""

    def __init__(self, descriptor, relay):
        self.file, self.relay = os.fdopen(descriptor, "rb"), relay
        self.read, self.fileno = self.file.read, self.file.fileno

    def close(self):
        self.file.close()
        self.relay.close()


def application(environ, start_response):
    relay = Relay(environ, start_response)
    try:
        _, block_size, descriptor = relay.until("returned")
    except BaseException:
        relay.channel.close()
        raise
    if descriptor is None:
        return relay
    return environ["wsgi.file_wrapper"](SentFile(descriptor, relay), block_size)
