//! From the text of one argument to a checked value, with a sentence when it is none.
//!
//! Does not look at two arguments together, [`super::flags`] does, nor at names, [`super::choices`] does.

use crate::experiment::{FloorSize, Want};
use crate::os::cores::usable_cores;
use crate::socket::keepalive::Keepalive;
use crate::units::{HumanCount, Nanos, parse_bytes, parse_count, parse_duration};
use std::collections::BTreeSet;
use std::time::Duration;

/// The most connections that may be asked for.
pub const MOST_CONNECTIONS: u64 = 10_000_000;
/// The longest duration that may be asked for.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// 1 to [`MOST_CONNECTIONS`].
///
/// # Errors
/// A sentence for the user, as all parsers here.
pub fn connections(text: &str) -> Result<u64, String> {
    match parse_count(text)? {
        0 => Err("at least 1 is needed".to_owned()),
        count if count > MOST_CONNECTIONS => Err(format!(
            "at most {} can be asked for",
            HumanCount(MOST_CONNECTIONS)
        )),
        count => Ok(count),
    }
}

/// Connections of a trial in the fault lab, 1 to 5000.
///
/// # Errors
/// A sentence for the user.
pub fn lab_connections(text: &str) -> Result<u64, String> {
    match parse_count(text)? {
        count @ 1..=5_000 => Ok(count),
        _ => Err("it must be 1 to 5000".to_owned()),
    }
}

/// Connections of a plan, which need not fit one machine: 1 to 10^12.
///
/// # Errors
/// A sentence for the user.
pub fn planned_connections(text: &str) -> Result<u64, String> {
    match parse_count(text)? {
        0 => Err("at least 1 is needed".to_owned()),
        count => Ok(count),
    }
}

/// Bits per second of a network card: `10G`, `2.5Gbit`, `10Gbit/s`.
///
/// # Errors
/// A sentence for the user.
pub fn bandwidth(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is not a network card's speed in bits per second: write 10G or 2.5G");
    let number = text.trim().trim_end_matches("/s").trim_end_matches("bps");
    let number = number.trim_end_matches("bit");
    let (digits, factor) = match number.chars().last() {
        Some('M' | 'm') => (&number[..number.len() - 1], 1e6),
        Some('G' | 'g') => (&number[..number.len() - 1], 1e9),
        Some('T' | 't') => (&number[..number.len() - 1], 1e12),
        _ => (number, 1.0),
    };
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value: f64 = digits.parse().map_err(|_| wrong())?;
    let bits = value * factor;
    if !plain {
        return Err(wrong());
    }
    if !(1e6..=1e14).contains(&bits) {
        return Err(format!(
            "`{text}` is no network card's speed: give bits per second, 1M to 100T"
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "range checked above"
    )]
    Ok(bits as u64)
}

/// Connections per second: `5k` or `5k/s`.
///
/// # Errors
/// A sentence for the user.
pub fn rate(text: &str) -> Result<u64, String> {
    let count = text.trim().trim_end_matches("/s");
    match parse_count(count)? {
        0 => Err("at least 1 a second is needed; leave the flag out for no bound".to_owned()),
        rate => Ok(rate),
    }
}

/// A size of memory, 1 MiB at least.
///
/// # Errors
/// A sentence for the user.
pub fn size(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        bytes if bytes < 1 << 20 => {
            Err("at least 1MiB is needed: write 200MiB or 20GiB".to_owned())
        }
        bytes => Ok(bytes),
    }
}

/// A rung: a count of connections, or `max`.
///
/// # Errors
/// A sentence for the user.
pub fn rung(text: &str) -> Result<Want, String> {
    if text.trim() == "max" {
        return Ok(Want::Max);
    }
    connections(text).map(Want::Count)
}

/// Numbers of pairs at which the floor is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloorSizes(pub Vec<FloorSize>);

/// `10,1k,max`, or `none`.
///
/// # Errors
/// A sentence for the user.
pub fn floor(text: &str) -> Result<FloorSizes, String> {
    if text.trim() == "none" {
        return Ok(FloorSizes(Vec::new()));
    }
    let sizes: Result<_, String> = text.split(',').map(str::parse).collect();
    sizes.map(FloorSizes)
}

/// A duration of more than zero and at most a year.
///
/// # Errors
/// A sentence for the user.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text)?;
    if span.is_zero() {
        return Err("it must be more than zero: write 8ms, 30s or 2m".to_owned());
    }
    if span > LONGEST {
        return Err("it must be at most a year, 365days".to_owned());
    }
    Ok(span)
}

/// A duration of zero to a year.
///
/// # Errors
/// A sentence for the user.
pub fn pause(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        span if span > LONGEST => Err("it must be at most a year, 365days".to_owned()),
        span => Ok(span),
    }
}

/// The longest delays of a backoff: before the first attempt, and ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Before the first attempt.
    pub base_ms: u64,
    /// Never exceeded.
    pub cap_ms: u64,
}

/// `100ms..10s`: whole milliseconds, the first not above the second.
///
/// # Errors
/// A sentence for the user.
pub fn backoff(text: &str) -> Result<Delays, String> {
    let (base, cap) = text
        .split_once("..")
        .ok_or_else(|| "it must be BASE..CAP, as in 100ms..10s".to_owned())?;
    let millis = |text: &str| {
        let span = duration(text)?;
        if span.subsec_nanos() % 1_000_000 != 0 {
            return Err(format!(
                "`{text}` is no whole number of milliseconds: write 100ms..10s"
            ));
        }
        u64::try_from(span.as_millis())
            .map_err(|_| format!("`{text}` is too long: give a day or less"))
    };
    let (base_ms, cap_ms) = (millis(base)?, millis(cap)?);
    if base_ms > cap_ms {
        return Err(format!(
            "the first wait, {base}, is above the cap, {cap}: write the shorter one first"
        ));
    }
    Ok(Delays { base_ms, cap_ms })
}

/// The length of a tick, 1ms to 1s.
///
/// # Errors
/// A sentence for the user.
pub fn tick(text: &str) -> Result<Nanos, String> {
    let span = Nanos::from(parse_duration(text)?);
    if (Nanos::from_millis(1)..=Nanos::from_secs(1)).contains(&span) {
        Ok(span)
    } else {
        Err("it must be 1ms to 1s".to_owned())
    }
}

/// Intervals of silence that make a verdict, 2 to 100.
///
/// # Errors
/// A sentence for the user.
pub fn misses(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|misses| (2..=100).contains(misses))
        .ok_or_else(|| "it must be 2 to 100: one lost packet makes no verdict".to_owned())
}

/// Keepalive's numbers as `IDLE/INTERVAL/COUNT`: whole seconds, whole seconds, probes.
///
/// # Errors
/// A sentence for the user.
pub fn keepalive(text: &str) -> Result<Keepalive, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let [idle, interval, count] = parts[..] else {
        return Err("it must be IDLE/INTERVAL/COUNT, as in 20s/5s/3".to_owned());
    };
    let count = count
        .trim()
        .parse()
        .map_err(|_| format!("`{count}` is no number of probes: write 20s/5s/3"))?;
    Keepalive::new(whole_seconds(idle)?, whole_seconds(interval)?, count)
        .map_err(|error| error.to_string())
}

/// By how many whole seconds keepalive's idle times may differ, 1 to 3600.
///
/// # Errors
/// A sentence for the user.
pub fn spread(text: &str) -> Result<u32, String> {
    match whole_seconds(text)? {
        spread @ 1..=3600 => Ok(spread),
        _ => Err("it must be 1s to 1h".to_owned()),
    }
}

fn whole_seconds(text: &str) -> Result<u32, String> {
    let span = parse_duration(text)?;
    if span.subsec_nanos() != 0 {
        return Err(format!(
            "`{text}` is no whole number of seconds, and TCP keepalive counts nothing else (tcp(7)): write 20s"
        ));
    }
    u32::try_from(span.as_secs()).map_err(|_| format!("`{text}` is too long: give a day or less"))
}

/// Cores to run on, each of which exists and may be used, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreList(pub Vec<usize>);

/// `0,1,3`, checked against this process's affinity mask.
///
/// # Errors
/// A sentence for the user that names the usable cores.
pub fn cores(text: &str) -> Result<CoreList, String> {
    cores_among(text, &usable_cores())
}

fn cores_among(text: &str, usable: &[usize]) -> Result<CoreList, String> {
    let mut seen = BTreeSet::new();
    let mut cores = Vec::new();
    for part in text.split(',') {
        let core: usize = part
            .trim()
            .parse()
            .map_err(|_| format!("`{part}` is not a core: write 0,1"))?;
        if !usable.contains(&core) {
            let names: Vec<_> = usable.iter().map(usize::to_string).collect();
            return Err(format!(
                "core {core} is not among those usable here: {}",
                names.join(",")
            ));
        }
        if !seen.insert(core) {
            return Err(format!("core {core} is named twice: name each once"));
        }
        cores.push(core);
    }
    Ok(CoreList(cores))
}

/// Rounds of a comparison, 1 to 100.
///
/// # Errors
/// A sentence for the user.
pub fn rounds(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|rounds| (1..=100).contains(rounds))
        .ok_or_else(|| "it must be 1 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_cards_are_in_bits_per_second() {
        for text in ["10G", "10Gbit", "10Gbit/s", "10Gbps", "10000M", "0.01T"] {
            assert_eq!(bandwidth(text), Ok(10_000_000_000), "{text}");
        }
        assert_eq!(bandwidth("2.5G"), Ok(2_500_000_000));
        for bad in ["", "G", "fast", "-1G", "1e9", "NaN", "inf", "10", "1000T"] {
            assert!(bandwidth(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keepalive_is_three_numbers_of_the_kernels() {
        let numbers = keepalive("20s/5s/3").unwrap();
        assert_eq!(
            (numbers.idle_s, numbers.interval_s, numbers.count),
            (20, 5, 3)
        );
        for bad in [
            "20s/5s",
            "20s/5s/x",
            "0s/5s/3",
            "1500ms/5s/3",
            "20s/5s/128",
            "10h/5s/3",
            "",
        ] {
            assert!(keepalive(bad).is_err(), "{bad}");
        }
        assert_eq!(spread("5s"), Ok(5));
        assert!(spread("0s").is_err() && spread("2h").is_err() && spread("1500ms").is_err());
    }

    #[test]
    fn a_backoff_is_two_durations_in_order() {
        let delays = |base_ms, cap_ms| Ok(Delays { base_ms, cap_ms });
        assert_eq!(backoff("100ms..10s"), delays(100, 10_000));
        assert_eq!(backoff("1s..1s"), delays(1_000, 1_000));
        for bad in [
            "100ms",
            "10s..1s",
            "0ms..1s",
            "1s..",
            "..1s",
            "1500us..1s",
            "-1s..1s",
            "1s..2years",
        ] {
            assert!(backoff(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn good_values_are_taken() {
        assert_eq!(connections("1M"), Ok(1_000_000));
        assert_eq!((rate("5k"), rate("5k/s")), (Ok(5_000), Ok(5_000)));
        assert_eq!(rung("max"), Ok(Want::Max));
        assert_eq!(rung("2.5M"), Ok(Want::Count(2_500_000)));
        let sizes = vec![FloorSize::Pairs(1_000), FloorSize::Max];
        assert_eq!(floor("1k,max"), Ok(FloorSizes(sizes)));
        assert_eq!(floor("none"), Ok(FloorSizes(Vec::new())));
        assert_eq!(size("200MiB"), Ok(200 << 20));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(pause("0s"), Ok(Duration::ZERO));
        assert_eq!(tick("8ms"), Ok(Nanos::from_millis(8)));
        assert_eq!(misses("3"), Ok(3));
    }

    #[test]
    fn bounds_hold_at_both_ends() {
        assert!(connections("0").is_err() && connections("10M").is_ok());
        assert!(connections("10000001").is_err());
        assert!(lab_connections("0").is_err() && lab_connections("5001").is_err());
        assert_eq!(
            (lab_connections("1"), lab_connections("5k")),
            (Ok(1), Ok(5_000))
        );
        assert!(rate("0/s").is_err() && rate("/s").is_err() && rate("-1").is_err());
        assert!(rung("0").is_err() && rung("11M").is_err() && rung("top").is_err());
        assert!(floor("0").is_err() && floor("").is_err() && floor("1k,none").is_err());
        assert!(size("1MiB").is_ok() && size("1023KiB").is_err() && size("0").is_err());
        assert!(duration("0s").is_err() && duration("2years").is_err());
        assert!(duration("30").unwrap_err().contains("30s"));
        assert!(pause("2years").is_err());
        assert!(tick("1ms").is_ok() && tick("999us").is_err());
        assert!(tick("1s").is_ok() && tick("1001ms").is_err());
        assert!(misses("1").is_err() && misses("2").is_ok());
        assert!(misses("100").is_ok() && misses("101").is_err() && misses("x").is_err());
    }

    #[test]
    fn cores_exist_and_are_named_once() {
        let usable = [0, 2, 3];
        assert_eq!(cores_among("3, 0", &usable), Ok(CoreList(vec![3, 0])));
        let unusable = cores_among("0,1", &usable).unwrap_err();
        assert!(
            unusable.contains("core 1") && unusable.contains("0,2,3"),
            "{unusable}"
        );
        assert!(cores_among("2,2", &usable).unwrap_err().contains("twice"));
        for bad in ["", "0,", "-1", "a"] {
            assert!(
                cores_among(bad, &usable)
                    .unwrap_err()
                    .contains("not a core"),
                "{bad}"
            );
        }
    }
}
