//! Counters in the tables of `/proc/net`: a line of names, then a line of values.
//!
//! Does not read the files. Allocates nothing, so that samplers can use it. Source: net/ipv4/proc.c.

use super::{OsError, number};

/// The counter `name` in the table `table` of a file like `/proc/net/netstat`: a line of names,
/// then a line of values.
///
/// # Errors
/// [`OsError::Missing`] without that table or name, [`OsError::Malformed`] when the value is no
/// count.
pub fn counter(path: &str, text: &str, table: &str, name: &str) -> Result<u64, OsError> {
    counters(path, text, table, [name]).map(|[value]| value)
}

/// Several counters of one table, in one walk along its lines that ends with the last of them.
///
/// # Errors
/// As [`counter`].
pub fn counters<const N: usize>(
    path: &str,
    text: &str,
    table: &str,
    wanted: [&str; N],
) -> Result<[u64; N], OsError> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(table)?.strip_prefix(':'));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return Err(OsError::missing(path, format!("{table}:")));
    };
    let mut columns = names
        .split_ascii_whitespace()
        .zip(values.split_ascii_whitespace());
    let mut found = [None; N];
    while found.contains(&None) {
        let Some((name, value)) = columns.next() else {
            break;
        };
        if let Some(place) = wanted.iter().position(|wanted| *wanted == name) {
            found[place] = Some(number(path, "a count", value)?);
        }
    }
    let mut counts = [0; N];
    for ((count, found), name) in counts.iter_mut().zip(found).zip(wanted) {
        *count = found.ok_or_else(|| OsError::missing(path, format!("{table}: {name}")))?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/proc/net/snmp";
    const SAMPLE: &str = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: MaxConn InSegs OutSegs InErrs
Tcp: -1 7209 4494 3
";

    #[test]
    fn counters_come_in_the_order_asked_for_and_what_is_not_there_is_an_error() {
        let both = counters(FILE, SAMPLE, "Tcp", ["OutSegs", "InSegs"]);
        assert_eq!(both.unwrap(), [4494, 7209]);
        assert_eq!(counter(FILE, SAMPLE, "Ip", "DefaultTTL").unwrap(), 64);
        for (table, name) in [("Tcp", "MaxConn"), ("Tcp", "NoSuch"), ("Udp", "InErrors")] {
            assert!(
                counter(FILE, SAMPLE, table, name).is_err(),
                "{table} {name}"
            );
        }
        assert!(counters(FILE, SAMPLE, "Tcp", ["InSegs", "NoSuch"]).is_err());
    }
}
