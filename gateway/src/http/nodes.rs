//! `GET /v1/nodes` lists the nodes of this gateway. `GET /v1/nodes/{id}/standing` explains the standing
//! of one node: each number with what changed it, as JSON or as an HTML page.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentType},
    web,
};
use serde::{Deserialize, Serialize};

use super::{App, error::ApiError};
use shoal_api::models::List;
use shoal_consensus::reputation::Standing;
use shoal_standing::{Evidence, measurement, page_path};
use shoal_store::unix_now;
use shoal_swarm::{Presence, State, WorkRecord};

/// Fewest digits of an id in a path: with fewer, other nodes would soon match as well.
const DIGITS_MIN: usize = 4;

/// Forbids scripts and external resources, because the page shows text that nodes wrote.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub(super) async fn list(app: web::Data<App>) -> HttpResponse {
    let swarm = app.rounds.swarm();
    let (present, standing) = (swarm.present(), swarm.standing());
    let nodes = present.into_iter().map(|presence| NodeSummary::new(presence, &standing)).collect();
    HttpResponse::Ok().json(List::<NodeSummary>::new(nodes))
}

/// The query of a standing.
#[derive(Debug, Deserialize)]
pub(super) struct StandingQuery {
    format: Option<String>,
}

pub(super) async fn standing(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<StandingQuery>,
) -> Result<HttpResponse, ApiError> {
    let html = wants_html(&request, query.format.as_deref())?;
    let swarm = app.rounds.swarm();
    let presence = find(swarm.present(), &id)?;
    let evidence = Evidence::new(presence, &swarm.standing(), unix_now());
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::VARY, "accept"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    if !html {
        return Ok(response.json(evidence));
    }
    response
        .insert_header(ContentType::html())
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    Ok(response.body(shoal_standing::render(&evidence)))
}

/// Whether the client wants the HTML page. Without a format the `Accept` header decides: browsers
/// list HTML there, programs do not.
fn wants_html(request: &HttpRequest, format: Option<&str>) -> Result<bool, ApiError> {
    match format {
        Some("html") => Ok(true),
        Some("json") => Ok(false),
        Some(format) => Err(ApiError::Format(format.chars().take(32).collect())),
        None => {
            let accept = request.headers().get(header::ACCEPT);
            let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
            Ok(accept.to_ascii_lowercase().contains("text/html"))
        }
    }
}

/// The node whose id starts with `id`.
fn find(present: Vec<Presence>, id: &str) -> Result<Presence, ApiError> {
    let quote: String = id.chars().take(80).collect();
    let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !(DIGITS_MIN..=64).contains(&id.len()) {
        return Err(ApiError::InvalidNodeId(quote));
    }
    let prefix = id.to_ascii_lowercase();
    let mut matches =
        present.into_iter().filter(|presence| presence.id.to_string().starts_with(&prefix));
    let Some(node) = matches.next() else { return Err(ApiError::NoSuchNode(quote)) };
    match matches.count() {
        0 => Ok(node),
        more => Err(ApiError::AmbiguousNode { prefix: quote, match_count: more + 1 }),
    }
}

/// A node in the list.
#[derive(Debug, Serialize)]
struct NodeSummary {
    id: String,
    short_id: String,
    object: &'static str,
    state: State,
    /// None during its exam, as the fields below that come from its seat.
    model: Option<String>,
    family: Option<String>,
    /// What it claims to be good at.
    tags: Option<Vec<String>>,
    /// Its operator; empty: the node has no operator but itself.
    operator: Option<String>,
    slots: Option<u32>,
    running: Option<u32>,
    /// Measured in its exam; null: no measurement yet.
    tokens_per_second: Option<f64>,
    first_token_seconds: Option<f64>,
    /// Gold questions and ballots that it has finished since it came, in its exam and in audits.
    exam_questions: u64,
    /// Tokens that it read and wrote for them, by its own count.
    exam_tokens: u64,
    /// What it has done in rounds since it came.
    work: WorkRecord,
    standing: Weights,
    /// Path of the page that explains the standing.
    page: String,
}

/// The weights of a standing, without reasons.
#[derive(Debug, Serialize)]
struct Weights {
    probation: bool,
    writer: f64,
    judge: f64,
}

impl NodeSummary {
    fn new(presence: Presence, standing: &Standing) -> Self {
        let Presence { id, state, seat, gold, work } = presence;
        let seat = seat.as_ref();
        Self {
            id: id.to_string(),
            short_id: id.short(),
            object: "node",
            state,
            model: seat.map(|seat| seat.model.name.clone()),
            family: seat.map(|seat| seat.model.family.clone()),
            tags: seat.map(|seat| seat.model.tags.clone()),
            operator: seat.map(|seat| seat.operator.clone()),
            slots: seat.map(|seat| seat.slots),
            running: seat.map(|seat| seat.running),
            tokens_per_second: seat.and_then(|seat| measurement(seat.tokens_per_second)),
            first_token_seconds: seat.and_then(|seat| measurement(seat.first_token_seconds)),
            exam_questions: gold.questions,
            exam_tokens: gold.tokens,
            work,
            standing: Weights {
                probation: standing.on_probation(&id),
                writer: standing.writer_weight(&id),
                judge: standing.judge_weight(&id),
            },
            page: page_path(&id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_proto::NodeId;
    use shoal_swarm::GoldCost;

    fn present(first_bytes: &[[u8; 2]]) -> Vec<Presence> {
        first_bytes
            .iter()
            .map(|[x, y]| {
                let mut id = [7; 32];
                (id[0], id[1]) = (*x, *y);
                Presence {
                    id: NodeId(id),
                    state: State::Examined,
                    seat: None,
                    gold: GoldCost::default(),
                    work: WorkRecord::default(),
                }
            })
            .collect()
    }

    #[test]
    fn a_prefix_of_two_ids_is_refused() {
        let nodes = present(&[[0xab, 0xcd], [0xab, 0xce], [0x12, 0x34]]);
        assert!(matches!(find(nodes.clone(), "1234").map(|node| node.id.0[0]), Ok(0x12)));
        assert!(matches!(find(nodes.clone(), "ABCE").map(|node| node.id.0[1]), Ok(0xce)));
        let twins = present(&[[0xab, 0xcd], [0xab, 0xcd]]);
        assert!(matches!(find(twins, "abcd"), Err(ApiError::AmbiguousNode { match_count: 2, .. })));
        assert!(matches!(find(nodes, "abc"), Err(ApiError::InvalidNodeId(_))));
    }
}
