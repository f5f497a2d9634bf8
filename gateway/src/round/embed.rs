//! Turns texts into vectors. There is no vote: vectors of two models cannot be compared, so that one
//! model answers the whole request, in pieces that its members share.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use shoal_proto::{NodeId, embed::Embed, generate::Fault};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

use super::{
    POLL_INTERVAL, Rounds,
    queue::{Client, Place},
};
use shoal_consensus::RoundError;
use shoal_consensus::{
    MemberView,
    ask::Target,
    embedding::{EmbedAsk, Vectors},
};
use shoal_swarm::WorkError;

/// Texts of one piece: even with vectors of 16,000 numbers the reply fits a frame of the wire.
const PIECE_INPUTS: usize = 64;
/// Bytes of one piece's texts: well below a frame of the wire.
const PIECE_BYTES: usize = 1024 * 1024;
/// Pieces of one request that members work on at a time, so that other requests are served meanwhile.
const PIECES_AT_A_TIME: usize = 8;

/// The capability, in the words of [`RoundError::Cannot`].
const CAPABILITY: &str = "turn texts into vectors";

impl Rounds {
    /// Turns texts into vectors. Dropping the future stops all work for it.
    ///
    /// # Errors
    /// See [`RoundError`].
    pub async fn embed(&self, ask: &EmbedAsk, client: Client) -> Result<Vectors, RoundError> {
        let (id, _) = self.draw();
        self.embed_pieces(ask, client).instrument(super::span(&id)).await
    }

    async fn embed_pieces(&self, ask: &EmbedAsk, client: Client) -> Result<Vectors, RoundError> {
        let members = members_of_one_model(&ask.target, &self.swarm().members())?;
        let Some(member) = members.first() else { return Err(RoundError::NoMember) };
        let model = member.model.name.clone();
        let job = EmbedJob {
            rounds: self,
            target: Target::Model(model.clone()),
            members: &members,
            client,
            deadline: Instant::now() + ask.deadline,
        };
        let mut work = Vec::new();
        for (index, piece) in pieces(&ask.inputs).into_iter().enumerate() {
            work.push(job.piece(index, piece));
        }
        let replies: Vec<(Vec<Vec<f32>>, u32)> =
            stream::iter(work).buffered(PIECES_AT_A_TIME).try_collect().await?;
        let mut vectors = Vec::with_capacity(ask.inputs.len());
        let mut prompt_tokens = 0_u32;
        for (piece, tokens) in replies {
            vectors.extend(piece);
            prompt_tokens = prompt_tokens.saturating_add(tokens);
        }
        let size = vectors.first().map_or(0, Vec::len);
        if vectors.iter().any(|vector| vector.len() != size) {
            // Two members claim the same weights, and one of them has others.
            return Err(RoundError::NoCandidate { members: members.len() });
        }
        Ok(Vectors { model, vectors, prompt_tokens })
    }
}

/// What the pieces of one request have in common.
struct EmbedJob<'a> {
    rounds: &'a Rounds,
    /// The model's queue.
    target: Target,
    /// The members with the model.
    members: &'a [MemberView],
    client: Client,
    deadline: Instant,
}

impl EmbedJob<'_> {
    /// The vectors of one piece, from the first member that succeeds; the least busy is asked first.
    async fn piece(
        &self,
        index: usize,
        inputs: &[String],
    ) -> Result<(Vec<Vec<f32>>, u32), RoundError> {
        let swarm = self.rounds.swarm();
        let (line, place) = self.queue(index).await?;
        let mut place = Some(place);
        let mut too_long = None;
        for member in line {
            let ask = Embed { inputs: inputs.to_vec() };
            let work = swarm.embed(member, ask, self.deadline);
            let result = match place.take() {
                Some(place) => place.start(work).await,
                None => work.await,
            };
            match result {
                Ok(reply) => {
                    let vectors = reply.vectors.into_iter().map(|vector| vector.values);
                    return Ok((vectors.collect(), reply.prompt_tokens));
                }
                Err(error) => {
                    tracing::debug!(node.id = %member.short(), %error, "no vectors");
                    if matches!(&error, WorkError::Failed { fault: Fault::ContextLength, .. }) {
                        too_long = self.members.iter().map(|member| member.model.context).max();
                    }
                }
            }
        }
        Err(match too_long {
            Some(context) => RoundError::ContextLength { context },
            None => RoundError::NoCandidate { members: self.members.len() },
        })
    }

    /// Waits for a free member. Returns the members that are still here, the least busy first.
    async fn queue(&self, index: usize) -> Result<(Vec<NodeId>, Place), RoundError> {
        let mut place = self.rounds.0.queues.enter(&self.target, self.client)?;
        timeout_at(self.deadline, place.turn()).await.map_err(|_| RoundError::NoMember)??;
        loop {
            let mut members = self.rounds.swarm().members().to_vec();
            members.retain(|member| self.members.iter().any(|candidate| candidate.id == member.id));
            if members.is_empty() || members.iter().any(|member| member.running < member.slots) {
                return Ok((by_load(index, &members), place));
            }
            if Instant::now() >= self.deadline {
                return Err(RoundError::NoMember);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// The members that embed with one model: the model of the request, or, without one, the model with
/// the most parameters, then the first by name, so that the same swarm always gives vectors of the
/// same space. If several weights have one name, the weights with the most members are taken. Members
/// that have shown nothing are left out while there are others: they could state any size and any name.
fn members_of_one_model(
    target: &Target,
    members: &[MemberView],
) -> Result<Vec<MemberView>, RoundError> {
    let wanted_model = match target {
        Target::Swarm => None,
        Target::Model(name) => Some(name),
    };
    let mut spaces: BTreeMap<(&str, &str), Vec<&MemberView>> = BTreeMap::new();
    let mut has_model = false;
    for member in
        members.iter().filter(|member| wanted_model.is_none_or(|name| member.model.name == *name))
    {
        has_model = true;
        if member.model.embeds && member.owns_name {
            let space = (member.model.name.as_str(), member.model.digest.as_str());
            spaces.entry(space).or_default().push(member);
        }
    }
    if let (Some(name), false) = (wanted_model, has_model) {
        return Err(RoundError::NoSuchModel { model: name.clone() });
    }
    if spaces.values().flatten().any(|member| member.is_proven) {
        for members in spaces.values_mut() {
            members.retain(|member| member.is_proven);
        }
        spaces.retain(|_, members| !members.is_empty());
    }
    let best = spaces.into_iter().max_by(|(x_space, x), (y_space, y)| {
        let by_size = parameters(x).cmp(&parameters(y));
        by_size
            .then(y_space.0.cmp(x_space.0))
            .then(x.len().cmp(&y.len()))
            .then(y_space.cmp(x_space))
    });
    match best {
        Some((_, members)) => Ok(members.into_iter().cloned().collect()),
        None => Err(RoundError::Cannot { model: wanted_model.cloned(), capability: CAPABILITY }),
    }
}

/// The parameters of the largest model; 0 without members.
fn parameters(members: &[&MemberView]) -> u64 {
    members.iter().map(|member| member.model.parameters).max().unwrap_or(0)
}

/// The members, the least busy first; members with equal load take turns from piece to piece.
fn by_load(index: usize, members: &[MemberView]) -> Vec<NodeId> {
    let turn = index % members.len().max(1);
    let mut line: Vec<&MemberView> =
        members.iter().cycle().skip(turn).take(members.len()).collect();
    line.sort_by_key(|member| u64::from(member.running) * 1_000 / u64::from(member.slots.max(1)));
    line.into_iter().map(|member| member.id).collect()
}

/// Cuts the texts into pieces that fit the wire. A text that is too long is a piece of its own: its
/// member returns the error.
fn pieces(inputs: &[String]) -> Vec<&[String]> {
    let mut pieces = Vec::new();
    let mut rest = inputs;
    while !rest.is_empty() {
        let mut bytes = 0;
        let prefix = rest.iter().take(PIECE_INPUTS).take_while(|text| {
            bytes += text.len();
            bytes <= PIECE_BYTES
        });
        let (piece, after) = rest.split_at(prefix.count().max(1));
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
            bytes_per_second: 0.0,
            first_token_seconds: 0.0,
            first_token_late: 0.0,
            is_silent: false,
            probation: false,
            is_proven: true,
            owns_name: true,
        }
    }

    #[test]
    fn pieces_are_the_inputs_in_order_and_none_is_too_big() {
        let mut inputs: Vec<String> = (0..200).map(|n| n.to_string()).collect();
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
        let selection = members_of_one_model(&Target::Swarm, &members).expect("a member embeds");
        assert!(
            selection
                .iter()
                .all(|member| (&*member.model.name, &*member.model.digest) == ("big", "2"))
        );
        assert_eq!(selection.len(), 2);
        let small =
            members_of_one_model(&Target::Model("small".into()), &members).expect("it embeds");
        assert_eq!(small.len(), 1);
    }

    #[test]
    fn a_stranger_takes_no_embeddings_whatever_it_states() {
        let stranger = MemberView { is_proven: false, ..member("vast", "9", u64::MAX, true) };
        let copy = MemberView { is_proven: false, ..member("small", "3", 5, true) };
        let thief = MemberView { owns_name: false, ..member("small", "4", 5, true) };
        let members = [stranger.clone(), copy, thief, member("small", "3", 5, true)];
        for target in [Target::Swarm, Target::Model("small".into())] {
            let selection = members_of_one_model(&target, &members).expect("a member embeds");
            assert_eq!(selection, [members[3].clone()]);
        }
        let alone = members_of_one_model(&Target::Swarm, &[stranger]).expect("there is no other");
        assert_eq!(alone.len(), 1);
    }

    #[test]
    fn a_model_that_cannot_embed_and_an_unknown_model_are_different_errors() {
        let cannot = RoundError::Cannot { model: Some("writer".into()), capability: CAPABILITY };
        assert_eq!(error(&Target::Model("writer".into())), cannot);
        let cannot = RoundError::Cannot { model: None, capability: CAPABILITY };
        assert_eq!(error(&Target::Swarm), cannot);
        let no_such_model = RoundError::NoSuchModel { model: "x".into() };
        assert_eq!(error(&Target::Model("x".into())), no_such_model);
    }

    /// The error of a swarm whose only member writes.
    fn error(target: &Target) -> RoundError {
        let members = [member("writer", "", 1, false)];
        members_of_one_model(target, &members).expect_err("refused")
    }
}
