//! Public items without documentation.

use syn::{Attribute, ImplItem, Item, TraitItem, Visibility, spanned::Spanned as _};

use crate::{File, source::is_test_only};

/// The lines of public functions, methods, types, traits and constants that have no doc comment.
/// Fields, variants and what is only compiled for tests do not count.
pub fn undocumented_lines(file: &File) -> Vec<usize> {
    let mut lines = Vec::new();
    if !file.is_test() {
        visit_items(&file.syntax.items, &mut lines);
    }
    lines
}

fn visit_items(items: &[Item], lines: &mut Vec<usize>) {
    for item in items {
        let (attributes, visibility) = match item {
            Item::Fn(item) => (&item.attrs, &item.vis),
            Item::Struct(item) => (&item.attrs, &item.vis),
            Item::Enum(item) => (&item.attrs, &item.vis),
            Item::Const(item) => (&item.attrs, &item.vis),
            Item::Static(item) => (&item.attrs, &item.vis),
            Item::Type(item) => (&item.attrs, &item.vis),
            Item::Trait(item) => {
                if is_public(&item.vis) {
                    visit_trait(item, lines);
                }
                (&item.attrs, &item.vis)
            }
            Item::Impl(item) if item.trait_.is_none() => {
                visit_methods(item, lines);
                continue;
            }
            Item::Mod(item) => {
                if let Some((_, items)) =
                    item.content.as_ref().filter(|_| !is_test_only(&item.attrs))
                {
                    visit_items(items, lines);
                }
                continue;
            }
            _ => continue,
        };
        if is_public(visibility) && !is_documented(attributes) {
            lines.push(item.span().start().line);
        }
    }
}

fn visit_trait(item: &syn::ItemTrait, lines: &mut Vec<usize>) {
    for method in &item.items {
        if let TraitItem::Fn(method) = method
            && !is_documented(&method.attrs)
        {
            lines.push(method.span().start().line);
        }
    }
}

fn visit_methods(item: &syn::ItemImpl, lines: &mut Vec<usize>) {
    for method in &item.items {
        if let ImplItem::Fn(method) = method
            && is_public(&method.vis)
            && !is_documented(&method.attrs)
        {
            lines.push(method.span().start().line);
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_documented(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("doc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_public_and_not_documented() {
        let text =
            "pub fn a() {}\n/// B.\npub fn b() {}\nfn c() {}\nimpl D {\n    pub fn e() {}\n}\n";
        let file = File::parse("a.rs".into(), "src/a.rs".into(), text.to_owned()).unwrap();
        assert_eq!(undocumented_lines(&file), [1, 6]);
    }
}
