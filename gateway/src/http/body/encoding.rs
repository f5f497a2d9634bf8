//! The compression of a body. A small body can expand to any size, so that decoding stops at the limit.
//!
//! actix's own decoder is not used: it expands each piece as a whole before the limit can be checked, and
//! 64 KiB of brotli can expand to gigabytes.

use std::io::Read;

use actix_web::http::header::{self, HeaderMap};
use bytes::Bytes;
use ruzstd::decoding::StreamingDecoder;

use crate::http::error::ApiError;

/// The first seven bits of a brotli stream with a large window.
const LARGE_WINDOW: u8 = 0x11;

/// The buffer of the brotli decoder.
const BROTLI_BUFFER: usize = 4096;

/// A compression that the gateway reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// The compression of a body; `None` if it is sent as it is.
    ///
    /// # Errors
    /// If the gateway cannot read it, or if the body is compressed more than once.
    pub(super) fn new(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut encoding = None;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in String::from_utf8_lossy(value.as_bytes()).split(',') {
                let name = name.trim().to_ascii_lowercase();
                let next = match name.as_str() {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "deflate" => Self::Deflate,
                    "br" => Self::Brotli,
                    "zstd" => Self::Zstd,
                    _ => return Err(ApiError::Encoding(name.chars().take(64).collect())),
                };
                if encoding.replace(next).is_some() {
                    return Err(ApiError::Encoding("several encodings".to_owned()));
                }
            }
        }
        Ok(encoding)
    }

    /// The name in a header.
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The decoded body, at most `max` bytes.
    ///
    /// # Errors
    /// If the body is not what its header says, or if it expands beyond `max` bytes.
    pub(super) fn decode(self, body: &[u8], max: usize) -> Result<Bytes, ApiError> {
        match self {
            Self::Gzip => self.read(flate2::read::MultiGzDecoder::new(body), max),
            // The name means zlib (RFC 9110, 8.4.1.2), but some clients send the bare stream.
            Self::Deflate if is_zlib(body) => self.read(flate2::read::ZlibDecoder::new(body), max),
            Self::Deflate => self.read(flate2::read::DeflateDecoder::new(body), max),
            // A window of up to 1 GiB, which is no part of the format (RFC 7932).
            Self::Brotli if body.first().is_some_and(|first| first & 0x7f == LARGE_WINDOW) => {
                Err(self.error())
            }
            Self::Brotli => {
                self.read(brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER), max)
            }
            Self::Zstd => {
                let mut body = body;
                let decoder = StreamingDecoder::new(&mut body).map_err(|_| self.error())?;
                let size = decoder.decoder.content_size();
                if size > max as u64 {
                    return Err(ApiError::TooLarge { max, read: size });
                }
                let content = self.read(decoder, max)?;
                if body.is_empty() { Ok(content) } else { Err(self.error()) }
            }
        }
    }

    fn error(self) -> ApiError {
        ApiError::EncodingBroken(self.name())
    }

    fn read(self, decoder: impl Read, max: usize) -> Result<Bytes, ApiError> {
        let mut content = Vec::new();
        let limit = (max as u64).saturating_add(1);
        let result = decoder.take(limit).read_to_end(&mut content);
        result.map_err(|_| self.error())?;
        if content.len() > max {
            return Err(ApiError::TooLarge { max, read: content.len() as u64 });
        }
        Ok(content.into())
    }
}

/// Whether the first two bytes are a header of zlib (RFC 1950, 2.2).
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}
