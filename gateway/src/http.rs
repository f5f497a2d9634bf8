//! The routes of the gateway and the middleware around them. Only this module knows actix.

mod request_id;
mod browsers;
mod access;
mod callers;
mod rate;
mod intake;
mod items;
mod share;
mod shelves;
mod admission;
mod body;
mod chat;
mod task;
mod answer;
mod completions;
mod messages;
mod responses;
mod conversations;
mod cache;
mod models;
mod embeddings;
mod rank;
mod rounds;
mod console;
mod transcript;
mod nodes;
mod document;
mod health;
mod error;
mod refusal;
mod meter;
pub(crate) mod config;

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse, HttpServer, Resource, Route,
    body::BoxBody,
    dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    middleware::from_fn,
    web::{self, ServiceConfig},
};

pub(crate) use admission::Admission;
pub(crate) use cache::{AnswerCache, CacheMetrics};
pub(crate) use callers::Callers;
pub(crate) use config::HttpConfig;
pub(crate) use conversations::store::Conversations;
use error::ApiError;
pub(crate) use meter::HttpMetrics;
pub(crate) use responses::store::Responses;
pub(crate) use rounds::watchers;
use shoal_proto::hello::MODEL_NAME_MAX;
use tokio_util::sync::CancellationToken;
pub(crate) use transcript::Transcripts;

use crate::{export::Recorder, round::Rounds};
use shoal_consensus::{Mode, ask::Limits};

/// Time for a refused client to read the error while its unread body is discarded.
const LINGER: Duration = Duration::from_secs(5);

/// The state that the handlers share.
pub(crate) struct App {
    pub config: HttpConfig,
    pub limits: Limits,
    pub metrics: HttpMetrics,
    pub callers: Callers,
    pub admission: Admission,
    pub transcripts: Transcripts,
    pub responses: Responses,
    pub conversations: Conversations,
    pub cache: AnswerCache,
    /// Stores rounds for training, if operator and client consent.
    pub recorder: Recorder,
    pub registry: prometheus::Registry,
    /// The runtime on which rounds run.
    pub runtime: tokio::runtime::Handle,
    pub rounds: Rounds,
    /// Places for those who watch rounds.
    pub watchers: share::SharedResource,
    /// Cancelled when the gateway stops: a stream that never ends by itself then ends.
    pub closing: CancellationToken,
    /// When the gateway started, in seconds since 1970.
    pub start_seconds: u64,
    /// The gateway's key as nodes pin it: 64 hex digits.
    pub key: String,
    /// The address that nodes dial.
    pub quic: String,
}

impl App {
    /// The members' models by name, with the tags that their nodes claim. The swarm's own modes are not
    /// among them.
    fn models(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut models: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for member in self.rounds.swarm().members().iter() {
            let tags = models.entry(member.model.name.clone()).or_default();
            tags.extend(member.model.tags.iter().cloned());
        }
        models
    }

    /// Number of members that take work.
    fn members(&self) -> usize {
        self.rounds.swarm().members().len()
    }

    /// Refuses a model that nobody here serves. The error quotes at most the longest valid name.
    fn check_model(&self, model: &str) -> Result<(), ApiError> {
        if Mode::of_model(model).is_some() || self.models().contains_key(model) {
            return Ok(());
        }
        Err(ApiError::NoSuchModel(model.chars().take(MODEL_NAME_MAX).collect()))
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Longer than clients keep idle connections, so that the client closes them: a request that is sent
/// while the gateway closes would fail.
const KEEP_ALIVE: Duration = Duration::from_secs(100);

/// Serves on a bound listener until the returned server is stopped.
///
/// # Errors
/// If the listener cannot be used.
pub(crate) fn serve(app: web::Data<App>, listener: TcpListener) -> std::io::Result<Server> {
    let config = app.config.clone();
    let send_time = Duration::from_millis(config.send_ms_max);
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .wrap(from_fn(request_id::around))
            .configure(routes)
    });
    let server = server
        .workers(config.workers)
        .tcp_nodelay(true)
        .on_connect(move |connection, _| limit_sending(connection, send_time))
        .keep_alive(KEEP_ALIVE)
        // A client that closes its end has left: no client sends a request, shuts down its half and
        // waits. This drops the round when the client leaves before the answer.
        .h1_allow_half_closed(false)
        .client_disconnect_timeout(LINGER)
        .shutdown_timeout(config.drain_ms_max.div_ceil(1000))
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// Closes the connection of a client that does not take what is sent to it. actix has no such limit, and
/// a handler does not learn of it, so that the kernel has to do it.
fn limit_sending(connection: &dyn Any, time: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
        let limit = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(time));
        if let Err(error) = limit {
            tracing::debug!(%error, "a connection has no limit for sending");
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (connection, time);
}

/// All routes.
fn routes(service: &mut ServiceConfig) {
    let path = web::PathConfig::default().error_handler(|_, request| {
        let (method, path) = quote_target(request);
        ApiError::NoSuchPath { method, path }.into()
    });
    // The only query that is parsed has a format.
    let query = web::QueryConfig::default().error_handler(|_, request| {
        ApiError::Format(request.query_string().chars().take(32).collect()).into()
    });
    service
        .app_data(path)
        .app_data(query)
        .service(resource("/v1/chat/completions").route(web::post().to(chat::create)))
        .service(resource("/v1/completions").route(web::post().to(completions::create)))
        .service(resource("/v1/responses").route(web::post().to(responses::create)))
        .service(resource("/v1/responses/compact").route(web::post().to(responses::compact)))
        .service(
            resource("/v1/responses/{id}")
                .route(web::get().to(responses::get))
                .route(web::delete().to(responses::delete)),
        )
        .service(resource("/v1/responses/{id}/cancel").route(web::post().to(responses::cancel)))
        .service(
            resource("/v1/responses/{id}/input_items").route(web::get().to(responses::input_items)),
        )
        .service(resource("/v1/conversations").route(web::post().to(conversations::create)))
        .service(
            resource("/v1/conversations/{id}")
                .route(web::get().to(conversations::get))
                .route(web::post().to(conversations::update))
                .route(web::delete().to(conversations::delete)),
        )
        .service(
            resource("/v1/conversations/{id}/items")
                .route(web::get().to(conversations::list_items))
                .route(web::post().to(conversations::add_items)),
        )
        .service(
            resource("/v1/conversations/{id}/items/{item_id}")
                .route(web::get().to(conversations::item))
                .route(web::delete().to(conversations::delete_item)),
        )
        .service(
            resource("/v1/messages")
                .route(web::post().to(messages::create))
                .default_service(web::to(messages::wrong_method)),
        )
        .service(
            resource("/v1/messages/count_tokens")
                .route(web::post().to(messages::count_tokens))
                .default_service(web::to(messages::wrong_method)),
        )
        .service(resource("/v1/embeddings").route(web::post().to(embeddings::create)))
        .service(resource("/v1/rank").route(web::post().to(rank::create)))
        .service(resource("/v1/models").route(web::get().to(models::list)))
        .service(resource("/v1/models/{id:.+}").route(web::get().to(models::get)))
        .service(resource("/v1/rounds").route(web::get().to(rounds::list)))
        .service(resource("/v1/rounds/live").route(web::get().to(rounds::live)))
        .service(resource("/v1/rounds/{id}").route(web::get().to(rounds::get)))
        .service(public("/").route(get_or_head().to(console::page)))
        .service(public("/console/{name}").route(get_or_head().to(console::asset)))
        .service(public("/v1/nodes").route(web::get().to(nodes::list)))
        .service(public("/v1/nodes/{id}/standing").route(web::get().to(nodes::standing)))
        .service(public("/healthz").route(get_or_head().to(health::live)))
        .service(public("/readyz").route(get_or_head().to(health::ready)))
        .service(public("/openapi.json").route(web::get().to(document::json)))
        .service(public("/docs").route(web::get().to(document::docs)))
        .service(public("/metrics").route(web::get().to(health::metrics)))
        .default_service(web::to(no_such_path));
}

/// A resource that needs a key, where keys are configured. It refuses the methods that it has no route for.
fn resource(
    path: &str,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    public(path).wrap(from_fn(access::require_key))
}

/// A resource that anybody may use: the list of nodes, so that a browser can show it, and what operators
/// and load balancers look at.
fn public(path: &str) -> Resource {
    web::resource(path.to_owned()).default_service(web::to(wrong_method))
}
fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The method and the path, shortened for an error text.
fn quote_target(request: &HttpRequest) -> (String, String) {
    let [method, path] = [request.method().as_str(), request.path()]
        .map(|text| text.chars().take(128).collect::<String>());
    (method, path)
}

async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    access::identify(&request)?;
    let (method, path) = quote_target(&request);
    Err(ApiError::NoSuchPath { method, path })
}

async fn wrong_method(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (method, path) = quote_target(&request);
    Err(ApiError::WrongMethod { method, path })
}
