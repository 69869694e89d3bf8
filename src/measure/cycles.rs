//! CPU cycles of the whole machine, where it has counters: the third opinion.
//!
//! Does not convert to time: a cycle's length follows the clock frequency. Counts `PERF_COUNT_HW_CPU_CYCLES`
//! (`perf_event_open(2)`) of every process and of the kernel on each core; a halted core counts none, so idle time is
//! not in it and interrupts are. Needs root or `kernel.perf_event_paranoid` of 0 or less, and hardware that a virtual
//! machine is mostly not given.

use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

/// Running counters, one per core.
#[derive(Debug)]
pub struct CycleCounters {
    counters: Vec<Counter>,
}

impl CycleCounters {
    /// Opens and starts them.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub fn start(cores: &[usize]) -> Result<Self, String> {
        let open = |core: usize| {
            let mut counter = Builder::new(Hardware::CPU_CYCLES)
                .any_pid()
                .one_cpu(core)
                .include_kernel()
                .build()?;
            counter.enable()?;
            Ok(counter)
        };
        let counters: std::io::Result<Vec<Counter>> =
            cores.iter().map(|core| open(*core)).collect();
        counters.map(|counters| Self { counters }).map_err(|error| {
            format!(
                "the host gives no cycle counters ({error}): a virtual machine mostly has none; on bare metal run as \
                 root or set kernel.perf_event_paranoid to 0"
            )
        })
    }

    /// Cycles since the start, all cores together.
    ///
    /// # Errors
    /// When a counter does not read.
    pub fn read(&mut self) -> Result<u64, String> {
        self.counters
            .iter_mut()
            .map(|counter| counter.read().map_err(|error| error.to_string()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::cores::usable_cores;

    #[test]
    fn cycles_pass_or_are_refused_with_a_reason() {
        match CycleCounters::start(&usable_cores()) {
            Ok(mut counters) => {
                let first = counters.read().unwrap();
                assert!(counters.read().unwrap() > first);
            }
            Err(reason) => {
                eprintln!("SKIPPED: {reason}");
                assert!(reason.contains("perf_event_paranoid"), "{reason}");
            }
        }
    }
}
