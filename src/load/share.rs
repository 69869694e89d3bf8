//! A load generator's share of a population that several hosts open together.
//!
//! Pure. Connections are numbered once for all hosts, and shard `i` of `n` owns the numbers `i`, `i + n`, `i + 2n`, …:
//! so each has the heartbeat phase that it would have in one big run, and `n` shards are that run by construction, where
//! all hosts count phases from the same [`phase_origin`](crate::shard::Settings::phase_origin).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The most shards of a run: what a rendezvous admits, and more than load hosts that one server can bear.
pub const MOST_SHARDS: u32 = 4_096;

/// Which of how many. Written `2/4`: the third of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Default for Shard {
    /// The only one.
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl Shard {
    /// Shard `index`, from 0, of `of`.
    ///
    /// # Errors
    /// A sentence, when there is no such shard.
    pub fn new(index: u32, of: u32) -> Result<Self, String> {
        if of == 0 || of > MOST_SHARDS {
            return Err(format!("{of} shards: there are 1 to {MOST_SHARDS}"));
        }
        if index >= of {
            let last = of - 1;
            return Err(format!(
                "there is no shard {index} of {of}: they are numbered from 0 to {last}"
            ));
        }
        Ok(Self { index, of })
    }

    /// From 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether others open connections too.
    #[must_use]
    pub const fn is_one_of_several(self) -> bool {
        self.of > 1
    }

    /// How many of `connections` are its own: the first shards have one more where they do not divide evenly.
    #[must_use]
    pub const fn share(self, connections: u64) -> u64 {
        let (of, index) = (self.of as u64, self.index as u64);
        connections / of + (index < connections % of) as u64
    }

    /// The number, among those of all shards, of the `local`th of its own.
    #[must_use]
    pub const fn ordinal(self, local: u32) -> u32 {
        local.wrapping_mul(self.of).wrapping_add(self.index)
    }

    /// The inverse of [`ordinal`](Self::ordinal).
    #[must_use]
    pub const fn local(self, ordinal: u32) -> u32 {
        ordinal / self.of
    }

    /// Its part of what all shards were given alike, in equal blocks: first those of shard 0. Nothing is divided where
    /// there is nothing.
    ///
    /// # Errors
    /// A sentence, when there are no equal parts.
    pub fn part<T>(self, all: &[T]) -> Result<&[T], String> {
        let (of, index) = (self.of as usize, self.index as usize);
        if !all.len().is_multiple_of(of) {
            return Err(format!(
                "{} do not divide among {of} shards: give each as many, those of shard 0 first",
                all.len()
            ));
        }
        let each = all.len() / of;
        Ok(&all[index * each..(index + 1) * each])
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.trim().parse().ok()?, of.trim().parse().ok()?)));
        let Some((index, of)) = numbers else {
            return Err(format!(
                "`{text}` is no shard: write index/count, such as 0/4 for the first of four"
            ));
        };
        Self::new(index, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn shards_are_one_population(connections in 0_u64..2_000, of in 1_u32..40) {
            let mut seen = BTreeSet::new();
            for index in 0..of {
                let shard = Shard::new(index, of).unwrap();
                for local in 0..u32::try_from(shard.share(connections)).unwrap() {
                    let ordinal = shard.ordinal(local);
                    prop_assert_eq!(shard.local(ordinal), local);
                    prop_assert!(seen.insert(ordinal), "{} twice", ordinal);
                }
            }
            prop_assert_eq!(seen.len() as u64, connections);
            prop_assert_eq!(seen.last().map_or(0, |last| u64::from(*last) + 1), connections);
        }

        #[test]
        fn parts_are_disjoint_and_whole(each in 0_usize..9, of in 1_u32..20) {
            let all: Vec<usize> = (0..each * of as usize).collect();
            let parts: Vec<usize> = (0..of)
                .flat_map(|index| Shard::new(index, of).unwrap().part(&all).unwrap().to_vec())
                .collect();
            prop_assert_eq!(parts, all);
        }
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let third: Shard = "2/4".parse().unwrap();
        assert_eq!((third.index(), third.of()), (2, 4));
        assert_eq!(third.to_string().parse(), Ok(third));
        assert!(!Shard::default().is_one_of_several());
        for (bad, why) in [
            ("", "write index/count"),
            ("2", "write index/count"),
            ("-1/4", "write index/count"),
            ("4/4", "from 0 to 3"),
            ("0/0", "1 to 4096"),
            ("0/4097", "1 to 4096"),
        ] {
            let said = bad.parse::<Shard>().unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
        let said = third.part(&[1, 2, 3]).unwrap_err();
        assert!(said.contains("do not divide"), "{said}");
    }
}
