//! Trains the bundled specialists.

use std::process::ExitCode;

fn main() -> ExitCode {
    match shoal_train::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
