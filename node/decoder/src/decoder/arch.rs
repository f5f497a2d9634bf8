//! The architectures that run here and their features: one table, which [`super::shape`] reads and
//! docs/MODELS.md shows.

/// The architecture of a `model_type` of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Architecture {
    /// `model_type`.
    pub kind: &'static str,
    /// The models of this architecture.
    pub models: &'static str,
    pub bias: Bias,
    /// Queries and keys are normalised head by head.
    pub qk_norm: bool,
    pub norms: Norms,
    /// `hidden_act`, the only one that runs.
    pub activation: &'static str,
    /// `attn_logit_softcapping` and `final_logit_softcapping` are obeyed.
    pub softcaps: bool,
    pub window: Window,
    pub rotary: Rotary,
    /// Two matrices, `qkv_proj` and `gate_up_proj`, instead of five.
    pub is_fused: bool,
    /// The embedding is the output head if `tie_word_embeddings` is not set.
    pub tied: bool,
}

/// Which projections have a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bias {
    None,
    /// Those of queries, keys and values.
    Qkv,
    /// All of attention with `attention_bias`, all of the MLP with `mlp_bias`.
    Config,
    /// All of attention with `attention_bias`.
    AttentionConfig,
}

/// Where the norms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norms {
    /// Before attention and before the MLP.
    Before,
    /// Also after both, all scaled by `1 + weight`, and the embedding by the root of the width.
    Around,
}

/// Which layers see only the last `sliding_window` tokens, including the current one. A list in
/// `layer_types` has precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    None,
    /// All, if `sliding_window` is set.
    All,
    /// With `use_sliding_window`, the layers from `max_window_layers` on.
    Config,
    /// All but each second, fourth, sixth...
    AllButEach(usize),
}

/// How positions turn queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotary {
    /// All dimensions, in all layers.
    Whole,
    /// The first `partial_rotary_factor` of the dimensions.
    Partial,
    /// `rope_local_base_freq` in a layer with a window, `rope_theta` in the others.
    LocalAndGlobal,
    /// Not in the layers for which `no_rope_layers` is 0; without that list, not in each fourth.
    NotEachFourth,
}

const LLAMA: Architecture = Architecture {
    kind: "llama",
    models: "Llama 2, 3, 3.1, 3.2, 3.3; SmolLM2; TinyLlama",
    bias: Bias::Config,
    qk_norm: false,
    norms: Norms::Before,
    activation: "silu",
    softcaps: false,
    window: Window::None,
    rotary: Rotary::Whole,
    is_fused: false,
    tied: false,
};

const GEMMA_2: Architecture = Architecture {
    kind: "gemma2",
    models: "Gemma 2",
    bias: Bias::AttentionConfig,
    norms: Norms::Around,
    activation: "gelu_pytorch_tanh",
    softcaps: true,
    window: Window::AllButEach(2),
    tied: true,
    ..LLAMA
};

const QWEN_3: Architecture = Architecture {
    kind: "qwen3",
    models: "Qwen3 (dense)",
    bias: Bias::AttentionConfig,
    qk_norm: true,
    window: Window::Config,
    ..LLAMA
};

/// All of them.
pub(crate) const ARCHITECTURES: &[Architecture] = &[
    LLAMA,
    Architecture {
        kind: "smollm3",
        models: "SmolLM3",
        rotary: Rotary::NotEachFourth,
        window: Window::Config,
        tied: true,
        ..LLAMA
    },
    Architecture {
        kind: "mistral",
        models: "Mistral 7B, Ministral, Mistral Nemo and Small (text)",
        bias: Bias::None,
        window: Window::All,
        ..LLAMA
    },
    Architecture {
        kind: "qwen2",
        models: "Qwen2, Qwen2.5 and their Coder and Math kin",
        bias: Bias::Qkv,
        window: Window::Config,
        ..LLAMA
    },
    QWEN_3,
    GEMMA_2,
    Architecture {
        kind: "gemma3_text",
        models: "Gemma 3 270M, 1B; `gemma3`: the text side of 4B, 12B, 27B",
        qk_norm: true,
        softcaps: false,
        window: Window::AllButEach(6),
        rotary: Rotary::LocalAndGlobal,
        ..GEMMA_2
    },
    Architecture {
        kind: "phi3",
        models: "Phi-3 mini and medium, Phi-3.5 mini, Phi-4, Phi-4 mini",
        bias: Bias::None,
        window: Window::All,
        rotary: Rotary::Partial,
        is_fused: true,
        ..LLAMA
    },
];

/// The architecture of this `model_type`.
pub(crate) fn find(kind: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|arch| arch.kind == kind)
}

/// The `model_type`s of all architectures, for a message.
pub(crate) fn kinds() -> String {
    let kinds: Vec<&str> = ARCHITECTURES.iter().map(|arch| arch.kind).collect();
    kinds.join(", ")
}

/// What each architecture needs, as the Markdown table of docs/MODELS.md.
pub fn table() -> String {
    let head = "| `model_type` | models | norms | QK norm | bias | activation | window | positions | \
                soft caps | joined weights |\n|---|---|---|---|---|---|---|---|---|---|\n";
    ARCHITECTURES.iter().fold(head.to_owned(), |table, arch| table + &arch.row())
}

impl Architecture {
    fn row(&self) -> String {
        let norms = match self.norms {
            Norms::Before => "before",
            Norms::Around => "before and after, `1 + w`; scaled embedding",
        };
        let bias = match self.bias {
            Bias::None => "",
            Bias::Qkv => "q, k, v",
            Bias::Config => "`attention_bias`, `mlp_bias`",
            Bias::AttentionConfig => "`attention_bias`",
        };
        let window = match self.window {
            Window::None => String::new(),
            Window::All => "`sliding_window`".to_owned(),
            Window::Config => "`use_sliding_window`".to_owned(),
            Window::AllButEach(nth) => format!("all layers but each {nth}th").replace("2th", "2nd"),
        };
        let rotary = match self.rotary {
            Rotary::Whole => "",
            Rotary::Partial => "`partial_rotary_factor`",
            Rotary::LocalAndGlobal => "two bases: windowed layers and others",
            Rotary::NotEachFourth => "none in each 4th layer",
        };
        let Self { kind, models, activation, .. } = self;
        let (qk, caps, joint) = (mark(self.qk_norm), mark(self.softcaps), mark(self.is_fused));
        format!(
            "| `{kind}` | {models} | {norms} | {qk} | {bias} | {activation} | {window} | {rotary} | \
             {caps} | {joint} |\n"
        )
    }
}

fn mark(has_feature: bool) -> &'static str {
    if has_feature { "yes" } else { "" }
}
