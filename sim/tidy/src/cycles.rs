//! Modules that import each other in a circle.
//!
//! Compared are the children of one module, each with all that is below it: `round` and `swarm`, or
//! `round::rank` and `round::select`. A child may use its parent's types and a parent its children,
//! which is how a file and its folder belong together; two children may not use each other, also not
//! by way of a third one or of a name that their parent imports.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::{algo::tarjan_scc, graph::DiGraph};
use syn::{UseTree, visit::Visit};

use crate::{Crate, source::is_test_only};

/// A module's path inside its crate.
type Module = Vec<String>;

/// Modules that cannot be understood apart from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Siblings, in alphabetical order.
    pub modules: Vec<Module>,
    /// Lines of all files in them.
    pub lines: usize,
}

/// The cycles of a crate, without what is only compiled for tests.
pub fn cycles(of: &Crate) -> Vec<Cycle> {
    let imports = Imports::read(of);
    let parents: BTreeSet<&[String]> =
        imports.modules.keys().filter_map(|module| module.split_last()).map(|(_, p)| p).collect();
    let mut cycles = Vec::new();
    for parent in parents {
        let mut graph = DiGraph::<Module, ()>::new();
        let mut nodes = BTreeMap::new();
        for (from, to) in imports.edges() {
            let (Some(from), Some(to)) = (child(parent, from), child(parent, &to)) else {
                continue;
            };
            if from != to {
                let from =
                    *nodes.entry(from.clone()).or_insert_with(|| graph.add_node(from.clone()));
                let to = *nodes.entry(to.clone()).or_insert_with(|| graph.add_node(to.clone()));
                graph.update_edge(from, to, ());
            }
        }
        for component in tarjan_scc(&graph).into_iter().filter(|component| component.len() > 1) {
            let mut modules: Vec<Module> =
                component.iter().filter_map(|node| graph.node_weight(*node)).cloned().collect();
            modules.sort();
            let lines = modules.iter().map(|module| imports.lines_below(module)).sum();
            cycles.push(Cycle { modules, lines });
        }
    }
    cycles
}

/// The child of `parent` in which `module` lies.
fn child(parent: &[String], module: &[String]) -> Option<Module> {
    (module.len() > parent.len() && module.starts_with(parent))
        .then(|| module.iter().take(parent.len() + 1).cloned().collect())
}

/// What each module of a crate imports from the crate itself.
#[derive(Debug, Default)]
struct Imports {
    modules: BTreeMap<Module, Paths>,
    lines: BTreeMap<Module, usize>,
}

/// Paths that a module uses, and the names that it imports.
#[derive(Debug, Default)]
struct Paths {
    /// Absolute in the crate.
    used: Vec<Module>,
    /// The full path behind each name that a `use` brings in.
    aliases: HashMap<String, Module>,
}

impl Imports {
    fn read(of: &Crate) -> Self {
        let mut imports = Self::default();
        for file in of.files.iter().filter(|file| !file.is_test()) {
            let Some(module) = file.module() else { continue };
            let mut collector = Collector { module: &module, paths: Paths::default() };
            collector.visit_file(&file.syntax);
            let paths = collector.paths;
            imports.lines.insert(module.clone(), file.lines());
            imports.modules.insert(module, paths);
        }
        imports
    }

    /// Pairs of a module and another one that it uses.
    fn edges(&self) -> impl Iterator<Item = (&Module, Module)> {
        self.modules.iter().flat_map(move |(module, paths)| {
            paths.used.iter().map(move |path| (module, self.resolve(path, 8)))
        })
    }

    /// The module in which a path's item is defined. Names that a module imports lead on to where
    /// they come from, at most `hops` times.
    fn resolve(&self, path: &[String], hops: usize) -> Module {
        let depth = (0..=path.len())
            .rev()
            .find(|depth| path.get(..*depth).is_some_and(|head| self.modules.contains_key(head)))
            .unwrap_or(0);
        let (module, rest) = path.split_at(depth);
        let alias = rest
            .first()
            .and_then(|name| self.modules.get(module).and_then(|paths| paths.aliases.get(name)));
        match alias {
            Some(target) if hops > 0 && target != path => self.resolve(target, hops - 1),
            _ => module.to_vec(),
        }
    }

    fn lines_below(&self, module: &[String]) -> usize {
        self.lines.iter().filter(|(path, _)| path.starts_with(module)).map(|(_, lines)| lines).sum()
    }
}

/// Reads the paths of one file.
struct Collector<'a> {
    module: &'a [String],
    paths: Paths,
}

impl Collector<'_> {
    /// The path from the crate's root, if it begins with `crate`, `super` or `self`.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut base = self.module.to_vec();
        let mut segments = path.iter().peekable();
        match segments.next()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
                while segments.next_if(|segment| *segment == "super").is_some() {
                    base.pop();
                }
            }
            _ => return None,
        }
        base.extend(segments.cloned());
        Some(base)
    }

    fn import(&mut self, path: &[String], name: String) {
        // A path without a keyword begins with a child module or with another crate.
        let absolute = self
            .absolute(path)
            .unwrap_or_else(|| self.module.iter().chain(path).cloned().collect());
        self.paths.aliases.insert(name, absolute.clone());
        self.paths.used.push(absolute);
    }

    fn expand(&mut self, tree: &UseTree, path: &mut Module) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.expand(&tree.tree, path);
                path.pop();
            }
            UseTree::Name(tree) if tree.ident == "self" => {
                let name = path.last().cloned().unwrap_or_default();
                self.import(path, name);
            }
            UseTree::Name(tree) => {
                let name = tree.ident.to_string();
                path.push(name.clone());
                self.import(path, name);
                path.pop();
            }
            UseTree::Rename(tree) => {
                if tree.ident != "self" {
                    path.push(tree.ident.to_string());
                }
                self.import(path, tree.rename.to_string());
                if tree.ident != "self" {
                    path.pop();
                }
            }
            UseTree::Glob(_) => {
                if let Some(absolute) = self.absolute(path) {
                    self.paths.used.push(absolute);
                }
            }
            UseTree::Group(tree) => tree.items.iter().for_each(|item| self.expand(item, path)),
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test_only(&item.attrs) {
            self.expand(&item.tree, &mut Module::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Module =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1
            && let Some(absolute) = self.absolute(&segments)
        {
            self.paths.used.push(absolute);
        }
        syn::visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::File;

    fn of(files: &[(&str, &str)]) -> Vec<Vec<Module>> {
        let files = files.iter().map(|(path, text)| {
            File::parse((*path).to_owned(), (*path).to_owned(), (*text).to_owned()).unwrap()
        });
        let example = Crate {
            name: "example".to_owned(),
            dependencies: BTreeSet::new(),
            files: files.collect(),
        };
        cycles(&example).into_iter().map(|cycle| cycle.modules).collect()
    }

    fn module(path: &str) -> Module {
        path.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn siblings_that_use_each_other_are_a_cycle() {
        let cycles = of(&[
            ("src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("src/a.rs", "use crate::b::B;\n"),
            ("src/b/deep.rs", "use super::super::c;\n"),
            ("src/b.rs", "mod deep;\n"),
            ("src/c.rs", "fn f() { crate::a::g() }\n"),
        ]);
        assert_eq!(cycles, [[module("a"), module("b"), module("c")]]);
    }

    #[test]
    fn a_name_that_the_parent_imports_hides_no_cycle() {
        let cycles = of(&[
            ("src/lib.rs", "mod a;\nmod b;\npub use b::B;\n"),
            ("src/a.rs", "use crate::B;\npub struct A;\n"),
            ("src/b.rs", "use crate::a::A;\npub struct B;\n"),
        ]);
        assert_eq!(cycles, [[module("a"), module("b")]]);
    }

    #[test]
    fn parents_children_and_tests_are_no_cycles() {
        let cycles = of(&[
            ("src/lib.rs", "mod a;\nmod b;\npub struct Root;\n"),
            ("src/a.rs", "mod deep;\nuse deep::Deep;\nuse crate::Root;\npub struct A;\n"),
            ("src/a/deep.rs", "use super::A;\npub struct Deep;\n"),
            ("src/b.rs", "use crate::a::A;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n"),
            ("src/a/tests.rs", "use crate::b;\n"),
        ]);
        assert!(cycles.is_empty(), "{cycles:?}");
    }
}
