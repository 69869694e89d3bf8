//! Every timer structure that is measured expires the same indices at the same ticks.
//!
//! Does not measure. Run with `cargo test --test timers`.

#[path = "timers/mod.rs"]
mod timers;

#[cfg(test)]
mod tests {
    use super::timers::subject::{Role, Timers};
    use super::timers::{Visitor, script, visit_all};
    use std::collections::BTreeMap;

    #[test]
    fn p20_all_subjects_play_the_same_script() {
        for seed in [1, 3, 5, 7] {
            let failures = script::divergences(seed);
            assert!(failures.is_empty(), "seed {seed}: {failures:#?}");
        }
    }

    #[test]
    fn subjects_have_names_of_their_own_and_one_is_the_crates_wheel() {
        struct Names(BTreeMap<&'static str, (Role, u64)>);
        impl Visitor for Names {
            fn visit<T: Timers>(&mut self) {
                let mut timers = T::new(1, &[2]);
                timers.arm(0, 0, 2);
                timers.clock_to(2);
                let expired = timers.turn_to(2, &mut Vec::new());
                assert_eq!(expired, usize::from(T::PRECISION == 1), "{}", T::NAME);
                let before = self.0.insert(T::NAME, (T::ROLE, timers.visited()));
                assert!(before.is_none(), "two are called {}", T::NAME);
            }
        }
        let mut names = Names(BTreeMap::new());
        visit_all(&mut names);
        let ours = names.0.values().filter(|(role, _)| *role == Role::Ours);
        assert_eq!(ours.collect::<Vec<_>>(), [&(Role::Ours, 1)]);
    }
}
