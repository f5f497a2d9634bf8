//! What every ask begins with, at whatever door: it is counted, gets a place, is read and checked.
//! All of that comes before the first byte of an answer, so that a refusal is a plain error.

use actix_web::{HttpMessage as _, HttpRequest, web};

use super::{App, body, callers::Caller, error::ApiError, meter::Meter};
use shoal_api::{
    anthropic::MessageRequest, chat::ChatRequest, completions::CompletionRequest,
    embeddings::EmbedRequest, rank::RankRequest,
};

/// A request at one of the doors, checked.
pub(super) trait Asked: Sized {
    /// Reads a body.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    fn read(body: &[u8], app: &App) -> Result<Self, ApiError>;

    /// As it was asked for.
    fn model(&self) -> &str;

    /// Whether its answer is to come as events.
    fn streams(&self) -> bool {
        false
    }
}

/// Checks a request in the order in which OpenAI does: may it come in now, can its body be read,
/// are its fields right, is its model here.
///
/// # Errors
/// Why nothing is begun; it is counted.
pub(super) async fn open<T: Asked>(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, Meter), ApiError> {
    let mut meter = Meter::start(&app.metrics);
    match begin::<T>(app, request, payload, &mut meter).await {
        Ok(asked) => {
            meter.streams(asked.streams());
            meter.serves(asked.model());
            Ok((asked, meter))
        }
        Err(error) => Err(meter.refuses(error)),
    }
}

async fn begin<T: Asked>(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
    meter: &mut Meter,
) -> Result<T, ApiError> {
    // The layer around every request has put it there.
    let caller = request.extensions().get::<Caller>().cloned().ok_or(ApiError::Internal)?;
    meter.holds(app.admission.enter(caller)?);
    let body = body::read(request, payload, app.config.body_bytes_max).await?;
    let asked = T::read(&body, app)?;
    app.known(asked.model())?;
    Ok(asked)
}

impl Asked for ChatRequest {
    fn read(body: &[u8], app: &App) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn streams(&self) -> bool {
        self.stream
    }
}

impl Asked for CompletionRequest {
    fn read(body: &[u8], app: &App) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn streams(&self) -> bool {
        self.chat.stream
    }
}

impl Asked for MessageRequest {
    fn read(body: &[u8], app: &App) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn streams(&self) -> bool {
        self.chat.stream
    }
}

impl Asked for EmbedRequest {
    fn read(body: &[u8], app: &App) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }
}

impl Asked for RankRequest {
    fn read(body: &[u8], app: &App) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }
}
