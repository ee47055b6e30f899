"""Speaks our WebSocket with Python's `websockets`, which is not our client.

    python websocket.py URL HELLO_JSON SUBSCRIBE_JSON COUNT

Asks for the subprotocol sosik.v1.json, sends the two frames as given (an empty string sends nothing) and prints each
frame received, as received, one per line. Ends with 0 after COUNT frames; when the server closes before that it prints
{"close": CODE, "reason": REASON} and ends with 1. Whoever starts this bounds its time.
"""

import json
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SUBPROTOCOL = "sosik.v1.json"


def main(url: str, hello: str, subscribe: str, count: str) -> int:
    with connect(url, subprotocols=[SUBPROTOCOL], proxy=None) as socket:
        if socket.subprotocol != SUBPROTOCOL:
            print(f"the server chose {socket.subprotocol!r}, not {SUBPROTOCOL!r}", file=sys.stderr)
            return 1
        try:
            for frame in (hello, subscribe):
                if frame:
                    socket.send(frame)
            for _ in range(int(count)):
                frame = socket.recv()
                if isinstance(frame, bytes):
                    print(f"a binary frame of {len(frame)} bytes on {SUBPROTOCOL}", file=sys.stderr)
                    return 1
                print(frame.rstrip("\n"), flush=True)
        except ConnectionClosed as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
            print(json.dumps({"close": code, "reason": reason}), flush=True)
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
