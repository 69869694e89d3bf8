//! Units: instants, durations and counts that cannot be confused with each other.
//!
//! Does not read a clock: [`Nanos`] values are handed in by whoever owns one. Time base: whatever monotonic
//! clock the caller uses; the two ends of one machine share `CLOCK_MONOTONIC`, two machines share nothing.
//! Nothing here allocates except the formatting helpers.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A monotonic instant, or a span between two of them, in nanoseconds.
///
/// Covers 584 years, so additions never need a check; subtraction saturates at zero because a clock read on
/// another core may be a hair behind.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The zero instant, and the empty span.
    pub const ZERO: Self = Self(0);

    /// A span of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1_000_000_000)
    }

    /// The span as a standard duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The span in seconds, for people and ratios only.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "for display; 2^53 ns is 104 days"
    )]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl From<Duration> for Nanos {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// One step of a timing wheel, counted from its [`TickClock`]'s origin; wraps after 2^32 ticks
/// (397 days at 8 ms), so two ticks are only ever compared by their distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick `count` steps later.
    #[must_use]
    pub const fn after(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How many ticks `self` lies after `earlier`; negative when it lies before. Right while the two are less
    /// than 2^31 ticks apart.
    #[must_use]
    #[expect(
        clippy::cast_possible_wrap,
        reason = "the wrapped difference read as signed is the distance"
    )]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

/// Converts between nanoseconds and ticks. Deadlines round up and the present rounds down, so nothing fires early.
#[derive(Clone, Copy, Debug)]
pub struct TickClock {
    origin: Nanos,
    tick: Nanos,
}

impl TickClock {
    /// Ticks of length `tick`, the first beginning at `origin`.
    ///
    /// # Panics
    /// If `tick` is zero.
    #[must_use]
    pub fn new(origin: Nanos, tick: Nanos) -> Self {
        assert!(tick.0 > 0, "a tick has a length");
        Self { origin, tick }
    }

    /// The length of one tick.
    #[must_use]
    pub const fn tick(&self) -> Nanos {
        self.tick
    }

    /// The last tick that has begun at `now`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "ticks wrap by design")]
    pub fn floor(&self, now: Nanos) -> Tick {
        Tick(((now - self.origin).0 / self.tick.0) as u32)
    }

    /// The first tick that begins at or after `deadline`. Deadlines further than 2^30 ticks after the origin's
    /// current lap are the caller's to clamp.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "ticks wrap by design")]
    pub fn ceil(&self, deadline: Nanos) -> Tick {
        Tick((deadline - self.origin).0.div_ceil(self.tick.0) as u32)
    }

    /// The instant at which `tick` begins, given some instant `near` less than 2^31 ticks away from it.
    #[must_use]
    pub fn instant(&self, tick: Tick, near: Nanos) -> Nanos {
        let reference = (near - self.origin).0 / self.tick.0;
        let distance = i64::from(tick.since(self.floor(near)));
        Nanos(self.origin.0 + reference.saturating_add_signed(distance) * self.tick.0)
    }
}

/// A count as people write it: `10k`, `1M`, `250000`, `1.5M`.
///
/// # Errors
/// A sentence that says what was wrong with the text.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let (digits, factor) = match trimmed.chars().last() {
        Some('k' | 'K') => (&trimmed[..trimmed.len() - 1], 1_000_f64),
        Some('m' | 'M') => (&trimmed[..trimmed.len() - 1], 1_000_000_f64),
        _ => (trimmed, 1.0),
    };
    let plain = digits.replace('_', "");
    if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(format!(
            "`{text}` is not a count: write 250000, 10k or 1.5M"
        ));
    }
    let value: f64 = plain
        .parse()
        .map_err(|_| format!("`{text}` is not a count: write 250000, 10k or 1.5M"))?;
    let scaled = value * factor;
    if scaled.fract() != 0.0 || !(0.0..=1e12).contains(&scaled) {
        return Err(format!(
            "`{text}` is not a whole number between 0 and 10^12"
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "range checked above"
    )]
    Ok(scaled as u64)
}

/// A duration as people write it: `8ms`, `30s`, `2m`.
///
/// # Errors
/// A sentence that says what was wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("`{text}` is not a duration ({error}): write 8ms, 30s or 2m"))
}

/// Shows a span with a unit that keeps it between 1 and 1000: `850 ns`, `12.3 us`, `8.00 ms`, `3.2 s`.
#[derive(Clone, Copy, Debug)]
pub struct HumanNanos(pub u64);

impl fmt::Display for HumanNanos {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0 as f64;
        let (scaled, unit) = match self.0 {
            0..1_000 => return write!(f, "{} ns", self.0),
            1_000..1_000_000 => (value / 1e3, "µs"),
            1_000_000..1_000_000_000 => (value / 1e6, "ms"),
            _ => (value / 1e9, "s"),
        };
        let decimals = if scaled < 10.0 {
            2
        } else {
            usize::from(scaled < 100.0)
        };
        write!(f, "{scaled:.decimals$} {unit}")
    }
}

/// Shows a count with thousands separated: `100,000`.
#[derive(Clone, Copy, Debug)]
pub struct HumanCount(pub u64);

impl fmt::Display for HumanCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A size as people write it: `200MiB`, `24GiB`, `1.5G`, `65536`; `k`, `M` and `G` are powers of 1000, with `i` of
/// 1024.
///
/// # Errors
/// A sentence that says what was wrong with the text.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: write 200MiB, 24GiB or 500MB");
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let value: f64 = digits.parse().map_err(|_| wrong())?;
    let factor = match unit.trim_start().trim_end_matches(['B', 'b']) {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" | "ki" => 1024.0,
        "Mi" => f64::from(1_u32 << 20),
        "Gi" => f64::from(1_u32 << 30),
        _ => return Err(wrong()),
    };
    let bytes = value * factor;
    if !(0.0..=1e15).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "range checked above"
    )]
    Ok(bytes as u64)
}

/// Shows a size in powers of 1024, as limits are given: `200 MiB`, `23.5 GiB`.
#[derive(Clone, Copy, Debug)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0 as f64;
        match self.0 {
            0..0x400 => write!(f, "{} B", self.0),
            0x400..0x10_0000 => write!(f, "{:.0} KiB", value / 1024.0),
            0x10_0000..0x4000_0000 => write!(f, "{:.0} MiB", value / 1_048_576.0),
            _ => write!(f, "{:.1} GiB", value / 1_073_741_824.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_people_write_them() {
        assert_eq!(parse_count("10k"), Ok(10_000));
        assert_eq!(parse_count("1.5M"), Ok(1_500_000));
        assert_eq!(parse_count("250_000"), Ok(250_000));
        for bad in ["", "k", "-5", "1.0001k", "ten", "1e9", "99999999M"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_read_and_show_as_people_write_them() {
        assert_eq!(parse_bytes("200MiB"), Ok(200 << 20));
        assert_eq!(parse_bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("500MB"), Ok(500_000_000));
        assert_eq!(parse_bytes("64k"), Ok(64_000));
        assert_eq!(parse_bytes("65536"), Ok(65_536));
        for bad in ["", "MiB", "-1M", "ten", "5 apples", "1e9", "9999999G"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        let shown: Vec<String> = [512, 64 << 10, 200 << 20, 3 << 29]
            .map(|bytes| HumanBytes(bytes).to_string())
            .into();
        assert_eq!(shown, ["512 B", "64 KiB", "200 MiB", "1.5 GiB"]);
    }

    #[test]
    fn ticks_never_fire_early_and_survive_the_wrap() {
        let clock = TickClock::new(Nanos(5), Nanos(10));
        assert_eq!(clock.ceil(Nanos(15)), Tick(1));
        assert_eq!(clock.ceil(Nanos(16)), Tick(2));
        assert_eq!(clock.floor(Nanos(24)), Tick(1));
        assert_eq!(Tick(3).since(Tick(u32::MAX)), 4);
        let late = Nanos(5 + 10 * ((1_u64 << 32) + 7));
        assert_eq!(clock.floor(late), Tick(7));
        assert_eq!(clock.instant(Tick(9), late), Nanos(late.0 + 20));
    }

    #[test]
    fn spans_and_counts_are_shown_with_a_fitting_unit() {
        assert_eq!(HumanNanos(850).to_string(), "850 ns");
        assert_eq!(HumanNanos(12_345).to_string(), "12.3 µs");
        assert_eq!(HumanNanos(8_000_000).to_string(), "8.00 ms");
        assert_eq!(HumanNanos(3_200_000_000).to_string(), "3.20 s");
        assert_eq!(HumanCount(1_234_567).to_string(), "1,234,567");
        assert_eq!(HumanCount(12).to_string(), "12");
    }
}
