//! What people see in a browser: the demo page, or a few lines that say what runs here. Nothing is read from disk: the
//! paths are a closed list.

use axum::{Router, routing::get};
use http::{HeaderName, HeaderValue, Response, header};
use sosik_wire::{Code, Problem, TransportName};

use crate::reply::{Reply, problem, text};

/// `/` and what it needs; and the answer for every path that does not exist.
pub(crate) fn router(demo: bool) -> Router {
    let mut router = Router::new();
    if demo {
        for &(path, content_type, body) in DEMO {
            router = router.route(path, get(async move || page(content_type, body)));
        }
    } else {
        router = router.route("/", get(async || page(PLAIN, format!("{ABOUT}\n{}\n", paths().join("\n")))));
    }
    router.fallback(async || not_found())
}

/// Paths that applications use.
pub(crate) fn paths() -> Vec<&'static str> {
    TransportName::ALL.into_iter().filter_map(TransportName::path).chain(OTHER_PATHS).collect()
}

fn page(content_type: &'static str, body: impl Into<Reply>) -> Response<Reply> {
    let mut response = text(content_type, body);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn not_found() -> Response<Reply> {
    let detail = format!("no such path; there are {}", paths().join(", "));
    problem(&Problem::new(Code::NotFound, detail))
}

/// Path, media type, bytes.
const DEMO: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("../../../web/demo/index.html")),
    ("/demo/demo.css", "text/css; charset=utf-8", include_str!("../../../web/demo/demo.css")),
    ("/demo/demo.js", SCRIPT, include_str!("../../../web/demo/demo.js")),
    ("/demo/reader.js", SCRIPT, include_str!("../../../web/demo/reader.js")),
    ("/demo/transports.js", SCRIPT, include_str!("../../../web/demo/transports.js")),
    ("/demo/tally.js", SCRIPT, include_str!("../../../web/demo/tally.js")),
    ("/demo/words.js", SCRIPT, include_str!("../../../web/demo/words.js")),
    ("/demo/icon.svg", "image/svg+xml", include_str!("../../../web/demo/icon.svg")),
];

const OTHER_PATHS: [&str; 3] = ["/v1/send", "/v1/publish", "/v1/history"];

const SCRIPT: &str = "text/javascript; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

const ABOUT: &str =
    "Sosik runs here: it carries an application's events to everyone who follows its channels.
There is no page to see. Start it with --demo for one to try. What programs use:
";

/// Scripts and styles come from this origin alone, in files; nothing frames the page, and no string becomes markup.
const CSP: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                   frame-ancestors 'none'; require-trusted-types-for 'script'";
