//! Every timer structure that is measured expires the same indices at the same ticks.
//!
//! Does not measure. Run with `cargo test --test timers`.

#[path = "timers/mod.rs"]
mod timers;

#[cfg(test)]
mod tests {
    use super::timers::script;

    #[test]
    fn all_subjects_play_the_same_script() {
        for seed in [1, 3, 5, 7] {
            let failures = script::divergences(seed);
            assert!(failures.is_empty(), "seed {seed}: {failures:#?}");
        }
    }
}
