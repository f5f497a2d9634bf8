//! How long files and functions are.

use syn::{spanned::Spanned as _, visit::Visit};

use crate::File;

/// One function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// The line on which its signature begins, from 1.
    pub line: usize,
    /// From the signature's first line to the closing brace.
    pub lines: usize,
}

/// Every function and method of the file.
pub fn functions(file: &File) -> Vec<Function> {
    let mut visitor = Functions(Vec::new());
    visitor.visit_file(&file.syntax);
    visitor.0
}

/// The value below which this share of the values lies; 0 of none. `share` is in [0, 1].
pub fn quantile(values: &mut [usize], share: f64) -> usize {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or(0)
}

struct Functions(Vec<Function>);

impl Functions {
    fn push(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.span().start().line;
        let lines = block.span().end().line.saturating_sub(line) + 1;
        self.0.push(Function { name: signature.ident.to_string(), line, lines });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.push(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.push(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.push(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_counts_from_its_signature_to_its_brace() {
        let text = "impl A {\n    /// Doc.\n    fn b(\n    ) {\n    }\n}\n".to_owned();
        let file = File::parse("a.rs".into(), "src/a.rs".into(), text).unwrap();
        assert_eq!(functions(&file), [Function { name: "b".into(), line: 3, lines: 3 }]);
    }

    #[test]
    fn quantiles_of_nothing_and_of_few() {
        assert_eq!(quantile(&mut [], 0.5), 0);
        assert_eq!(quantile(&mut [3, 1, 2], 0.5), 2);
        assert_eq!(quantile(&mut [3, 1, 2], 1.0), 3);
    }
}
