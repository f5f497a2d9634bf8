//! The page at `/metrics`, off unless an address is given.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tokio::{net::TcpListener, task::JoinSet};

/// Prometheus needs one connection; the rest is for people.
const CONNECTIONS_MAX: usize = 16;

/// A connection without a request is dropped after this time.
const SILENCE: Duration = Duration::from_secs(10);

/// The page: its address is bound, and it is not served yet.
#[derive(Debug)]
pub struct Page {
    listener: TcpListener,
    registry: Registry,
}

impl Page {
    /// Binds `address`; fails with the system's error if it is in use.
    pub async fn bind(address: SocketAddr, registry: Registry) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, registry })
    }

    /// The address that it listens on; the system has chosen the port if it was 0.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until dropped.
    pub async fn serve(self) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    match accepted {
                        Ok((stream, _)) => {
                            let registry = self.registry.clone();
                            connections.spawn(connection(TokioIo::new(stream), registry));
                        }
                        // Usually there are no file handles left: trying again at once would use a whole core.
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            }
        }
    }
}

async fn connection(io: TokioIo<tokio::net::TcpStream>, registry: Registry) {
    let service = service_fn(|request| {
        let response = answer(&request, &registry);
        async { Ok::<_, Infallible>(response) }
    });
    let result = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .serve_connection(io, service)
        .await;
    if let Err(error) = result {
        tracing::debug!(%error, "a metrics connection ended badly");
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "the page is at GET /metrics\n".to_owned());
    }
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => plain(StatusCode::OK, text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(TEXT_FORMAT));
    response
}
