//! Memory: what is free, what a process holds, what the kernel's slab caches hold.
//!
//! Does not divide by connections; see `measure::memory`. Units: bytes.
//!
//! - `/proc/meminfo` (`proc_meminfo(5)`): `MemAvailable` counts reclaimable slabs, among them the
//!   dentries and inodes of live sockets, which are not reclaimable: to foresee an end of memory
//!   use [`SystemMemory::usable`].
//! - `/proc/zoneinfo`: pages on the per-CPU free lists are free and not in `MemFree`; since Linux 6.7 the lists
//!   tune themselves and hold hundreds of megabytes after a million sockets were closed. Watermarks and
//!   protections tell what the kernel keeps for itself.
//! - `/proc/PID/smaps_rollup`: `Private_Clean + Private_Dirty`, the pages no other process maps.
//!   The two processes of one binary share its text, which belongs to neither's growth.
//! - `/proc/slabinfo` (root; `slabinfo(5)`): whole slabs in use or half empty, so the figure moves
//!   in steps of a slab. SLUB merges caches of equal size and flags under one name (`slab_nomerge`
//!   on the kernel's command line keeps them apart); a merged cache is not listed, and its growth
//!   shows under another.

use super::{OsError, cgroup, number, read_text};
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
    /// Cached file contents that no process maps and that need not be written first.
    pub clean_cache: u64,
    /// Free pages on the per-CPU lists, which are not in `free`; `None` where `/proc/zoneinfo` is hidden.
    pub per_cpu_lists: Option<u64>,
    /// What the kernel keeps for itself; `None` likewise.
    pub kernel_reserve: Option<u64>,
    /// What the tightest memory cgroup around this process still lets it take; `None` without a limit.
    pub cgroup_room: Option<u64>,
}

impl SystemMemory {
    /// Free memory, wherever the allocator keeps it.
    #[must_use]
    pub fn free_anywhere(&self) -> u64 {
        self.free + self.per_cpu_lists.unwrap_or(0)
    }

    /// What sockets may still take before the kernel is in need: free memory and half of the clean page cache,
    /// less the kernel's own reserve; and no more than the cgroup allows. Half of the cache, because sockets are
    /// made faster than pages are reclaimed and a part of the cache is in use. Reclaimable slab does not count.
    #[must_use]
    pub fn usable(&self) -> u64 {
        let room = (self.free_anywhere() + self.clean_cache / 2)
            .saturating_sub(self.kernel_reserve.unwrap_or(0));
        self.cgroup_room.map_or(room, |limit| room.min(limit))
    }

    /// Reads `/proc/meminfo`, and `/proc/zoneinfo` and the cgroup's files where it may.
    ///
    /// # Errors
    /// [`OsError`] when it is unreadable or in another form.
    pub fn read() -> Result<Self, OsError> {
        let mut memory = parse_meminfo(&read_text(MEMINFO)?)?;
        let page_bytes = page_size()?;
        if let Ok(text) = read_text(ZONEINFO) {
            memory.per_cpu_lists = Some(parse_per_cpu_lists(&text) * page_bytes);
            memory.kernel_reserve = Some(parse_kernel_reserve(&text) * page_bytes);
        }
        memory.cgroup_room = cgroup::room();
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
    let cached = figure("Active(file)")? + figure("Inactive(file)")?;
    let held = figure("Mapped")? + figure("Dirty")? + figure("Writeback")?;
    Ok(SystemMemory {
        total: figure("MemTotal")?,
        free: figure("MemFree")?,
        available: figure("MemAvailable")?,
        slab: figure("Slab")?,
        clean_cache: cached.saturating_sub(held),
        per_cpu_lists: None,
        kernel_reserve: None,
        cgroup_room: None,
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

/// Pages no ordinary allocation gets, from the text of `/proc/zoneinfo`: in each zone the high watermark and what it
/// protects against allocations meant for the zones above, at most all of the zone (`calculate_totalreserve_pages` in
/// `mm/page_alloc.c`).
#[must_use]
pub fn parse_kernel_reserve(text: &str) -> u64 {
    let mut sum = 0;
    let (mut high, mut managed) = (0, 0);
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (name, value) = (words.next(), words.next());
        let page_count = || value.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        match name {
            Some("high") => high = page_count(),
            Some("managed") => managed = page_count(),
            // The last line of a zone's own figures.
            Some("protection:") => {
                let listed = line.split(['(', ',', ')']).skip(1);
                let protected = listed
                    .filter_map(|text| text.trim().parse::<u64>().ok())
                    .max();
                sum += managed.min(high + protected.unwrap_or(0));
            }
            _ => {}
        }
    }
    sum
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

/// The resident set of this process, shared pages among it: cheaper than [`resident_bytes`], and what process metrics
/// usually mean.
///
/// # Errors
/// [`OsError`] where `/proc` does not show it.
pub fn own_resident_set() -> Result<u64, OsError> {
    let path = "/proc/self/status";
    field_kib(path, &read_text(path)?, "VmRSS")
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

/// Makes this process the first that the kernel's OOM killer takes (`proc_pid_oom_score_adj(5)`; raising one's own
/// score needs no privilege). A half's memory is nearly all in its sockets, which the killer does not see in its
/// size, so it would take a stranger and free nothing. False where `/proc` is not writable.
#[must_use]
pub fn volunteer_for_oom_killer() -> bool {
    std::fs::write("/proc/self/oom_score_adj", "1000").is_ok()
}

/// Bytes of every slab cache this kernel lists, by name.
///
/// # Errors
/// [`OsError::Unreadable`] without root.
pub fn slabs() -> Result<BTreeMap<String, u64>, OsError> {
    parse_slabinfo(&read_text(SLABINFO)?, page_size()?)
}

/// Objects in use of one slab cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabObjects {
    /// In use; those on the processors' own lists count as such, some dozens for each.
    pub active: u64,
    /// Size of one with its alignment, bytes.
    pub bytes: u64,
}

/// Objects in use of every slab cache this kernel lists, by name.
///
/// # Errors
/// [`OsError::Unreadable`] without root.
pub fn slab_objects() -> Result<BTreeMap<String, SlabObjects>, OsError> {
    parse_slab_objects(&read_text(SLABINFO)?)
}

/// The text of `/proc/slabinfo`: active objects and their size per cache.
///
/// # Errors
/// [`OsError::Malformed`] when a line has another form.
pub fn parse_slab_objects(text: &str) -> Result<BTreeMap<String, SlabObjects>, OsError> {
    let lines = text.lines();
    let caches = lines.filter(|line| !line.starts_with('#') && !line.starts_with("slabinfo"));
    caches
        .map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(active), Some(_), Some(bytes)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(OsError::malformed(SLABINFO, "a cache", line));
            };
            let objects = SlabObjects {
                active: number(SLABINFO, "a count of objects", active)?,
                bytes: number(SLABINFO, "a size of an object", bytes)?,
            };
            Ok((name.to_owned(), objects))
        })
        .collect()
}

/// All names of the cache that `name` is kept in, itself among them: SLUB merges caches of equal size and flags, lists
/// the merged one under one of its names and links the others to it (`sysfs_slab_alias`, mm/slub.c). `name` alone where
/// the kernel has no `/sys/kernel/slab`.
#[must_use]
pub fn merged_with(name: &str) -> Vec<String> {
    const FOLDER: &str = "/sys/kernel/slab";
    let link = |name: &str| std::fs::read_link(format!("{FOLDER}/{name}")).ok();
    let own = vec![name.to_owned()];
    let (Some(target), Ok(all)) = (link(name), std::fs::read_dir(FOLDER)) else {
        return own;
    };
    let names = all.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let same: Vec<String> = names
        .filter(|other| link(other).as_ref() == Some(&target))
        .collect();
    if same.is_empty() { own } else { same }
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

/// Pages that went to swap or came back since boot (`pswpin` and `pswpout` of `/proc/vmstat`); `None` where the kernel
/// has no swap built in.
#[must_use]
pub fn swapped_pages() -> Option<u64> {
    let text = read_text("/proc/vmstat").ok()?;
    let counter = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines
            .find(|(key, _)| *key == name)?
            .1
            .trim()
            .parse::<u64>()
            .ok()
    };
    Some(counter("pswpin")? + counter("pswpout")?)
}

/// Bytes of swap in use, and of swap there is.
///
/// # Errors
/// [`OsError`] when `/proc/meminfo` is unreadable or in another form.
pub fn swap() -> Result<(u64, u64), OsError> {
    parse_swap(&read_text(MEMINFO)?)
}

fn parse_swap(text: &str) -> Result<(u64, u64), OsError> {
    let total = field_kib(MEMINFO, text, "SwapTotal")?;
    let free = field_kib(MEMINFO, text, "SwapFree")?;
    Ok((total.saturating_sub(free), total))
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
Active(anon):       1544 kB
Inactive(anon):     2176 kB
Active(file):     306800 kB
Inactive(file):   638400 kB
SwapTotal:             0 kB
SwapFree:              0 kB
Dirty:                12 kB
Writeback:             0 kB
Mapped:           126828 kB
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
        assert_eq!(memory.clean_cache, (306_800 + 638_400 - 126_828 - 12) << 10);
        assert!(parse_meminfo("MemTotal: many\n").is_err());
        assert_eq!(parse_swap(MEMINFO_SAMPLE).unwrap(), (0, 0));
        let half = "SwapTotal: 8 kB\nSwapFree: 4 kB\n";
        assert_eq!(parse_swap(half).unwrap(), (4_096, 8_192));
    }

    #[test]
    fn free_pages_hide_on_the_per_cpu_lists() {
        let sample = "  pagesets\n    cpu: 0\n              count:    6167\n              high: 9\n    \
                      cpu: 1\n              count:    4923\n  nr_free_pages 3\n";
        assert_eq!(parse_per_cpu_lists(sample), 11_090);
        assert_eq!(parse_per_cpu_lists(""), 0);
    }

    #[test]
    fn each_zone_keeps_its_watermark_and_what_it_protects() {
        let sample = "\
Node 0, zone      DMA
  pages free     3840
        high     37
        managed  3840
        protection: (0, 3019, 9931, 9931)
Node 0, zone   Normal
        high     17611
        managed  1769472
        protection: (0, 0, 0, 0)
  pagesets
    cpu: 0
              high:     3205
";
        assert_eq!(parse_kernel_reserve(sample), 3_840 + 17_611);
        assert_eq!(parse_kernel_reserve(""), 0);
    }

    #[test]
    fn usable_is_free_and_half_the_clean_cache_within_the_cgroup() {
        let mut memory = parse_meminfo(MEMINFO_SAMPLE).unwrap();
        let whole = memory.free + memory.clean_cache / 2;
        assert_eq!(memory.usable(), whole);
        memory.kernel_reserve = Some(100 << 20);
        memory.per_cpu_lists = Some(30 << 20);
        assert_eq!(memory.usable(), whole - (70 << 20));
        memory.cgroup_room = Some(1 << 30);
        assert_eq!(memory.usable(), 1 << 30);
        memory.cgroup_room = None;
        memory.kernel_reserve = Some(u64::MAX);
        assert_eq!(memory.usable(), 0);
    }

    #[test]
    fn slab_caches_are_whole_slabs() {
        let caches = parse_slabinfo(SLAB_SAMPLE, 4096).unwrap();
        assert_eq!(caches["TCP"], 2 * 8 * 4096);
        assert_eq!(caches["io_kiocb"], 0);
        assert!(parse_slabinfo("TCP 1 2 3\n", 4096).is_err());
        let objects = parse_slab_objects(SLAB_SAMPLE).unwrap();
        let tcp = SlabObjects {
            active: 26,
            bytes: 2368,
        };
        assert_eq!(objects["TCP"], tcp);
        assert!(parse_slab_objects("TCP 1 2\n").is_err());
        assert_eq!(merged_with("no-such-cache"), ["no-such-cache"]);
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
