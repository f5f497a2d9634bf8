//! Names that are no nouns or verbs, and closures that have a name.
//!
//! The house style asks for nouns as names of values and types. A participle or a pronoun alone
//! (`told`, `known`, `one`, `others`) says that there is a value, not what it is. Counted are the
//! names of functions, types, fields, modules, constants, parameters and variables, each where it
//! is introduced; a name counts if all its words are participles or pronouns.

use proc_macro2::Ident;
use syn::{spanned::Spanned as _, visit::Visit};

use crate::File;

/// What the style advises against, with the line of each case.
#[derive(Debug, Default)]
pub struct Names {
    /// Participles and pronouns that are used as names.
    pub poor: Vec<(usize, String)>,
    /// Variables that hold a closure.
    pub closures: Vec<(usize, String)>,
}

/// The names of one file.
pub fn names(file: &File) -> Names {
    let mut names = Names::default();
    names.visit_file(&file.syntax);
    names
}

/// Whether every word of the identifier is a participle or a pronoun.
pub fn is_poor(identifier: &str) -> bool {
    let words = words(identifier);
    !words.is_empty() && words.iter().all(|word| is_pronoun(word) || is_participle(word))
}

/// The words of a name in snake or camel case, in lower case.
fn words(identifier: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut starts_word = true;
    for letter in identifier.chars() {
        let is_separator = letter == '_' || letter.is_ascii_digit();
        starts_word |= letter.is_uppercase();
        match words.last_mut() {
            _ if is_separator => {}
            Some(word) if !starts_word => word.push(letter),
            _ => words.push(letter.to_lowercase().collect()),
        }
        starts_word = is_separator;
    }
    words
}

fn is_pronoun(word: &str) -> bool {
    PRONOUNS.contains(&word)
}

fn is_participle(word: &str) -> bool {
    let regular = word.len() > 4 && (word.ends_with("ing") || word.ends_with("ed"));
    IRREGULAR_PARTICIPLES.contains(&word) || (regular && !NOUNS.contains(&word))
}

const PRONOUNS: &[&str] = &[
    "all",
    "another",
    "any",
    "anybody",
    "anyone",
    "anything",
    "both",
    "each",
    "everybody",
    "everyone",
    "everything",
    "it",
    "its",
    "mine",
    "nobody",
    "none",
    "nothing",
    "one",
    "ones",
    "other",
    "others",
    "ours",
    "same",
    "some",
    "somebody",
    "someone",
    "something",
    "such",
    "that",
    "theirs",
    "them",
    "these",
    "they",
    "this",
    "those",
    "us",
    "we",
    "what",
    "whatever",
    "which",
    "who",
    "whoever",
    "whom",
    "whose",
    "yours",
];

/// Without `left`, `set`, `read`, `run`, `cut` and `bound`, which are nouns or adjectives too.
const IRREGULAR_PARTICIPLES: &[&str] = &[
    "begun",
    "bent",
    "bought",
    "broken",
    "brought",
    "built",
    "caught",
    "chosen",
    "dealt",
    "done",
    "drawn",
    "driven",
    "eaten",
    "fallen",
    "felt",
    "forgotten",
    "fought",
    "found",
    "frozen",
    "given",
    "gone",
    "grown",
    "heard",
    "held",
    "hidden",
    "kept",
    "known",
    "laid",
    "led",
    "lent",
    "lost",
    "made",
    "meant",
    "met",
    "paid",
    "said",
    "seen",
    "sent",
    "shown",
    "spent",
    "spoken",
    "stood",
    "stuck",
    "sunk",
    "taken",
    "taught",
    "thought",
    "thrown",
    "told",
    "torn",
    "understood",
    "woken",
    "won",
    "worn",
    "wound",
    "written",
];

/// Words that end like participles and are terms of the field, or no participles at all.
const NOUNS: &[&str] = &[
    // No participles.
    "ceiling",
    "embed",
    "exceed",
    "indeed",
    "proceed",
    "sibling",
    "speed",
    "string",
    "thing",
    // Activities with a name of their own.
    "batching",
    "caching",
    "embedding",
    "hashing",
    "hedging",
    "indexing",
    "judging",
    "logging",
    "polling",
    "pooling",
    "pricing",
    "rounding",
    "routing",
    "sampling",
    "scheduling",
    "sharing",
    "testing",
    "timing",
    "tracing",
    "training",
    "voting",
    // Things.
    "beginning",
    "binding",
    "building",
    "casing",
    "drawing",
    "encoding",
    "ending",
    "finding",
    "greeting",
    "heading",
    "listing",
    "mapping",
    "meaning",
    "ordering",
    "padding",
    "pairing",
    "ranking",
    "rating",
    "recording",
    "saving",
    "scaling",
    "setting",
    "spacing",
    "spelling",
    "standing",
    "typing",
    "warning",
    "wording",
    // The decoder on packed weights.
    "packed",
];

impl Names {
    fn check(&mut self, identifier: &Ident) {
        let name = identifier.to_string();
        let name = name.trim_start_matches("r#").trim_matches('_');
        let is_constant = name.chars().all(|letter| !letter.is_lowercase());
        // `Mode::ALL` and its like are a convention of the language.
        if is_poor(&name.to_lowercase_if(is_constant)) && name != "ALL" {
            self.poor.push((identifier.span().start().line, name.to_owned()));
        }
    }
}

/// Constants are written in capitals, which are no starts of words.
trait LowercaseIf {
    fn to_lowercase_if(&self, condition: bool) -> String;
}

impl LowercaseIf for str {
    fn to_lowercase_if(&self, condition: bool) -> String {
        if condition { self.to_lowercase() } else { self.to_owned() }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.check(&pattern.ident);
        syn::visit::visit_pat_ident(self, pattern);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.check(&signature.ident);
        syn::visit::visit_signature(self, signature);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(identifier) = &field.ident {
            self.check(identifier);
        }
        syn::visit::visit_field(self, field);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.check(&item.ident);
        syn::visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.check(&item.ident);
        syn::visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.check(&item.ident);
        syn::visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.check(&item.ident);
        syn::visit::visit_item_type(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.check(&item.ident);
        syn::visit::visit_item_const(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.check(&item.ident);
        syn::visit::visit_item_mod(self, item);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let Some(init) = &local.init
            && matches!(*init.expr, syn::Expr::Closure(_))
            && let syn::Pat::Ident(pattern) = &local.pat
        {
            self.closures.push((local.span().start().line, pattern.ident.to_string()));
        }
        syn::visit::visit_local(self, local);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participles_and_pronouns_are_poor_names() {
        for name in ["told", "Said", "one", "others", "all_asked", "asked", "waiting", "_found"] {
            assert!(is_poor(name.trim_matches('_')), "{name}");
        }
        for name in ["candidate", "settings", "ranking", "tokens_needed", "seed", "is_settled"] {
            assert!(!is_poor(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_counted_where_it_is_introduced() {
        let text = "fn f(told: u8) -> u8 {\n    let one = |x: u8| told + x;\n    one(told)\n}\n";
        let file = File::parse("a.rs".into(), "src/a.rs".into(), text.to_owned()).unwrap();
        let names = names(&file);
        assert_eq!(names.poor, [(1, "told".to_owned()), (2, "one".to_owned())]);
        assert_eq!(names.closures, [(2, "one".to_owned())]);
    }
}
