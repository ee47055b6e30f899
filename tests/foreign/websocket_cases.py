"""What RFC 6455 asks of a server, in its order: sections 5 to 8, case by case over a real socket.

    python websocket_cases.py URL

URL is a WebSocket that sends back messages of up to 16 MiB in up to 1,024 fragments. Python's `websockets`, which is not
our client, makes the handshake and reads the answers; what is sent is put together here byte by byte, since no client
sends what half of the cases need. Small ones are sent twice: at once, and byte by byte.

Prints {"case": NAME, "want": [...], "got": [...]} for each case that fails, then {"cases": COUNT}; ends with 0 when
none failed. Whoever starts this bounds its time.
"""

import json
import os
import socket
import struct
import sys
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.uri import parse_uri

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
PATIENCE_S = 20
MIB = 1 << 20


def frame(first, payload=b"", mask=None, form=None, announce=None):
    """A masked frame; `form` is the length's form (7, 16 or 64 bits) when it is not to be the shortest."""
    length = len(payload) if announce is None else announce
    form = form or (7 if length < 126 else 16 if length < 65536 else 64)
    head = {
        7: lambda: struct.pack("!BB", first, 0x80 | length),
        16: lambda: struct.pack("!BBH", first, 0x80 | 126, length),
        64: lambda: struct.pack("!BBQ", first, 0x80 | 127, length),
    }[form]()
    mask = os.urandom(4) if mask is None else mask
    wide = mask * (len(payload) // 4 + 1)
    size = len(payload)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(wide[:size], "big")
    return head + mask + masked.to_bytes(size, "big")


def fragments(opcode, *parts):
    """A message in fragments."""
    last = len(parts) - 1
    return b"".join(
        frame((FIN if at == last else 0) | (CONTINUATION if at else opcode), part) for at, part in enumerate(parts)
    )


def close(code, reason=b""):
    return frame(FIN | CLOSE, struct.pack("!H", code) + reason)


def said(opcode, payload):
    """What an answer is compared by: short, and exact enough."""
    if opcode == CLOSE:
        return ["close", struct.unpack("!H", payload[:2])[0] if payload else 1005]
    name = {TEXT: "text", BINARY: "binary", PONG: "pong"}.get(opcode, f"opcode {opcode}")
    return [name, len(payload), payload.hex() if len(payload) < 400 else hash(payload)]


def echo(opcode, payload):
    return said(opcode, payload)


def pong(payload=b""):
    return said(PONG, payload)


def cases():
    """Name, bytes, answers. A case whose answers do not end with a close is closed with 1000 behind its bytes."""
    hello = "Hello-µ@ßöäüàá-UTF-8!! 소식".encode()
    ping = frame(FIN | PING, b"between")
    failed, invalid, large = [["close", 1002]], [["close", 1007]], [["close", 1009]]

    yield "5.1 a frame without a mask", b"\x81\x05hello", failed
    yield "5.1 a ping without a mask", b"\x89\x00", failed

    for opcode in (TEXT, BINARY):
        for size in (0, 1, 2, 125, 126, 127, 128, 65535, 65536, 65537):
            payload = b"*" * size
            yield f"5.2 {size} bytes of opcode {opcode}", frame(FIN | opcode, payload), [echo(opcode, payload)]
    for bits in (RSV1, RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV2 | RSV3):
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
            yield f"5.2 reserved bits {bits:x} with opcode {opcode}", frame(FIN | bits | opcode), failed
    yield "5.2 reserved bits after a message", frame(FIN | TEXT, b"x") + frame(FIN | RSV3 | TEXT, b"x"), [echo(TEXT, b"x"), *failed]
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"5.2 reserved opcode {opcode}", frame(FIN | opcode), failed
        yield f"5.2 reserved opcode {opcode} with a payload, after a message", frame(FIN | TEXT, b"x") + frame(FIN | opcode, b"y"), [echo(TEXT, b"x"), *failed]
    for size, form in ((0, 16), (125, 16), (0, 64), (125, 64), (126, 64), (65535, 64)):
        yield f"5.2 {size} bytes announced in {form} bits", frame(FIN | TEXT, b"x" * size, form=form), failed
    yield "5.2 a length of 64 bits", frame(FIN | TEXT, form=64, announce=1 << 63), failed
    yield "10.4 more than the limit announced", frame(FIN | BINARY, form=64, announce=16 * MIB + 1), large

    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04"):
        for size in range(18):
            payload = bytes(range(size))
            yield f"5.3 {size} bytes behind the mask {mask.hex()}", frame(FIN | BINARY, payload, mask), [echo(BINARY, payload)]

    for opcode in (TEXT, BINARY):
        yield f"5.4 two fragments of opcode {opcode}", fragments(opcode, b"one", b"two"), [echo(opcode, b"onetwo")]
        yield f"5.4 empty fragments of opcode {opcode}", fragments(opcode, b"", b"", b""), [echo(opcode, b"")]
        yield f"5.4 a fragment between empty ones, opcode {opcode}", fragments(opcode, b"", b"x", b""), [echo(opcode, b"x")]
    yield "5.4 a ping between fragments", frame(TEXT, b"one") + ping + frame(FIN, b"two"), [pong(b"between"), echo(TEXT, b"onetwo")]
    yield "5.4 pings between all fragments", ping.join([frame(TEXT, b"1"), frame(0, b"2"), frame(0, b"3"), frame(FIN, b"4")]), [pong(b"between")] * 3 + [echo(TEXT, b"1234")]
    yield "5.4 a close between fragments", frame(TEXT, b"one") + close(1000) + frame(FIN, b"two"), [["close", 1000]]
    for first in (FIN, 0):
        yield f"5.4 a continuation of nothing, fin {first}", frame(first, b"x") + frame(FIN | TEXT, b"y"), failed
        yield f"5.4 a continuation behind a whole message, fin {first}", frame(FIN | TEXT, b"x") + frame(first, b"y"), [echo(TEXT, b"x"), *failed]
        for opcode in (TEXT, BINARY):
            yield f"5.4 a message of opcode {opcode} inside another, fin {first}", frame(TEXT, b"x") + frame(first | opcode, b"y"), failed
    yield "5.4 two messages in fragments", fragments(TEXT, b"a", b"b") + fragments(BINARY, b"c", b"d"), [echo(TEXT, b"ab"), echo(BINARY, b"cd")]
    yield "10.4 as many fragments as allowed", fragments(TEXT, *[b"x"] * 1024), [echo(TEXT, b"x" * 1024)]
    yield "10.4 a fragment more", fragments(TEXT, *[b"x"] * 1025), large

    for opcode in (PING, PONG, CLOSE):
        yield f"5.5 a fragment of opcode {opcode}", frame(opcode, b""), failed
        for size in (126, 65536):
            yield f"5.5 {size} bytes of opcode {opcode}", frame(FIN | opcode, b"\x03\xe8" + b"x" * (size - 2)), failed
    yield "5.5.1 nothing is heard behind a close", close(1000) + ping + frame(FIN | TEXT, b"x"), [["close", 1000]]
    yield "5.5.1 a close that says nothing", frame(FIN | CLOSE), [["close", 1005]]
    yield "5.5.1 half a code", frame(FIN | CLOSE, b"\x03"), failed
    yield "5.5.1 the longest reason", close(1000, b"*" * 123), [["close", 1000]]
    yield "5.5.1 a reason in Hangul", close(4000, "안녕히".encode()), [["close", 4000]]
    yield "5.5.1 a reason that is not UTF-8", close(1000, b"\xce\xba\xed\xa0\x80"), invalid
    for payload in (b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125):
        yield f"5.5.2 a ping of {len(payload)} bytes", frame(FIN | PING, payload), [pong(payload)]
    ten = [b"payload-%d" % at for at in range(10)]
    yield "5.5.2 ten pings at once", b"".join(frame(FIN | PING, one) for one in ten), [pong(one) for one in ten]
    yield "5.5.3 pongs that nobody asked for", frame(FIN | PONG, b"x") * 10 + ping, [pong(b"between")]
    yield "5.5.3 a pong that nobody asked for behind a ping", ping + frame(FIN | PONG, b"x"), [pong(b"between")]
    yield "5.6 text", frame(FIN | TEXT, hello), [echo(TEXT, hello)]
    yield "5.6 every byte", frame(FIN | BINARY, bytes(range(256))), [echo(BINARY, bytes(range(256)))]

    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        yield f"7.4 close code {code}", close(code), [["close", code]]
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"7.4 close code {code}", close(code), failed
        yield f"7.4 close code {code} with a reason", close(code, b"why"), failed

    good = ["", "κόσμε", "\0", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U00010000", "\U0001ffff", "\U0010ffff", "\ufdd0"]
    for text in good:
        payload = text.encode()
        yield f"8.1 {payload.hex()}", frame(FIN | TEXT, payload), [echo(TEXT, payload)]
        yield f"8.1 {payload.hex()} in fragments of a byte", fragments(TEXT, b"", *(payload[at : at + 1] for at in range(len(payload)))), [echo(TEXT, payload)]
    bad = "80 bf 8080 c0 c080 c1bf e08080 e09fbf eda080 edbfbf eda080edb080 f0808080 f08fbfbf f4908080 f5808080 f888808080 fc8480808080 fe ff c328 e228a1 e28228 f0288cbc f0902841"
    for payload in map(bytes.fromhex, bad.split()):
        # More is announced than comes: the frame is never whole, and the fault is told all the same.
        yield f"8.1 {payload.hex()} in a frame that does not end", frame(FIN | TEXT, b"ok " + payload, announce=120), invalid
        yield f"8.1 {payload.hex()} in fragments of a byte", fragments(TEXT, *(payload[at : at + 1] for at in range(len(payload))), b""), invalid
    for payload in (b"\xce", b"\xe1\xbd", b"\xf0\x90\x80"):
        yield f"8.1 {payload.hex()} and the end", frame(FIN | TEXT, payload), invalid
        yield f"8.1 {payload.hex()} in a binary message", frame(FIN | BINARY, payload), [echo(BINARY, payload)]

    for size in (MIB, 4 * MIB, 16 * MIB):
        for opcode in (TEXT, BINARY):
            payload = ("소식 " * (size // 7)).encode().ljust(size, b"*") if opcode == TEXT else os.urandom(size)
            yield f"large: {size} bytes of opcode {opcode}", frame(FIN | opcode, payload), [echo(opcode, payload)]
    payload = os.urandom(4 * MIB)
    for size in (64 * 1024, 256 * 1024):
        parts = [payload[at : at + size] for at in range(0, len(payload), size)]
        yield f"large: fragments of {size} bytes", fragments(BINARY, *parts), [echo(BINARY, payload)]
    most = [b"x" * MIB] * 16
    yield "10.4 more than the limit in fragments", fragments(BINARY, *most, b"x"), large


def run(url, pieces):
    """What is answered to these pieces, up to the end of the connection; it must end, which is section 7.1.1."""
    parts = urlsplit(url)
    protocol = ClientProtocol(parse_uri(url), max_size=None)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol.send_request(protocol.connect())
        for data in protocol.data_to_send():
            connection.sendall(data)
        while protocol.handshake_exc is None and not protocol.events_received():
            protocol.receive_data(connection.recv(65536))
        if protocol.handshake_exc:
            raise protocol.handshake_exc
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass  # It was failed before all was sent: what it said is still to be read.
        got = []
        while data := connection.recv(1 << 20):
            protocol.receive_data(data)
            for event in protocol.events_received():
                got.append(said(int(event.opcode), bytes(event.data)))
                if not event.fin or event.opcode is Opcode.CONT:
                    got.append("a fragment")
        if protocol.parser_exc:
            got.append(repr(protocol.parser_exc))
        return got


def main(url):
    count = failed = 0
    for name, data, want in cases():
        if want[-1][0] != "close":
            data, want = data + close(1000), [*want, ["close", 1000]]
        ways = [[data]] if len(data) > 300 else [[data], [data[at : at + 1] for at in range(len(data))]]
        for pieces in ways:
            count += 1
            try:
                got = run(url, pieces)
            except OSError as error:
                got = [str(error)]
            if got != want:
                failed += 1
                print(json.dumps({"case": name, "pieces": len(pieces), "want": want, "got": got}), flush=True)
    print(json.dumps({"cases": count}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
