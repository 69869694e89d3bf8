//! The programs that furnish a network namespace: ip(8) and nft(8), and sysctls of it.
//!
//! Does not make namespaces and does not know what for. All of it changes the network namespace of the calling thread, so
//! it is called inside of one made for the run.

use super::ExperimentError;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes a sysctl, `net/ipv4/ip_forward`, of the network namespace the caller is in.
pub(super) fn set(name: &str, value: &str) -> Result<(), ExperimentError> {
    fs::write(format!("/proc/sys/{name}"), value).map_err(|error| {
        ExperimentError::Host(format!(
            "could not set {} in a network namespace of this run's own: {error}; is /proc/sys writable here?",
            name.replace('/', ".")
        ))
    })
}

/// Runs ip(8) where the caller is.
pub(super) fn ip(arguments: &[&str]) -> Result<(), ExperimentError> {
    run(
        tool("ip").args(arguments),
        "iproute2",
        "root, or a user namespace, and a kernel with veth",
    )
}

/// Runs nft(8) with these rules where the caller is.
pub(super) fn nft(rules: &str) -> Result<(), ExperimentError> {
    run(
        tool("nft").arg(rules),
        "nftables",
        "root of its namespace and a kernel with nf_tables",
    )
}

/// The program by its name, or where distributions keep what they think is root's and leave out of others' `PATH`.
fn tool(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    let elsewhere = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(name));
    match elsewhere.iter().find(|found| !in_path && found.exists()) {
        Some(found) => Command::new(found),
        None => Command::new(name),
    }
}

fn run(command: &mut Command, package: &str, needs: &str) -> Result<(), ExperimentError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        ExperimentError::Host(format!(
            "this needs `{program}`, which could not be started ({error}); install {package}, e.g. \
             `sudo apt-get install {package}`"
        ))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let arguments: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    Err(ExperimentError::Host(format!(
        "`{program} {}` said: {}; it needs {needs}",
        arguments.join(" ").trim(),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
