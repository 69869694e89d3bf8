//! The plan of `compare --fleet`: a TOML file that says where load generators meet this host and how they reach it.
//!
//! Does not meet anybody. Whatever is wrong is said with the file, the line and the key.

use super::fleet::{host_and_port, shards};
use super::{Failure, parse};
use crate::experiment::DrivenPlan;
use serde::de::{Deserialize, Deserializer, Error as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long load generators are waited for unless the plan says; as long as `serve` waits.
const GATHER_WITHIN: Duration = Duration::from_mins(1);

/// As it is written.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "rendezvous")]
    rendezvous: String,
    token_file: Option<PathBuf>,
    #[serde(deserialize_with = "count")]
    shards: u32,
    #[serde(default, deserialize_with = "time")]
    gather_within: Option<Duration>,
    #[serde(deserialize_with = "addresses")]
    targets: Vec<Ipv4Addr>,
    #[serde(default, deserialize_with = "port")]
    port: Option<u16>,
    #[serde(default, deserialize_with = "addresses")]
    source_addresses: Vec<Ipv4Addr>,
}

/// A plan that holds together.
#[derive(Debug)]
pub(super) struct FleetPlan {
    pub(super) rendezvous: String,
    pub(super) token_file: Option<PathBuf>,
    pub(super) shards: u32,
    pub(super) gather_within: Duration,
    pub(super) driven: DrivenPlan,
}

impl FleetPlan {
    /// Reads the plan.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::Usage(format!(
                "the plan cannot be read from {} ({error}): is the path right, and may this user read it?",
                file.display()
            ))
        })?;
        Self::parse(&text).map_err(|why| Failure::Usage(format!("{}{why}", file.display())))
    }

    /// # Errors
    /// What stands behind the file's name.
    fn parse(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| complaint(text, &error))?;
        let driven = DrivenPlan::new(
            written.targets,
            written.port,
            written.source_addresses,
            written.shards,
        )
        .map_err(|why| format!(": {why}"))?;
        Ok(Self {
            rendezvous: written.rendezvous,
            token_file: written.token_file,
            shards: written.shards,
            gather_within: written.gather_within.unwrap_or(GATHER_WITHIN),
            driven,
        })
    }
}

/// `, line 3, key `shards`: …`; what is missing has no line.
fn complaint(text: &str, error: &toml::de::Error) -> String {
    let said = error.message().trim().replace('\n', "; ");
    if said.starts_with("missing field") {
        return format!(": {said}");
    }
    let Some(span) = error.span() else {
        return format!(": {said}");
    };
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    // A value may begin lines after its key.
    let above = text.lines().take(line);
    let key = above
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key.trim())
        .last();
    match key {
        Some(key) => format!(", line {line}, key `{key}`: {said}"),
        None => format!(", line {line}: {said}"),
    }
}

fn rendezvous<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    host_and_port(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    shards(&i64::deserialize(from)?.to_string()).map_err(D::Error::custom)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    parse::duration(&text).map(Some).map_err(D::Error::custom)
}

fn port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let number = i64::deserialize(from)?;
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    let refused = || D::Error::custom(format!("`{number}` is not a port: 1 to 65535"));
    port.map(Some).ok_or_else(refused)
}

fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Ipv4Addr>, D::Error> {
    let all = Vec::<String>::deserialize(from)?;
    let one = |text: &String| {
        let address = text.trim().parse::<Ipv4Addr>().ok();
        let address = address.filter(|address| !address.is_unspecified());
        address.ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no IPv4 address of a host, such as 10.0.0.1 (without a port)"
            ))
        })
    };
    all.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
# of four hosts
rendezvous = "0.0.0.0:7100"
shards = 4
targets = ["127.0.0.1"]
"#;

    #[test]
    fn what_is_not_said_has_its_default() {
        let plan = FleetPlan::parse(PLAN).unwrap();
        assert_eq!((plan.shards, plan.gather_within), (4, GATHER_WITHIN));
        assert_eq!(plan.rendezvous, "0.0.0.0:7100");
        assert_eq!(plan.token_file, None);
        let more = format!(
            "{PLAN}gather_within = \"2m\"\ntoken_file = \"token\"\nport = 7000\nsource_addresses = \
             [\"127.0.0.1\", \"127.0.0.2\", \"127.0.0.3\", \"127.0.0.4\"]"
        );
        let plan = FleetPlan::parse(&more).unwrap();
        assert_eq!(plan.gather_within, Duration::from_mins(2));
        assert_eq!(plan.token_file.as_deref(), Some(Path::new("token")));
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_key() {
        for (from, to, said) in [
            ("shards = 4", "", ": missing field `shards`"),
            (
                "shards = 4",
                "shards = \"4\"",
                ", line 4, key `shards`: invalid type: string",
            ),
            (
                "shards = 4",
                "shards = 0",
                ", line 4, key `shards`: `0` is not a number",
            ),
            ("shards = 4", "shards = -4", "`-4` is not a number"),
            (
                "shards = 4",
                "shard = 4",
                ", line 4, key `shard`: unknown field `shard`, expected",
            ),
            ("shards = 4", "shards 4", ", line 4"),
            (
                "0.0.0.0:7100",
                "0.0.0.0",
                ", line 3, key `rendezvous`: `0.0.0.0` is not a host with a port",
            ),
            (
                "[\"127.0.0.1\"]",
                "[\n  \"127.0.0.1:7000\",\n]",
                "key `targets`: `127.0.0.1:7000` is no IPv4",
            ),
            (
                "[\"127.0.0.1\"]",
                "\"127.0.0.1\"",
                ", line 5, key `targets`: invalid type: string",
            ),
            ("[\"127.0.0.1\"]", "[]", ": `targets` names no address"),
            // TEST-NET-1 (RFC 5737, section 3): no host has it.
            (
                "127.0.0.1",
                "192.0.2.77",
                ": `targets` are addresses of this host",
            ),
            (
                "shards = 4",
                "shards = 4\nport = 0",
                ", line 5, key `port`: `0` is not a port",
            ),
            (
                "shards = 4",
                "shards = 4\ngather_within = \"soon\"",
                ", line 5, key `gather_within`",
            ),
            (
                "shards = 4",
                "shards = 4\nsource_addresses = [\"127.0.0.1\"]",
                "do not divide among 4",
            ),
        ] {
            let text = PLAN.replacen(from, to, 1);
            let error = FleetPlan::parse(&text).unwrap_err();
            assert!(error.contains(said), "{to}: {error}");
        }
    }

    #[test]
    fn a_plan_that_is_not_there_is_named() {
        let said = FleetPlan::read(Path::new("/nowhere/plan.toml")).unwrap_err();
        assert!(
            matches!(&said, Failure::Usage(why) if why.contains("/nowhere/plan.toml")),
            "{said:?}"
        );
    }
}
