//! Why a round has no answer.

/// Why a round has no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RoundError {
    /// Another model may work: no member serves this one.
    #[error("no member serves the model {model}")]
    NoSuchModel { model: String },
    /// The same ask may work a moment later: no member is free.
    #[error("no member can take work now")]
    NoMember,
    /// The same ask may work a moment later: too many asks wait for a free member.
    #[error("{waiting} requests wait for a free member")]
    QueueFull { waiting: usize },
    /// The same ask may work a moment later: members were asked, none finished in time.
    #[error("no candidate in time: {members} members were asked")]
    NoCandidate { members: usize },
    /// Prompt and answer do not fit any member's context.
    #[error("the conversation does not fit the model's context of {context} tokens")]
    ContextLength { context: u32 },
    /// Another model may work: this one cannot do it, or, without a name, no member can.
    #[error("{} {capability}", match model {
        Some(model) => format!("the model {model} does not"),
        None => "no member here can".into(),
    })]
    Cannot { model: Option<String>, capability: &'static str },
    /// The same texts may be ranked a moment later: judges were asked, none answered in time.
    #[error("no ballot in time: {members} members were asked")]
    NoBallot { members: usize },
    /// Without functions it may work: no eligible member calls functions.
    #[error("no member that could be asked calls functions")]
    NoTools,
    /// Without images it may work: no eligible member reads them. `path` is that of the first image.
    #[error("no member that could be asked looks at images")]
    NoVision { path: String },
    /// Every member that was asked reports that it does not support this request.
    #[error("none of the {members} members that were asked can do that")]
    Unsupported { members: usize },
    /// The best answer is less likely to be right than the request demands.
    #[error(
        "the best answer is right with a probability of {percent} %, less than 'min_confidence'"
    )]
    Doubtful { percent: u8 },
    /// Every member that was asked abstained.
    #[error("none of the {members} members that were asked knows this")]
    Abstained { members: usize },
    /// Members answered, and no answer has the format that the request demands. `calls`: it demands calls.
    #[error("none of {members} answers has the required format")]
    NoValidAnswer { members: usize, calls: bool },
}

impl RoundError {
    /// A name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoSuchModel { .. } => "no_such_model",
            Self::NoMember => "no_member",
            Self::QueueFull { .. } => "queue_full",
            Self::NoCandidate { .. } => "no_candidate",
            Self::ContextLength { .. } => "context_length",
            Self::Cannot { .. } => "cannot",
            Self::NoBallot { .. } => "no_ballot",
            Self::NoTools => "no_tools",
            Self::NoVision { .. } => "no_vision",
            Self::Unsupported { .. } => "unsupported",
            Self::Doubtful { .. } => "doubtful",
            Self::Abstained { .. } => "abstained",
            Self::NoValidAnswer { .. } => "misfit",
        }
    }
}
