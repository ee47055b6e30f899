"""Sends a publish in three fragments and pings around it, with Python's `websockets`, which is not our client.

    python websocket_parts.py URL CHANNEL TEXT

Prints each frame received until the publish was answered and its event has come, then {"pong": true} for each ping that
was answered. Whoever starts this bounds its time.
"""

import json
import sys

from websockets.sync.client import connect

PING_S = 20


def main(url: str, channel: str, text: str) -> int:
    with connect(url, subprotocols=["sosik.v1.json"], proxy=None) as socket:
        socket.send('{"type":"hello","protocol":1}')
        socket.send(json.dumps({"type": "subscribe", "id": 1, "channels": [channel]}))
        before = socket.ping(b"before")
        publish = json.dumps({"type": "publish", "id": 2, "channel": channel, "data": text}, ensure_ascii=False)
        # Cut where a character of several bytes stands: each fragment is text, as RFC 6455 section 5.6 has it.
        socket.send([publish[:9], publish[9:-4], publish[-4:]])
        after = socket.ping("after: é".encode())
        wanted = {"ok", "event"}
        while wanted:
            frame = json.loads(socket.recv())
            print(json.dumps(frame), flush=True)
            if frame["type"] == "event" or frame.get("id") == 2:
                wanted.discard(frame["type"])
        for pong in (before, after):
            print(json.dumps({"pong": pong.wait(PING_S)}), flush=True)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
