//! Advice: from how many connections, how fast a dead peer must be found and what lies between, to a mechanism, its
//! exact settings, what they cost and what they do not notice.
//!
//! Pure: records are handed in as [`Figures`], nothing is read or measured here, and no figure is made up: a cost is
//! one that some record holds, times a rate; what is not noticed is what a fault lab's cells say. The rules that
//! derive the settings are those of every comparison ([`crate::arm::Budget`]).

#![forbid(unsafe_code)]

mod alternatives;
mod answer;
mod choice;
mod cost;
mod doubts;
mod figures;
pub mod fleet;
mod link;
mod notice;
mod pace;
mod snippets;
mod text;
mod timing;
mod words;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;

pub use alternatives::Alternative;
pub use answer::{
    Advice, Asked, HeartbeatSettings, KernelRole, KernelSettings, Settings, Warning, advise,
};
pub use choice::AdviceError;
pub use cost::Cost;
pub use figures::{
    Basis, ConnectsFigure, CostFigure, Figures, HostFigure, Noticed, NoticedCell, Source,
};
pub use link::{Link, LinkFigure};
pub use notice::{Blind, Suspected};
pub use snippets::{Snippet, Values};
pub use text::text;

use crate::arm::KeepaliveSide;
use std::time::Duration;

/// What advice is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Connections held at once.
    pub connections: u64,
    /// A dead peer is to be found within this.
    pub detect_within: Duration,
    /// Intervals of silence that make the verdict; `None`: three, or four where the outage needs it.
    pub misses: Option<u32>,
    /// The longest outage in which nobody may be given up; `None`: the link's.
    pub survive_outage: Option<Duration>,
    /// What a NAT, firewall or load balancer on the way forgets an idle connection after.
    pub middlebox_idle: Option<Duration>,
    /// What the path is like.
    pub link: Link,
    /// Who is to notice.
    pub noticed_by: KeepaliveSide,
    /// The ends that can be set up.
    pub side: KeepaliveSide,
    /// Whether their applications can be changed.
    pub app_changes: bool,
    /// Whether an application that hangs on a living host must be noticed.
    pub hung_matters: bool,
}
