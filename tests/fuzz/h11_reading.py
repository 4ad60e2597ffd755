"""One request as h11 reads it, as text that the differential fuzzer compares with Stint's own reading of the same bytes.

Runs in the interpreter that h11_reader.cc embeds. h11 shares no code and no author with llhttp or with Stint.
"""

import h11

# Longer than any input: sizes are a matter of Stint's own limits.
LARGEST = 1 << 20


def is_dropped(name: bytes) -> bool:
    """What Stint takes out of every head: server/http/request_parser.h."""
    return b"_" in name or name.lower() == b"proxy"


def text_of(request: h11.Request, waits: bool, body: bytes, state, used: int) -> bytes:
    values = dict(request.headers)  # names in lower case
    if b"transfer-encoding" in values:
        framing = b"chunked"
    elif b"content-length" in values:
        framing = b"length %d" % int(values[b"content-length"])
    else:
        framing = b"none"
    lines = [b"method %b" % request.method, b"target %b" % request.target, b"version %b" % request.http_version]
    # h11 keeps no connection of HTTP/1.0 alive, and does not say while the protocol might change.
    if request.http_version == b"1.1" and state in (h11.DONE, h11.MUST_CLOSE):
        lines.append(b"keep-alive %d" % (state is h11.DONE))
    for name, value in request.headers.raw_items():
        if not is_dropped(name):
            lines.append(b"field %b: %b" % (name, value))
    lines += [b"framing %b" % framing, b"continue %d" % (waits and framing not in (b"none", b"length 0"))]
    lines += [b"used %d" % used, b"body %b" % body]
    return b"\n".join(lines)


def read(data: bytes) -> bytes:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST)
    request, waits, body = None, False, []
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return b"incomplete"
            if isinstance(event, h11.Request):
                request, waits = event, connection.they_are_waiting_for_100_continue
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
    except h11.RemoteProtocolError as error:
        return b"refused: " + str(error).encode("utf-8", "backslashreplace")
    used = len(data) - len(connection.trailing_data[0])
    return text_of(request, waits, b"".join(body), connection.their_state, used)
