//! Every transport in each of its forms passes the suite, over raw bytes.

use sosik_testkit::{carriers, toy, transport_suite};

transport_suite!(poll: carriers::POLL; every product http poll);
transport_suite!(long_poll: carriers::LONG_POLL; every product http long_poll);
transport_suite!(stream: carriers::STREAM; every product endless http);
transport_suite!(stream_binary: carriers::STREAM_BINARY; every product endless http);
transport_suite!(sse: carriers::SSE; every product endless http);
transport_suite!(websocket: carriers::WEBSOCKET; every product endless two_way);
transport_suite!(websocket_binary: carriers::WEBSOCKET_BINARY; every product endless two_way);
transport_suite!(tcp: carriers::TCP; every product endless two_way);
transport_suite!(tcp_binary: carriers::TCP_BINARY; every product endless two_way);

// Another protocol, built on the pump and the core alone, passes what is asked of every carrier. Its groups are few for
// the reasons that stand at `toy::TOY`.
transport_suite!(toy_dialect: toy::TOY; every);
