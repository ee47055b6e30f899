//! A request body as it comes in: whole, within its size, and no slower than it may be.

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sosik_wire::BODY_BYTES_MAX;
use tokio::time::{Instant, timeout_at};

use crate::hub::Settings;

/// Why a body is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotWhole {
    TooLarge,
    CutOff,
    TooSlow,
}

/// Collects a body. After a first while it must have brought so many bytes for each second more, so that a drip ends early and
/// a slow line does not.
pub(crate) async fn collect<B>(body: B, settings: &Settings) -> Result<Bytes, NotWhole>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let mut body = pin!(Limited::new(body, BODY_BYTES_MAX));
    let begin = Instant::now();
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    loop {
        let came = (first.len() + rest.len()) as u64;
        match timeout_at(begin + patience(came, settings), body.frame()).await {
            Err(_) => return Err(NotWhole::TooSlow),
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => return Err(NotWhole::TooLarge),
            Ok(Some(Err(_))) => return Err(NotWhole::CutOff),
            Ok(None) if rest.is_empty() => return Ok(first),
            Ok(None) => return Ok([first, rest.freeze()].concat().into()),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if first.is_empty() => first = data,
                Ok(data) => rest.extend_from_slice(&data),
                // Trailers say nothing to us.
                Err(_) => {}
            },
        }
    }
}

/// How long a body may take of which this much has come.
fn patience(came: u64, settings: &Settings) -> Duration {
    let earned_ms = came * 1_000 / settings.body_bytes_per_s_min.max(1);
    Duration::from_millis(settings.body_ms.min(settings.body_grace_ms + earned_ms))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{convert::Infallible, future::pending};

    use axum::body::Body;
    use futures_util::{StreamExt, stream};

    use super::*;

    /// So many bytes each second, without an end.
    fn drip(bytes: usize) -> Body {
        let drops = stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes]))
        });
        Body::from_stream(drops)
    }

    // Mutant: `earned_ms` left out -> 512 bytes a second, and 2 KiB, are cut after ten.
    #[tokio::test(start_paused = true)]
    async fn a_drip_ends_early_and_a_slow_line_has_its_time() {
        let settings = Settings::default();
        for (bytes, seconds) in [(1, 10), (512, 19), (2_048, 30)] {
            let begin = Instant::now();
            assert_eq!(collect(drip(bytes), &settings).await, Err(NotWhole::TooSlow));
            assert_eq!(begin.elapsed().as_secs(), seconds, "{bytes} a second");
        }
        let nothing = Body::from_stream(stream::once(pending::<Result<Bytes, Infallible>>()));
        assert_eq!(collect(nothing, &settings).await, Err(NotWhole::TooSlow));
        assert_eq!(collect(drip(1 << 19), &settings).await, Err(NotWhole::TooLarge));
    }

    #[tokio::test]
    async fn what_comes_in_pieces_is_whole() {
        for pieces in [&[][..], &["a"], &["a", "bc", "", "d"]] {
            let all = stream::iter(pieces.iter().map(|piece| Ok::<_, Infallible>(*piece)));
            let whole = collect(Body::from_stream(all), &Settings::default()).await.unwrap();
            assert_eq!(whole, pieces.concat());
        }
    }
}
