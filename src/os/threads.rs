//! What each thread of a process ran, and how long it waited for a CPU.
//!
//! Does not name or group them. Units: [`Nanos`] since the thread began. From `/proc/PID/task/TID/schedstat`
//! (Documentation/scheduler/sched-stats.rst): both are the scheduler's own sums, exact to the nanosecond, and need
//! `CONFIG_SCHED_INFO`, which every usual kernel has.

use super::{OsError, number, read_text};
use crate::units::Nanos;

/// One thread's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadTimes {
    /// Its number.
    pub tid: u32,
    /// Its name, `comm`.
    pub name: String,
    /// On a CPU.
    pub run: Nanos,
    /// Ready to run and not running.
    pub waited: Nanos,
}

/// The threads of `pid`, by number. One that ends meanwhile is left out.
///
/// # Errors
/// [`OsError::Unreadable`] when the process is gone, [`OsError::Malformed`] for another form.
pub fn threads(pid: u32) -> Result<Vec<ThreadTimes>, OsError> {
    let folder = format!("/proc/{pid}/task");
    let entries =
        std::fs::read_dir(&folder).map_err(|source| OsError::unreadable(&folder, source))?;
    let mut found = Vec::new();
    for tid in entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()) {
        let path = format!("{folder}/{tid}/schedstat");
        let (Ok(text), Ok(name)) = (
            read_text(&path),
            std::fs::read_to_string(format!("{folder}/{tid}/comm")),
        ) else {
            continue;
        };
        let (run, waited) = parse_schedstat(&path, &text)?;
        found.push(ThreadTimes {
            tid,
            name: name.trim_end().to_owned(),
            run,
            waited,
        });
    }
    found.sort_unstable_by_key(|thread| thread.tid);
    Ok(found)
}

/// Run and wait time of one `schedstat` line; the third figure, its time slices, is left.
fn parse_schedstat(path: &str, text: &str) -> Result<(Nanos, Nanos), OsError> {
    let mut words = text.split_ascii_whitespace();
    let mut next = || {
        let word = words
            .next()
            .ok_or_else(|| OsError::malformed(path, "three counts", text))?;
        number(path, "nanoseconds", word).map(Nanos)
    };
    Ok((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_figures_are_run_and_wait() {
        let (run, waited) = parse_schedstat("x", "123 45 6\n").unwrap();
        assert_eq!((run, waited), (Nanos(123), Nanos(45)));
        assert!(parse_schedstat("x", "123\n").is_err());
        assert!(parse_schedstat("x", "a b c\n").is_err());
    }

    #[test]
    fn a_thread_that_works_shows() {
        let (told, hears) = std::sync::mpsc::channel::<()>();
        let worker = std::thread::Builder::new()
            .name("schedstat-probe".to_owned())
            .spawn(move || {
                let begun = std::time::Instant::now();
                while begun.elapsed().as_millis() < 20 {}
                let _ = hears.recv();
            })
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(60));
        let all = threads(std::process::id()).unwrap();
        let probe = all
            .iter()
            .find(|thread| thread.name == "schedstat-probe")
            .unwrap();
        assert!(probe.run > Nanos::ZERO, "{probe:?}");
        drop(told);
        worker.join().unwrap();
        assert!(threads(u32::MAX).is_err());
    }
}
