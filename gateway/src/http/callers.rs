//! API keys, and the requests and tokens that each key may use per minute. Without keys all clients
//! are one caller; without limits nothing is counted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::http::header::{self, HeaderMap};
use sha2::{Digest as _, Sha256};

use super::{
    config::HttpConfig,
    error::{ApiError, LimitedResource},
    rate::{Bucket, go},
};

/// The callers that the gateway accepts. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Callers(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    /// SHA-256 of each key: the time to compare digests does not reveal how much of a key is right.
    keys: Vec<[u8; 32]>,
    /// One for each key; without keys a single one.
    quotas: Vec<Mutex<Quota>>,
    /// The moment from which the buckets count time.
    epoch: Instant,
}

/// What a caller may use per minute; None: no limit.
#[derive(Clone, Copy, Debug)]
struct Quota {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

/// The owner of what is stored for a request: its key. Without keys all clients are one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner(pub(super) usize);

/// A client with a valid key.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    registry: Arc<Registry>,
    /// Index of its quota.
    index: usize,
}

impl Callers {
    /// The callers of a configuration, each with its full quota.
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let keys = config.keys.iter().filter_map(|key| key.expose());
        let keys: Vec<[u8; 32]> = keys.map(|key| Sha256::digest(key).into()).collect();
        let quota = Quota {
            requests: Bucket::new(config.requests_per_minute),
            tokens: Bucket::new(config.tokens_per_minute),
        };
        let quotas = (0..keys.len().max(1)).map(|_| Mutex::new(quota)).collect();
        Self(Arc::new(Registry { keys, quotas, epoch: Instant::now() }))
    }

    /// Number of callers that share the gateway.
    pub(super) fn count(&self) -> usize {
        self.0.quotas.len()
    }

    /// The caller whose key is in the headers: `Authorization: Bearer`, or `x-api-key` as Anthropic's
    /// clients send it.
    ///
    /// # Errors
    /// If keys are configured and the headers have no key or a wrong one.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let registry = Arc::clone(&self.0);
        if registry.keys.is_empty() {
            return Ok(Caller { registry, index: 0 });
        }
        let key = key(headers).ok_or(ApiError::NoKey)?;
        let digest: [u8; 32] = Sha256::digest(key).into();
        match registry.keys.iter().position(|valid| *valid == digest) {
            Some(index) => Ok(Caller { registry, index }),
            None => Err(ApiError::wrong_key(key)),
        }
    }
}

/// The key in the headers; None if it is missing or empty.
fn key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let key = bearer.or_else(|| Some(headers.get("x-api-key")?.to_str().ok()?.trim()))?;
    (!key.is_empty()).then_some(key)
}

impl Caller {
    /// The owner of what is stored for this caller.
    pub(super) fn owner(&self) -> Owner {
        Owner(self.index)
    }

    /// Counts one request.
    ///
    /// # Errors
    /// If the requests or the tokens of this minute are used up.
    pub(super) fn take(&self) -> Result<(), ApiError> {
        self.with_quota(|quota, now| {
            let buckets = [
                (LimitedResource::Requests, quota.requests),
                (LimitedResource::Tokens, quota.tokens),
            ];
            for (resource, bucket) in buckets {
                let Some(bucket) = bucket else { continue };
                let wait = bucket.wait(1.0, now);
                if !wait.is_zero() {
                    let limit = bucket.limit();
                    return Err(ApiError::RateLimit { resource, limit, wait });
                }
            }
            if let Some(requests) = &mut quota.requests {
                requests.take(1.0, now);
            }
            Ok(())
        })
    }

    /// Counts the tokens of an answer. Their number is known only at its end, so they may exceed the
    /// quota; the next requests then wait for longer.
    pub(super) fn spend(&self, tokens: f64) {
        self.with_quota(|quota, now| {
            if let Some(bucket) = &mut quota.tokens {
                bucket.take(tokens, now);
            }
        });
    }

    /// OpenAI's rate limit headers, for the resources that have a limit.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        self.with_quota(|quota, now| {
            let mut headers = Vec::new();
            for (name, bucket) in [("requests", quota.requests), ("tokens", quota.tokens)] {
                let Some(bucket) = bucket else { continue };
                headers.extend([
                    (format!("x-ratelimit-limit-{name}"), bucket.limit().to_string()),
                    (format!("x-ratelimit-remaining-{name}"), bucket.available(now).to_string()),
                    (format!("x-ratelimit-reset-{name}"), go(bucket.reset(now))),
                ]);
            }
            headers
        })
    }

    /// Runs `work` on this caller's quota, with the time since the registry's epoch.
    fn with_quota<T>(&self, work: impl FnOnce(&mut Quota, Duration) -> T) -> T {
        let now = self.registry.epoch.elapsed();
        let mut no_limit = Quota { requests: None, tokens: None };
        match self.registry.quotas.get(self.index) {
            Some(quota) => work(&mut quota.lock().unwrap_or_else(PoisonError::into_inner), now),
            None => work(&mut no_limit, now),
        }
    }
}
