//! Embeds the bundled models into the program: each folder of `node/models/` with weights.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The files that serving a model reads, beside its weights. Training leaves further ones.
const FILES: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "card.json",
];

fn main() -> Result<(), Box<dyn Error>> {
    let models = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../models");
    println!("cargo::rerun-if-changed={}", models.display());
    let mut table = "&[\n".to_owned();
    for folder in sorted_entries(&models)? {
        let files: Vec<_> =
            sorted_entries(&folder)?.into_iter().filter(|file| is_read(file)).collect();
        if files.iter().any(|file| file.extension().is_some_and(|e| e == "safetensors")) {
            writeln!(table, "({:?}, &[", name(&folder))?;
            for file in files {
                writeln!(table, "({:?}, include_bytes!({:?})),", name(&file), file)?;
            }
            table.push_str("]),\n");
        }
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("bundled.rs"), table)?;
    Ok(())
}

/// The entries of a folder, ordered by name; none when there is no folder.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries: Result<Vec<_>, _> = fs::read_dir(folder)?.collect();
    let mut paths: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn is_read(file: &Path) -> bool {
    FILES.contains(&name(file).as_str()) || file.extension().is_some_and(|e| e == "safetensors")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
