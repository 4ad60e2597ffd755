"""The plain cases under wsgiref.validate, which holds the server to PEP 3333 from the application's side."""

import warnings
from wsgiref.validate import validator

warnings.simplefilter("error")


@validator
def application(environ, start_response):
    body = environ["wsgi.input"].read(1 << 20)
    environ["wsgi.errors"].write("validated\n")
    if environ["REQUEST_METHOD"] == "HEAD":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"body ", body]


@validator
def generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])

    def items():
        for line in environ["wsgi.input"]:
            yield line

    return items()


@validator
def written(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return [b"returned"]
