//! The start of every ask, whatever its endpoint: it is counted, admitted, read and checked. All of
//! this comes before the first byte of an answer, so that a refusal is an error with a status.

use actix_web::{HttpRequest, web};

use super::{App, access, body, callers::Owner, error::ApiError, meter::Meter};
use shoal_api::{
    anthropic::MessageRequest, chat::ChatRequest, completions::CompletionRequest,
    embeddings::EmbedRequest, rank::RankRequest,
};

/// A checked request of one endpoint.
pub(super) trait EndpointRequest: Sized {
    /// Checks a body, which may refer to what its owner has stored.
    ///
    /// # Errors
    /// The first field that is wrong.
    fn parse(body: &[u8], app: &App, owner: Owner) -> Result<Self, ApiError>;

    /// The model's name as the client sent it.
    fn model(&self) -> &str;

    /// Whether the answer is sent as events.
    fn streams(&self) -> bool {
        false
    }
}

/// Admits and checks a request in OpenAI's order: the limits, the body, the fields, the model.
///
/// # Errors
/// Why the request is refused. It is counted.
pub(super) async fn accept<T: EndpointRequest>(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(T, Meter), ApiError> {
    let mut meter = Meter::start(&app.metrics);
    match check::<T>(app, request, payload, &mut meter).await {
        Ok(request) => {
            meter.set_stream(request.streams());
            meter.set_model(request.model());
            Ok((request, meter))
        }
        Err(error) => Err(meter.fail(error)),
    }
}

async fn check<T: EndpointRequest>(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
    meter: &mut Meter,
) -> Result<T, ApiError> {
    let caller = access::caller(request)?;
    let owner = caller.owner();
    let place = meter.hold(app.admission.enter(caller)?);
    let body = body::read(&app.config, request, payload, place).await?;
    let request = T::parse(&body, app, owner)?;
    app.check_model(request.model())?;
    Ok(request)
}

impl EndpointRequest for ChatRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn streams(&self) -> bool {
        self.stream
    }
}

impl EndpointRequest for CompletionRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn streams(&self) -> bool {
        self.chat.stream
    }
}

impl EndpointRequest for MessageRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn streams(&self) -> bool {
        self.chat.stream
    }
}

impl EndpointRequest for EmbedRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }
}

impl EndpointRequest for RankRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        Ok(Self::parse(body, &app.limits)?)
    }

    fn model(&self) -> &str {
        &self.model
    }
}
