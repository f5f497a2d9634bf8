//! `GET /v1/nodes`: who is here. `GET /v1/nodes/{id}/standing`: how much a member is believed, and
//! every number with what moved it, as JSON or as a page for people.

mod evidence;
mod page;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentType},
    web,
};
use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

use super::{App, error::ApiError};
use evidence::Evidence;
use shoal_api::models::List;
use shoal_consensus::reputation::Standing;
use shoal_store::unix_now;
use shoal_swarm::{Presence, State};

/// Digits of an id at least: fewer would soon fit somebody else as well.
const DIGITS_MIN: usize = 4;

/// No script, nothing from anywhere else: what members say of themselves stands on the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub(super) async fn list(app: web::Data<App>) -> HttpResponse {
    let swarm = app.rounds.swarm();
    let (present, standing) = (swarm.present(), swarm.standing());
    let nodes = present.into_iter().map(|one| Brief::of(one, &standing)).collect();
    HttpResponse::Ok().json(List::<Brief>::of(nodes))
}

/// What the query may say.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    format: Option<String>,
}

pub(super) async fn standing(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    wish: web::Query<Wish>,
) -> Result<HttpResponse, ApiError> {
    let html = wants_html(&request, wish.format.as_deref())?;
    let swarm = app.rounds.swarm();
    let member = find(swarm.present(), &id)?;
    let evidence = Evidence::of(member, &swarm.standing(), unix_now());
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
    Ok(response.body(page::render(&evidence)))
}

/// Browsers name HTML in `Accept`; programs name JSON or anything.
fn wants_html(request: &HttpRequest, format: Option<&str>) -> Result<bool, ApiError> {
    match format {
        Some("html") => Ok(true),
        Some("json") => Ok(false),
        Some(other) => Err(ApiError::Format(other.chars().take(32).collect())),
        None => {
            let accept = request.headers().get(header::ACCEPT);
            let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
            Ok(accept.to_ascii_lowercase().contains("text/html"))
        }
    }
}

/// The one whose id is this, or begins like this.
fn find(present: Vec<Presence>, id: &str) -> Result<Presence, ApiError> {
    let short = || id.chars().take(80).collect::<String>();
    let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !(DIGITS_MIN..=64).contains(&id.len()) {
        return Err(ApiError::NotANode(short()));
    }
    let prefix = id.to_ascii_lowercase();
    let mut fitting = present.into_iter().filter(|one| one.id.to_string().starts_with(&prefix));
    let found = fitting.next().ok_or_else(|| ApiError::NoSuchNode(short()))?;
    match fitting.count() {
        0 => Ok(found),
        more => Err(ApiError::ManyNodes { prefix: short(), fitting: more + 1 }),
    }
}

/// A member in the list.
#[derive(Debug, Serialize)]
struct Brief {
    id: String,
    short_id: String,
    object: &'static str,
    state: State,
    /// None while it is examined.
    model: Option<String>,
    family: Option<String>,
    /// What it says it is good at.
    tags: Option<Vec<String>>,
    /// Whom it belongs to; empty: itself.
    operator: Option<String>,
    slots: Option<u32>,
    running: Option<u32>,
    /// Measured in its exam; null: not yet.
    tokens_per_second: Option<f64>,
    first_token_seconds: Option<f64>,
    standing: Weights,
    /// Where all of it stands.
    page: String,
}

/// A standing in brief.
#[derive(Debug, Serialize)]
struct Weights {
    probation: bool,
    writer: f64,
    judge: f64,
}

impl Brief {
    fn of(one: Presence, standing: &Standing) -> Self {
        let Presence { id, state, seat } = one;
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
            tokens_per_second: seat.and_then(|seat| measured(seat.tokens_per_second)),
            first_token_seconds: seat.and_then(|seat| measured(seat.first_token_seconds)),
            standing: Weights {
                probation: standing.on_probation(&id),
                writer: standing.writer_weight(&id),
                judge: standing.judge_weight(&id),
            },
            page: page_of(&id),
        }
    }
}

fn page_of(id: &NodeId) -> String {
    format!("/v1/nodes/{id}/standing")
}

/// The roster's 0 is "not measured".
fn measured(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(first_bytes: &[[u8; 2]]) -> Vec<Presence> {
        let one = |[x, y]: &[u8; 2]| {
            let mut id = [7; 32];
            (id[0], id[1]) = (*x, *y);
            Presence { id: NodeId(id), state: State::Examined, seat: None }
        };
        first_bytes.iter().map(one).collect()
    }

    #[test]
    fn a_beginning_that_fits_two_is_refused() {
        let here = present(&[[0xab, 0xcd], [0xab, 0xce], [0x12, 0x34]]);
        assert!(matches!(find(here.clone(), "1234").map(|one| one.id.0[0]), Ok(0x12)));
        assert!(matches!(find(here.clone(), "ABCE").map(|one| one.id.0[1]), Ok(0xce)));
        let twins = present(&[[0xab, 0xcd], [0xab, 0xcd]]);
        assert!(matches!(find(twins, "abcd"), Err(ApiError::ManyNodes { fitting: 2, .. })));
        assert!(matches!(find(here, "abc"), Err(ApiError::NotANode(_))));
    }

    #[test]
    fn a_newcomer_in_its_exam_has_a_page_that_claims_nothing() {
        let newcomer = present(&[[1, 2]]).remove(0);
        let evidence = Evidence::of(newcomer, &Standing::empty(), 0);
        assert!(evidence.probation.on && evidence.member.is_none());
        assert!(evidence.writer.weight < 1e-9 && evidence.judge.track.weight < 1e-9);
        assert!(page::render(&evidence).contains("Nothing was seen of it yet"));
    }
}
