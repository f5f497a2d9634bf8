//! Texts into vectors. No round: vectors of two models cannot be compared, so one model answers
//! the whole request, in pieces that all of its members share.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use shoal_proto::{NodeId, embed::Embed, generate::Fault};
use tokio::time::Instant;

use super::Rounds;
use crate::swarm::WorkError;
use shoal_consensus::RoundError;
use shoal_consensus::{
    MemberView,
    ask::Target,
    embedding::{EmbedAsk, Vectors},
};

/// Texts of one piece: vectors of 16,000 numbers still fit a frame of the wire.
const PIECE_INPUTS: usize = 64;
/// Bytes of one piece's texts, well within a frame of the wire.
const PIECE_BYTES: usize = 1024 * 1024;
/// Pieces under way at a time for one request: others want to be served meanwhile.
const PIECES_AT_A_TIME: usize = 8;

/// What a model without it cannot do.
const WHAT: &str = "turn texts into vectors";

impl Rounds {
    /// Turns texts into vectors. Dropping the future stops all work for it.
    ///
    /// # Errors
    /// See [`RoundError`].
    pub async fn embed(&self, ask: &EmbedAsk) -> Result<Vectors, RoundError> {
        let able = able(&ask.target, &self.swarm().members())?;
        let deadline = Instant::now() + ask.deadline;
        let mut work = Vec::new();
        for (at, piece) in pieces(&ask.inputs).into_iter().enumerate() {
            work.push(self.piece(at, piece, &able, deadline));
        }
        let embedded: Vec<(Vec<Vec<f32>>, u32)> =
            stream::iter(work).buffered(PIECES_AT_A_TIME).try_collect().await?;
        let mut vectors = Vec::with_capacity(ask.inputs.len());
        let mut prompt_tokens = 0_u32;
        for (of_piece, tokens) in embedded {
            vectors.extend(of_piece);
            prompt_tokens = prompt_tokens.saturating_add(tokens);
        }
        let size = vectors.first().map_or(0, Vec::len);
        if vectors.iter().any(|vector| vector.len() != size) {
            // Two members say that they serve the same weights, and one of them does not.
            return Err(RoundError::NoCandidate { asked: able.len() });
        }
        let model = able.first().map(|member| member.model.name.clone()).unwrap_or_default();
        Ok(Vectors { model, vectors, prompt_tokens })
    }

    /// One piece on whoever manages first, the least busy before the others.
    async fn piece(
        &self,
        at: usize,
        inputs: &[String],
        able: &[MemberView],
        deadline: Instant,
    ) -> Result<(Vec<Vec<f32>>, u32), RoundError> {
        let mut too_long = None;
        for member in line(at, able) {
            let ask = Embed { inputs: inputs.to_vec() };
            match self.swarm().embed(member, ask, deadline).await {
                Ok(embedded) => {
                    let vectors = embedded.vectors.into_iter().map(|vector| vector.values);
                    return Ok((vectors.collect(), embedded.prompt_tokens));
                }
                Err(error) => {
                    tracing::debug!(node.id = %member.short(), %error, "no vectors");
                    if matches!(&error, WorkError::Failed { fault: Fault::ContextLength, .. }) {
                        too_long = able.iter().map(|member| member.model.context).max();
                    }
                }
            }
        }
        Err(match too_long {
            Some(context) => RoundError::ContextLength { context },
            None => RoundError::NoCandidate { asked: able.len() },
        })
    }
}

/// Who embeds with one and the same model: of the name that is asked for; without one, the model
/// with the most parameters, then the first by name, so that the same swarm always gives vectors
/// of the same space. Of several weights with one name the most widely served count.
fn able(target: &Target, members: &[MemberView]) -> Result<Vec<MemberView>, RoundError> {
    let named = match target {
        Target::Swarm => None,
        Target::Model(name) => Some(name),
    };
    let serving =
        members.iter().filter(|member| named.is_none_or(|name| member.model.name == *name));
    let mut spaces: BTreeMap<(&str, &str), Vec<&MemberView>> = BTreeMap::new();
    let mut anybody = false;
    for member in serving {
        anybody = true;
        if member.model.embeds {
            let space = (member.model.name.as_str(), member.model.digest.as_str());
            spaces.entry(space).or_default().push(member);
        }
    }
    if let (Some(name), false) = (named, anybody) {
        return Err(RoundError::NoSuchModel { model: name.clone() });
    }
    let parameters =
        |of: &[&MemberView]| of.iter().map(|one| one.model.parameters).max().unwrap_or(0);
    let best = spaces.into_iter().max_by(|(x_space, x), (y_space, y)| {
        let by_size = parameters(x).cmp(&parameters(y));
        by_size
            .then(y_space.0.cmp(x_space.0))
            .then(x.len().cmp(&y.len()))
            .then(y_space.cmp(x_space))
    });
    match best {
        Some((_, members)) => Ok(members.into_iter().cloned().collect()),
        None => Err(RoundError::Cannot { model: named.cloned(), what: WHAT }),
    }
}

/// Everybody able, the least busy first; equals take turns from piece to piece.
fn line(at: usize, able: &[MemberView]) -> Vec<NodeId> {
    let turn = at % able.len().max(1);
    let mut line: Vec<&MemberView> = able.iter().cycle().skip(turn).take(able.len()).collect();
    line.sort_by_key(|member| u64::from(member.running) * 1_000 / u64::from(member.slots.max(1)));
    line.into_iter().map(|member| member.id).collect()
}

/// Cuts the texts into pieces that fit the wire. A text that is too long by itself stays alone:
/// its member will say so.
fn pieces(inputs: &[String]) -> Vec<&[String]> {
    let mut pieces = Vec::new();
    let mut rest = inputs;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(PIECE_INPUTS).take_while(|text| {
            bytes += text.len();
            bytes <= PIECE_BYTES
        });
        let (piece, after) = rest.split_at(fitting.count().max(1));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use shoal_proto::{Identity, hello::Model};

    use super::*;

    fn member(name: &str, digest: &str, parameters: u64, embeds: bool) -> MemberView {
        MemberView {
            id: Identity::generate().id(),
            model: Model {
                name: name.into(),
                digest: digest.into(),
                parameters,
                embeds,
                ..Model::default()
            },
            operator: String::new(),
            slots: 1,
            running: 0,
            tokens_per_second: 0.0,
            first_token_seconds: 0.0,
            probation: false,
        }
    }

    #[test]
    fn pieces_are_the_inputs_in_order_and_none_is_too_big() {
        let mut inputs: Vec<String> = (0..200).map(|at| at.to_string()).collect();
        inputs.insert(70, "x".repeat(3 * PIECE_BYTES));
        let cut = pieces(&inputs);
        assert_eq!(cut.concat(), inputs);
        for piece in cut {
            let bytes: usize = piece.iter().map(String::len).sum();
            assert!(piece.len() <= PIECE_INPUTS && (piece.len() == 1 || bytes <= PIECE_BYTES));
        }
    }

    #[test]
    fn all_vectors_of_a_request_are_of_one_space() {
        let members = [
            member("big", "1", 9, true),
            member("big", "2", 9, true),
            member("big", "2", 9, true),
            member("small", "3", 5, true),
            member("huge", "4", 99, false),
        ];
        let chosen = able(&Target::Swarm, &members).expect("somebody embeds");
        assert!(chosen.iter().all(|one| (&*one.model.name, &*one.model.digest) == ("big", "2")));
        assert_eq!(chosen.len(), 2);
        let named = able(&Target::Model("small".into()), &members).expect("it embeds");
        assert_eq!(named.len(), 1);
    }

    #[test]
    fn who_cannot_embed_is_told_apart_from_who_is_not_here() {
        let members = [member("writer", "", 1, false)];
        let refusal = |target| able(&target, &members).expect_err("refused");
        let model = || "writer".to_owned();
        assert_eq!(
            refusal(Target::Model(model())),
            RoundError::Cannot { model: Some(model()), what: WHAT }
        );
        assert_eq!(refusal(Target::Swarm), RoundError::Cannot { model: None, what: WHAT });
        let nobody = RoundError::NoSuchModel { model: "x".into() };
        assert_eq!(refusal(Target::Model("x".into())), nobody);
    }
}
