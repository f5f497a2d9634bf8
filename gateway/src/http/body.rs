//! Reads a JSON body: checks its type, never reads more than the limits, and never waits for longer.

mod encoding;

use std::time::Duration;

use actix_web::{HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::{admission::Permit, config::HttpConfig, error::ApiError};
use encoding::Encoding;

/// The time without a byte after which the body is abandoned. Slow connections stall for seconds,
/// not for so long.
const STALL: Duration = Duration::from_secs(30);

/// The time before the minimum rate counts: a new connection starts slowly.
const START: Duration = Duration::from_secs(10);

/// The whole body, decoded, at most `body_bytes_max` bytes. A larger `Content-Length` is refused before a
/// byte is read. The connection then stays open and discards the body, so that the client sees the
/// refusal and not a reset.
///
/// # Errors
/// If the body has another type or encoding, is too large or too slow, or if there is no memory for it.
pub(super) async fn read(
    config: &HttpConfig,
    request: &HttpRequest,
    payload: web::Payload,
    permit: &mut Permit,
) -> Result<Bytes, ApiError> {
    check_type(request)?;
    let encoding = Encoding::new(request.headers())?;
    let max = config.body_bytes_max;
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if let Some(read) = length.filter(|length| *length > max as u64) {
        return Err(ApiError::TooLarge { max, read });
    }
    let body = receive(config, payload, permit).await?;
    let Some(encoding) = encoding else { return Ok(body) };
    // Decoding takes up to a tenth of a second, in which a worker would serve no other connection.
    let content = web::block(move || encoding.decode(&body, max)).await;
    let content = content.map_err(|_| ApiError::Internal)??;
    permit.hold_body(content.len())?;
    Ok(content)
}

/// Reads to the end of the body, piece by piece.
async fn receive(
    config: &HttpConfig,
    mut payload: web::Payload,
    permit: &mut Permit,
) -> Result<Bytes, ApiError> {
    let (start, max) = (Instant::now(), config.body_bytes_max);
    let end = start + Duration::from_millis(config.body_ms_max);
    let mut body = BytesMut::new();
    loop {
        let next_byte = (Instant::now() + STALL).min(end);
        let next_byte = next_byte.min(start + START + paid_time(config, body.len()));
        let piece =
            timeout_at(next_byte, payload.next()).await.map_err(|_| ApiError::BodyBroken)?;
        let Some(piece) = piece else { return Ok(body.freeze()) };
        let piece = piece.map_err(|_| ApiError::BodyBroken)?;
        let read = body.len() + piece.len();
        if read > max {
            return Err(ApiError::TooLarge { max, read: read as u64 });
        }
        permit.hold_body(piece.len())?;
        body.extend_from_slice(&piece);
    }
}

/// The time that so many bytes may take at the minimum rate.
fn paid_time(config: &HttpConfig, bytes: usize) -> Duration {
    let rate = config.body_bytes_per_second_min;
    if rate == 0 {
        return Duration::from_millis(config.body_ms_max);
    }
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}

/// Accepts JSON with any parameters. A body of another type, or without one, may come from any web page:
/// a browser asks before it sends JSON only.
fn check_type(request: &HttpRequest) -> Result<(), ApiError> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else {
        return Err(ApiError::NoContentType);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::ContentType(essence.chars().take(64).collect()))
}
