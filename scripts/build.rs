//! Tells the program which commit it was built from, and whether the tree had changes beyond it.
//!
//! Without git, or outside a repository, both stay unknown. Results under `results/` change nothing that is built.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn main() {
    for path in ["src", "bench", "scripts", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    // A commit moves HEAD or what it points to.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && std::fs::exists(&path).is_ok_and(|is| is)
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    // A package inside somebody else's repository is not of that repository's commit.
    if git(&["rev-parse", "--show-prefix"]).as_deref() != Some("") {
        return;
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo:rustc-env=RINGBEAT_COMMIT={commit}");
    }
    if let Some(changes) = git(&["status", "--porcelain", "--", ".", ":!results"]) {
        println!("cargo:rustc-env=RINGBEAT_DIRTY={}", !changes.is_empty());
    }
}
