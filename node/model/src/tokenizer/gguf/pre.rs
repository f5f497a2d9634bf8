//! Pre-tokenizers, which split a text into words before byte pairs are merged. GGUF files name them. The
//! patterns are llama.cpp's (`llama-vocab.cpp`); where llama.cpp adapted a pattern, they are the original
//! of the model's `tokenizer.json`.

/// The pre-tokenizer of a name in `tokenizer.ggml.pre`.
#[derive(Debug)]
pub(super) struct Pre {
    /// Each pattern splits the pieces of the pattern before it: a match is a piece, and so is the text
    /// between two matches.
    pub(super) patterns: &'static [&'static str],
    /// A whole word that is a token becomes that token, whatever its merges.
    pub(super) whole_words: bool,
    /// Texts start with a control token if the file does not say.
    pub(super) adds_bos: bool,
}

const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SEED: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const BAILING_MOE: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const DIGIT: &str = r"\p{N}";
const DIGITS: &str = r"\p{N}+";
const THREE: &str = "[0-9][0-9][0-9]";
const UP_TO_THREE: &str = r"\p{N}{1,3}";
const LINE: &str = r"[\r\n]";
const CHINESE: &str = "[一-龥ࠀ-一가-\u{d7ff}]+";
const CHINESE_JAPANESE: &str = "[一-龥\u{3040}-ゟ゠-ヿ]+";
const DEEPSEEK_LETTERS: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u{1f7d}ᾀ-ᾴᾶ-ᾼ\u{1fbe}ῂ-ῄῆ-ῌῐ-\u{1fd3}ῖ-\u{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const DEEPSEEK_SIGNS: &str = r"\s?[!-/:-~！-／：-～‘-‟　-。]+";
const DEEPSEEK_3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const FALCON_SIGNS: &str = r"[\p{P}\$\+<=>\^~\|`]+";
const DEFAULT_SIGNS: &str = r"[\p{P}\$\+<=>\^~\|]+";
const PORO: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";

/// The name of the pre-tokenizer in files that are older than the key.
pub(super) const DEFAULT_NAME: &str = "default";

/// The pre-tokenizers by name.
#[rustfmt::skip]
const PRE_TOKENIZERS: &[(&[&str], Pre)] = &[
    (&["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
     Pre { patterns: &[LLAMA_3], whole_words: true, adds_bos: true }),
    (&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], plain(&[LLAMA_3])),
    (&["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"],
     plain(&[QWEN_2])),
    (&["qwen35"], plain(&[QWEN_35])),
    (&["tekken"], Pre { patterns: &[TEKKEN], whole_words: true, adds_bos: true }),
    (&["gpt-4o", "llama4", "kanana2", "minimax-m2"], plain(&[GPT_4O])),
    (&["gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v1-en", "jina-v2-code", "roberta-bpe",
       "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "mpt", "olmo", "jais", "trillion", "granite-docling"],
     plain(&[GPT_2])),
    (&["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"], plain(&[DIGIT, GPT_2])),
    (&["falcon"], plain(&[FALCON_SIGNS, GPT_2, THREE])),
    (&["deepseek-llm"],
     plain(&[LINE, DEEPSEEK_LETTERS, DEEPSEEK_SIGNS, r"\s+$", CHINESE, DIGITS])),
    (&["deepseek-coder"], plain(&[LINE, r"\s?\p{L}+", r"\s?\p{P}+", CHINESE, DIGIT])),
    (&["deepseek-v3", "hunyuan-dense", "joyai-llm"], plain(&[UP_TO_THREE, CHINESE_JAPANESE, DEEPSEEK_3])),
    (&["seed-coder"], plain(&[SEED])),
    (&["bailingmoe", "bailingmoe2", "llada-moe"], plain(&[BAILING_MOE])),
    (&["poro-chat", "bloom", "gpt3-finnish"], plain(&[PORO])),
    (&["viking"], plain(&[PORO, DIGIT])),
    (&[DEFAULT_NAME], plain(&[DEFAULT_SIGNS, GPT_2, DIGITS, THREE])),
];

const fn plain(patterns: &'static [&'static str]) -> Pre {
    Pre { patterns, whole_words: false, adds_bos: false }
}

/// The pre-tokenizer of a name, if it is supported.
pub(super) fn from_name(name: &str) -> Option<&'static Pre> {
    PRE_TOKENIZERS.iter().find(|(names, _)| names.contains(&name)).map(|(_, pre)| pre)
}

/// All names, for a message.
pub(super) fn names() -> String {
    let names: Vec<&str> =
        PRE_TOKENIZERS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    names.join(", ")
}
