//! What a path is like, as presets, each figure with its source or called a rule of thumb.
//!
//! Measures nothing: whoever knows a path better gives `--survive-outage` and `--middlebox-idle`.

use serde::Serialize;
use std::time::Duration;

/// A kind of path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Within a site.
    Datacenter,
    /// Fixed lines.
    #[default]
    Internet,
    /// A cellular radio at one end.
    Mobile,
    /// A geostationary satellite.
    Satellite,
}

/// One figure of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LinkFigure {
    /// What it is of.
    pub what: &'static str,
    /// In the unit below.
    pub value: u64,
    /// `ms`, or `ppm` for packets lost of a million.
    pub unit: &'static str,
    /// Where it is from.
    pub source: &'static str,
}

const RULE_OF_THUMB: &str = "rule of thumb";

impl Link {
    /// All, the nearest first.
    pub const ALL: [Self; 4] = [
        Self::Datacenter,
        Self::Internet,
        Self::Mobile,
        Self::Satellite,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datacenter => "datacenter",
            Self::Internet => "internet",
            Self::Mobile => "mobile",
            Self::Satellite => "satellite",
        }
    }

    /// A round trip.
    #[must_use]
    pub const fn round_trip(self) -> Duration {
        Duration::from_millis(match self {
            Self::Datacenter => 1,
            Self::Internet => 100,
            // With the radio's wake-up, which a sign of life on an idle connection meets each time.
            Self::Mobile => 400,
            Self::Satellite => 600,
        })
    }

    /// The longest outage that is everyday.
    #[must_use]
    pub const fn outage(self) -> Duration {
        Duration::from_secs(match self {
            Self::Datacenter => 1,
            Self::Internet => 2,
            Self::Mobile => 10,
            Self::Satellite => 5,
        })
    }

    /// Packets lost of a million, independently of each other.
    #[must_use]
    pub const fn loss_ppm(self) -> u32 {
        match self {
            Self::Datacenter => 10,
            Self::Internet => 5_000,
            Self::Mobile | Self::Satellite => 10_000,
        }
    }

    /// How long a packet keeps the radio from sleeping, where there is one that would.
    #[must_use]
    pub const fn radio_tail(self) -> Option<Duration> {
        match self {
            Self::Mobile => Some(Duration::from_secs(10)),
            _ => None,
        }
    }

    /// All figures, with their sources.
    #[must_use]
    pub fn figures(self) -> Vec<LinkFigure> {
        let figure = |what, span: Duration, source| LinkFigure {
            what,
            value: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
            unit: "ms",
            source,
        };
        let mut figures = vec![
            figure(
                "round trip",
                self.round_trip(),
                match self {
                    Self::Satellite => {
                        "RFC 2488, section 2: 558 ms of propagation at least, and queues"
                    }
                    Self::Mobile => "rule of thumb, the radio's wake-up included",
                    _ => RULE_OF_THUMB,
                },
            ),
            figure(
                "outage to be survived",
                self.outage(),
                match self {
                    Self::Datacenter => "rule of thumb: a link or route that fails over",
                    Self::Internet => "rule of thumb: a route that changes, a Wi-Fi hand-over",
                    Self::Mobile => "rule of thumb: a lift, a tunnel, a change of radio technology",
                    Self::Satellite => "rule of thumb: a gateway that changes over in rain",
                },
            ),
        ];
        figures.push(LinkFigure {
            what: "packets lost, one by one",
            value: self.loss_ppm().into(),
            unit: "ppm",
            source: "rule of thumb; real losses come in bursts",
        });
        if let Some(tail) = self.radio_tail() {
            figures.push(figure(
                "a packet keeps the radio awake for",
                tail,
                "rule of thumb: the inactivity timer operators usually set in LTE",
            ));
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_says_where_it_is_from() {
        for link in Link::ALL {
            for figure in link.figures() {
                let sourced = figure.source.starts_with("RFC ");
                assert!(
                    sourced || figure.source.starts_with(RULE_OF_THUMB),
                    "{figure:?}"
                );
                assert!(figure.value > 0);
            }
        }
    }
}
