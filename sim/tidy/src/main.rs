//! Prints what the source of the workspace in the current folder looks like: `cargo run -p shoal-tidy`,
//! or with `--list PATH...` every poor name, named closure and import cycle in files below the paths.

use std::{
    env,
    io::{self, Write},
};

use anyhow::Result;
use shoal_tidy::{Crate, Workspace, cycles, docs, names, sizes};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let workspace = Workspace::read(&env::current_dir()?)?;
    let mut out = io::stdout().lock();
    if let Some(("--list", parts)) = arguments.split_first().map(|(f, rest)| (f.as_str(), rest)) {
        return list(&workspace, parts, &mut out);
    }
    writeln!(
        out,
        "| crate | lines | of the product | file p50 / p90 / max | functions > 50 / > 70 | largest cycle | poor names / 1,000 | named closures / 1,000 | public without docs |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for package in &workspace.crates {
        writeln!(out, "{}", row(package))?;
    }
    Ok(())
}

fn row(package: &Crate) -> String {
    let mut files: Vec<usize> = package.files.iter().map(shoal_tidy::File::lines).collect();
    let functions: Vec<usize> =
        package.files.iter().flat_map(sizes::functions).map(|function| function.lines).collect();
    let names: Vec<names::Names> = package.files.iter().map(names::names).collect();
    let poor: usize = names.iter().map(|names| names.poor.len()).sum();
    let closures: usize = names.iter().map(|names| names.closures.len()).sum();
    let cycle = cycles::cycles(package).iter().map(|cycle| cycle.lines).max().unwrap_or(0);
    let missing_docs: usize =
        package.files.iter().map(|file| docs::undocumented_lines(file).len()).sum();
    let thousands = package.lines().max(1) as f64 / 1000.0;
    format!(
        "| {} | {} | {} | {} / {} / {} | {} / {} | {cycle} | {:.1} | {:.1} | {missing_docs} |",
        package.name,
        package.lines(),
        package.product_lines(),
        sizes::quantile(&mut files, 0.5),
        sizes::quantile(&mut files, 0.9),
        sizes::quantile(&mut files, 1.0),
        functions.iter().filter(|lines| **lines > 50).count(),
        functions.iter().filter(|lines| **lines > 70).count(),
        poor as f64 / thousands,
        closures as f64 / thousands,
    )
}

/// Every poor name and named closure in files whose path contains one of `parts`.
fn list(workspace: &Workspace, parts: &[String], out: &mut impl Write) -> Result<()> {
    for package in &workspace.crates {
        for file in &package.files {
            if !parts.is_empty() && !parts.iter().any(|part| file.path.contains(part.as_str())) {
                continue;
            }
            let names = names::names(file);
            for (line, name) in &names.poor {
                writeln!(out, "{}:{line}: name {name}", file.path)?;
            }
            for (line, name) in &names.closures {
                writeln!(out, "{}:{line}: closure {name}", file.path)?;
            }
        }
        for cycle in cycles::cycles(package) {
            let modules: Vec<String> =
                cycle.modules.iter().map(|module| module.join("::")).collect();
            writeln!(
                out,
                "{}: cycle {} ({} lines)",
                package.name,
                modules.join(", "),
                cycle.lines
            )?;
        }
    }
    Ok(())
}
