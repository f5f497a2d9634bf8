//! Reads a JSON body: checks its type, and never reads more than the limit.

use std::time::Duration;

use actix_web::{HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::error::ApiError;

/// The time without a byte after which the body is abandoned. Slow connections stall for seconds,
/// not for so long.
const STALL: Duration = Duration::from_secs(30);

/// The whole body, at most `max` bytes. A larger `Content-Length` is refused before a byte is read.
/// The connection then stays open and discards the body, so that the client sees the refusal and
/// not a reset.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: web::Payload,
    max: usize,
) -> Result<Bytes, ApiError> {
    check_type(request)?;
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if let Some(read) = length.filter(|length| *length > max as u64) {
        return Err(ApiError::TooLarge { max, read });
    }
    let mut body = BytesMut::new();
    while let Some(piece) =
        timeout(STALL, payload.next()).await.map_err(|_| ApiError::BodyBroken)?
    {
        let piece = piece.map_err(|_| ApiError::BodyBroken)?;
        let read = body.len() + piece.len();
        if read > max {
            return Err(ApiError::TooLarge { max, read: read as u64 });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Accepts JSON with any parameters, and a missing type.
fn check_type(request: &HttpRequest) -> Result<(), ApiError> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::ContentType(essence.chars().take(64).collect()))
}
