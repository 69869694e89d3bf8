//! Memory: what is free, what a process holds, what the kernel's slab caches hold.
//!
//! Does not divide by connections; see `measure::memory`. Units: bytes.
//!
//! - `/proc/meminfo` (`proc_meminfo(5)`): `MemAvailable` counts reclaimable slabs, among them the
//!   dentries and inodes of live sockets, which are not reclaimable: to foresee an end of memory
//!   use `MemFree`.
//! - `/proc/zoneinfo`: pages on the per-CPU free lists are free and not in `MemFree`; since Linux 6.7 the lists
//!   tune themselves and hold hundreds of megabytes after a million sockets were closed.
//! - `/proc/PID/smaps_rollup`: `Private_Clean + Private_Dirty`, the pages no other process maps.
//!   The two processes of one binary share its text, which belongs to neither's growth.
//! - `/proc/slabinfo` (root; `slabinfo(5)`): whole slabs in use or half empty, so the figure moves
//!   in steps of a slab. SLUB merges caches of equal size and flags under one name (`slab_nomerge`
//!   on the kernel's command line keeps them apart); a merged cache is not listed, and its growth
//!   shows under another.

use super::{OsError, number, read_text};
use nix::unistd::{SysconfVar, sysconf};
use std::collections::BTreeMap;

const MEMINFO: &str = "/proc/meminfo";
const SLABINFO: &str = "/proc/slabinfo";
const ZONEINFO: &str = "/proc/zoneinfo";

/// The machine's memory at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemMemory {
    /// `MemTotal`.
    pub total: u64,
    /// `MemFree`.
    pub free: u64,
    /// `MemAvailable`.
    pub available: u64,
    /// `Slab`.
    pub slab: u64,
    /// Free pages on the per-CPU lists, which are not in `free`; `None` where `/proc/zoneinfo` is hidden.
    pub per_cpu_lists: Option<u64>,
}

impl SystemMemory {
    /// Free memory, wherever the allocator keeps it.
    #[must_use]
    pub fn free_anywhere(&self) -> u64 {
        self.free + self.per_cpu_lists.unwrap_or(0)
    }

    /// Reads `/proc/meminfo`, and `/proc/zoneinfo` where it may.
    ///
    /// # Errors
    /// [`OsError`] when it is unreadable or in another form.
    pub fn read() -> Result<Self, OsError> {
        let mut memory = parse_meminfo(&read_text(MEMINFO)?)?;
        let page_bytes = page_size()?;
        memory.per_cpu_lists = read_text(ZONEINFO)
            .ok()
            .map(|text| parse_per_cpu_lists(&text) * page_bytes);
        Ok(memory)
    }
}

/// The text of `/proc/meminfo`.
///
/// # Errors
/// [`OsError::Missing`] without one of the figures (`MemAvailable` came with Linux 3.14),
/// [`OsError::Malformed`] when one is no size.
pub fn parse_meminfo(text: &str) -> Result<SystemMemory, OsError> {
    let figure = |name| field_kib(MEMINFO, text, name);
    Ok(SystemMemory {
        total: figure("MemTotal")?,
        free: figure("MemFree")?,
        available: figure("MemAvailable")?,
        slab: figure("Slab")?,
        per_cpu_lists: None,
    })
}

/// Pages on all per-CPU lists, from the text of `/proc/zoneinfo` (`zoneinfo_show_print` in mm/vmstat.c).
#[must_use]
pub fn parse_per_cpu_lists(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("count:"))
        .filter_map(|count| count.trim().parse::<u64>().ok())
        .sum()
}

/// Where a [`Resident`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidentSource {
    /// `Private_Clean + Private_Dirty` of `smaps_rollup`.
    Private,
    /// `VmRSS` of `status`: pages shared with other processes are within, and the kernel lets the
    /// figure lag by some pages per CPU.
    VmRss,
}

/// What a process holds in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Bytes.
    pub bytes: u64,
    /// Which figure it is; figures of two kinds must not be subtracted.
    pub source: ResidentSource,
}

/// What process `pid` holds in memory: its private pages where readable, else its resident set.
///
/// # Errors
/// [`OsError::Unreadable`] when the process is gone.
pub fn resident_bytes(pid: u32) -> Result<Resident, OsError> {
    let rollup = format!("/proc/{pid}/smaps_rollup");
    if let Ok(text) = read_text(&rollup) {
        let bytes = field_kib(&rollup, &text, "Private_Clean")?
            + field_kib(&rollup, &text, "Private_Dirty")?;
        return Ok(Resident {
            bytes,
            source: ResidentSource::Private,
        });
    }
    let status = format!("/proc/{pid}/status");
    let text = read_text(&status)?;
    Ok(Resident {
        bytes: field_kib(&status, &text, "VmRSS")?,
        source: ResidentSource::VmRss,
    })
}

/// The line `name:   123 kB`, in bytes.
fn field_kib(path: &str, text: &str, name: &str) -> Result<u64, OsError> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .ok_or_else(|| OsError::missing(path, name))?;
    let kib = rest.trim().trim_end_matches("kB").trim_end();
    Ok(number(path, "a size in kB", kib)? << 10)
}

/// Bytes of every slab cache this kernel lists, by name.
///
/// # Errors
/// [`OsError::Unreadable`] without root.
pub fn slabs() -> Result<BTreeMap<String, u64>, OsError> {
    parse_slabinfo(&read_text(SLABINFO)?, page_size()?)
}

/// Bytes per page.
fn page_size() -> Result<u64, OsError> {
    sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| OsError::missing("sysconf", "_SC_PAGESIZE"))
}

/// The text of `/proc/slabinfo`: `num_slabs` × `pagesperslab` × `page_bytes` per cache.
///
/// # Errors
/// [`OsError::Malformed`] when a line has another form.
pub fn parse_slabinfo(text: &str, page_bytes: u64) -> Result<BTreeMap<String, u64>, OsError> {
    let mut caches = BTreeMap::new();
    for line in text.lines() {
        if line.starts_with('#') || line.starts_with("slabinfo") {
            continue;
        }
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // name, 2 counts, size, per slab, pages per slab, `: tunables` and 3 numbers,
        // `: slabdata`, active slabs, slabs, shared
        let [name, _, _, _, _, pages, _, _, _, _, _, _, _, _, slabs, _] = words[..] else {
            return Err(OsError::malformed(SLABINFO, "a cache", line));
        };
        let pages = number(SLABINFO, "pages per slab", pages)?;
        let slabs = number(SLABINFO, "a count of slabs", slabs)?;
        caches.insert(name.to_owned(), pages * slabs * page_bytes);
    }
    Ok(caches)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO_SAMPLE: &str = "\
MemTotal:       24684092 kB
MemFree:        23294448 kB
MemAvailable:   24075796 kB
Buffers:            2940 kB
Cached:           948112 kB
SwapCached:            0 kB
Active:           308344 kB
Inactive:         640576 kB
SwapTotal:             0 kB
SwapFree:              0 kB
Dirty:                12 kB
Writeback:             0 kB
Slab:              78320 kB
";
    const SLAB_SAMPLE: &str = "\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables
TCP           26     26   2368   13    8 : tunables    0    0    0 : slabdata      2      2      0
io_kiocb       0      0    256   16    1 : tunables    0    0    0 : slabdata      0      0      0
";

    #[test]
    fn memory_sizes_are_bytes() {
        let memory = parse_meminfo(MEMINFO_SAMPLE).unwrap();
        assert_eq!(memory.total, 24_684_092 << 10);
        assert_eq!(memory.free, 23_294_448 << 10);
        assert_eq!(memory.slab, 78_320 << 10);
        assert!(parse_meminfo("MemTotal: many\n").is_err());
    }

    #[test]
    fn free_pages_hide_on_the_per_cpu_lists() {
        let sample = "  pagesets\n    cpu: 0\n              count:    6167\n              high: 9\n    \
                      cpu: 1\n              count:    4923\n  nr_free_pages 3\n";
        assert_eq!(parse_per_cpu_lists(sample), 11_090);
        assert_eq!(parse_per_cpu_lists(""), 0);
    }

    #[test]
    fn slab_caches_are_whole_slabs() {
        let caches = parse_slabinfo(SLAB_SAMPLE, 4096).unwrap();
        assert_eq!(caches["TCP"], 2 * 8 * 4096);
        assert_eq!(caches["io_kiocb"], 0);
        assert!(parse_slabinfo("TCP 1 2 3\n", 4096).is_err());
    }

    #[test]
    fn our_own_resident_set_is_private_pages() {
        let held = vec![1_u8; 8 << 20];
        let resident = resident_bytes(std::process::id()).unwrap();
        assert!(resident.bytes > 1 << 20, "{resident:?}");
        assert_eq!(resident.source, ResidentSource::Private);
        assert!(resident_bytes(u32::MAX).is_err());
        assert_eq!(held[held.len() - 1], 1);
    }

    #[test]
    fn slabs_need_root_and_say_so() {
        match slabs() {
            Ok(caches) => assert!(caches.contains_key("TCP")),
            Err(error) => assert!(error.to_string().contains("root"), "{error}"),
        }
    }
}
