//! The kernel's numbers as code and configuration, for people to paste.
//!
//! Decides no number. Templates stand in [`languages`] and [`servers`], each with the source of the names it uses; tests
//! compile and run what the machine has a compiler for and read the options back. `scripts/check-snippets` tries all of
//! them; bench/README.md says with which versions it last did. A change of a template is to be followed by that script.

mod languages;
mod servers;

use std::fmt;
use std::str::FromStr;

/// The numbers a snippet is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// A dead peer is to be found within this.
    pub detect_within_ms: u64,
    /// Between two signs of life.
    pub interval_ms: u64,
    /// `TCP_KEEPIDLE`.
    pub idle_s: u32,
    /// `TCP_KEEPINTVL`.
    pub interval_s: u32,
    /// `TCP_KEEPCNT`.
    pub count: u32,
    /// `TCP_USER_TIMEOUT`.
    pub user_timeout_ms: u64,
    /// The longest silence a middlebox allows; as long as can be where there is none.
    pub longest_idle_s: u32,
}

/// What settings can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Snippet {
    /// setsockopt(2).
    C,
    /// The crate socket2.
    Rust,
    /// The package net.
    Go,
    /// `jdk.net`.
    Java,
    /// Its native transport.
    Netty,
    /// The module socket.
    Python,
    /// The module net.
    Node,
    /// Listening and upstream sockets.
    Nginx,
    /// Both sides.
    Haproxy,
    /// The server.
    Redis,
    /// Server and libpq.
    Postgresql,
    /// Channels and servers.
    Grpc,
    /// Socket units.
    Systemd,
}

impl Snippet {
    /// All, languages first.
    pub const ALL: [Self; 13] = [
        Self::C,
        Self::Rust,
        Self::Go,
        Self::Java,
        Self::Netty,
        Self::Python,
        Self::Node,
        Self::Nginx,
        Self::Haproxy,
        Self::Redis,
        Self::Postgresql,
        Self::Grpc,
        Self::Systemd,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Java => "java",
            Self::Netty => "netty",
            Self::Python => "python",
            Self::Node => "node",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Redis => "redis",
            Self::Postgresql => "postgresql",
            Self::Grpc => "grpc",
            Self::Systemd => "systemd",
        }
    }

    /// The text, filled in; lines of 80 columns at most.
    #[must_use]
    pub fn render(self, values: &Values) -> String {
        match self {
            Self::C => fill(languages::C, values),
            Self::Rust => fill(languages::RUST, values),
            Self::Go => fill(languages::GO, values),
            Self::Java => fill(languages::JAVA, values),
            Self::Netty => fill(languages::NETTY, values),
            Self::Python => fill(languages::PYTHON, values),
            Self::Node => languages::node(values),
            Self::Nginx => fill(servers::NGINX, values),
            Self::Haproxy => fill(servers::HAPROXY, values),
            Self::Redis => servers::redis(values),
            Self::Postgresql => fill(servers::POSTGRESQL, values),
            Self::Grpc => servers::grpc(values),
            Self::Systemd => fill(servers::SYSTEMD, values),
        }
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Snippet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|one| one.name() == text);
        named.ok_or_else(|| format!("`{text}` is nothing that settings can be written for"))
    }
}

/// `@idle@` and the like, replaced.
fn fill(template: &str, values: &Values) -> String {
    let sum = values.idle_s + values.interval_s * values.count;
    let text = template
        .trim_start_matches('\n')
        .replace("@idle@", &values.idle_s.to_string())
        .replace("@interval@", &values.interval_s.to_string())
        .replace("@count@", &values.count.to_string())
        .replace("@sum@", &sum.to_string())
        .replace("@user@", &values.user_timeout_ms.to_string());
    debug_assert!(!text.contains('@'), "a placeholder has no number: {text}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values = Values {
        detect_within_ms: 30_000,
        interval_ms: 7_500,
        idle_s: 7,
        interval_s: 5,
        count: 4,
        user_timeout_ms: 26_500,
        longest_idle_s: u32::MAX,
    };

    #[test]
    fn every_snippet_holds_its_numbers_and_fits() {
        for snippet in Snippet::ALL {
            assert_eq!(snippet.name().parse(), Ok(snippet));
            let text = snippet.render(&VALUES);
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{snippet}: {line}");
            }
            assert!(!text.contains('@'), "{snippet}: {text}");
            // These have numbers of their own, made from the budget.
            if matches!(snippet, Snippet::Node | Snippet::Redis | Snippet::Grpc) {
                continue;
            }
            for number in [7, 5, 4] {
                let word = number.to_string();
                let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
                assert!(numbers.any(|found| found == word), "{snippet}: {text}");
            }
            let lacks = matches!(snippet, Snippet::Java | Snippet::Nginx | Snippet::Systemd);
            assert!(lacks || text.contains("26500"), "{snippet}: {text}");
        }
    }

    #[test]
    fn what_has_one_number_keeps_the_promise_too() {
        for within_s in 2..600_u64 {
            let values = Values {
                detect_within_ms: within_s * 1_000,
                idle_s: u32::try_from(within_s / 3).unwrap().max(1),
                ..VALUES
            };
            if let Some(period) = servers::redis_period(&values) {
                let third = (period / 3).max(1);
                assert!(u64::from(period + 3 * third) <= within_s, "{within_s}");
            } else {
                assert!(within_s < 4, "{within_s}");
            }
            if let Some(idle_s) = languages::node_idle(&values) {
                assert!(u64::from(idle_s) + 10 <= within_s && idle_s <= values.idle_s);
            } else {
                assert!(within_s <= 10, "{within_s}");
            }
            if let Some((time, timeout)) = servers::grpc_times(&values) {
                assert!(time + timeout <= within_s && time >= 10 && timeout >= 1);
            } else {
                assert!(within_s < 11, "{within_s}");
            }
        }
    }
}
