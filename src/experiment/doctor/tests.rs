//! Facts in, findings out: tables for each check, properties for all of them.

use super::*;
use crate::experiment::HostFacts;
use crate::measure::headroom::reserve;
use crate::os::cgroup::GroupLimit;
use crate::os::memory::SystemMemory;
use crate::os::privilege::Privileges;
use remedies::{asked_otherwise, changed};
use std::collections::BTreeMap;

mod remedies;

/// The host of results/2026-11-23-scale, as an ordinary user of it.
fn facts() -> Facts {
    let total = 25_276_510_208;
    let memory = SystemMemory {
        total,
        free: 24_541_777_920,
        available: 24_600_000_000,
        slab: 80 << 20,
        clean_cache: 200 << 20,
        per_cpu_lists: Some(10 << 20),
        kernel_reserve: Some(200 << 20),
        cgroup_room: None,
    };
    Facts {
        host: HostFacts {
            usable_bytes: memory.usable(),
            reserve_bytes: reserve(total),
            nofile: 20_000,
            somaxconn: 4_096,
            ephemeral: (32_768, 60_999),
            backlog: 1_000,
            hash_buckets: Some(262_144),
            hz: 250,
        },
        memory,
        group_memory: None,
        group_tasks: None,
        swap_bytes: Some((0, 0)),
        nofile_hard: 20_000,
        nr_open: Some(1 << 20),
        files: Some((1_000, 100_000_000)),
        locked_memory_bytes: None,
        privileges: Privileges::default(),
        map_count: Some(65_530),
        backlog: Some(1_000),
        somaxconn: Some(4_096),
        reserved_ports: 0,
        tracking: Tracking::Idle { most: 262_144 },
        tcp_mem_pages: Some([287_901, 383_868, 575_802]),
        orphans: Some(131_072),
        time_wait: Some(131_072),
        cores: 2,
        group_core_millis: None,
        busy_core_millis: 40,
        rings: Rings::Work {
            features: BTreeMap::new(),
            binds: true,
        },
        kernel: (6, 18),
        congestion: Some("bbr".to_owned()),
        congestion_used: Some("cubic".to_owned()),
        clocksource: "tsc".to_owned(),
        clocksources: vec!["tsc".to_owned(), "kvm-clock".to_owned()],
        exact_interrupt_time: Some(false),
    }
}

fn question(connections: Option<u64>) -> Question {
    Question::under_presets(connections, Side::Both, 2).unwrap()
}

fn ask(facts: &Facts, connections: u64) -> Diagnosis {
    examine(facts, &question(Some(connections)))
}

fn named<'a>(diagnosis: &'a Diagnosis, name: &str) -> &'a Finding {
    let mut findings = diagnosis.findings.iter();
    findings
        .find(|finding| finding.name == name)
        .unwrap_or_else(|| panic!("no check is called {name}"))
}

#[test]
fn the_forecast_fits_what_was_held_and_what_was_not() {
    let diagnosis = examine(&facts(), &question(None));
    assert_eq!(diagnosis.first_limit().name, "memory");
    // 2.5 million were held for ten minutes, at 2.93 million the OOM killer struck.
    assert!(
        (2_500_000..2_930_000).contains(&diagnosis.holds()),
        "{}",
        diagnosis.holds()
    );
    assert_eq!(
        diagnosis.answer(),
        "This host holds about 2.62 M connections with both ends here; memory bites first."
    );
    assert_eq!(diagnosis.is_met(), None);
    assert_eq!(diagnosis.to_do()[0].name, "memory");
    let yes = ask(&facts(), 2_500_000);
    assert_eq!((yes.is_met(), yes.holds()), (Some(true), diagnosis.holds()));
    assert!(
        yes.answer()
            .starts_with("2.50 M connections with both ends here: yes; memory would bite first")
    );
    let no = ask(&facts(), 2_930_000);
    assert_eq!(no.is_met(), Some(false));
    assert_eq!(
        no.answer(),
        "2.93 M connections with both ends here: no; memory bites first, at about 2.62 M."
    );
}

#[test]
fn a_server_alone_holds_twice_as_many_and_a_load_generator_runs_out_of_ports() {
    let holds = |side| {
        examine(
            &facts(),
            &Question {
                side,
                ..question(None)
            },
        )
    };
    let (both, server) = (holds(Side::Both).holds(), holds(Side::Server).holds());
    assert!(server.abs_diff(2 * both) <= 1, "{server} {both}");
    let load = holds(Side::Load);
    assert_eq!(
        (load.holds(), load.first_limit().name),
        (28_232, "ip_local_port_range")
    );
    let many = examine(
        &facts(),
        &Question {
            side: Side::Load,
            pairs: 100,
            ..question(Some(1_000_000))
        },
    );
    assert_eq!(many.is_met(), Some(true));
    let one = examine(
        &facts(),
        &Question {
            side: Side::Load,
            ..question(Some(1_000_000))
        },
    );
    assert_eq!(one.first_limit().remedies[0], Change::Pairs(36));
    let few = examine(
        &facts(),
        &Question {
            side: Side::Load,
            ..question(Some(40_000))
        },
    );
    assert_eq!(few.first_limit().remedies[0], Change::Ports(1_024, 65_535));
}

/// One row: what is changed, what is asked, the check, its bound and its best command.
type Row = (fn(&mut Facts), u64, &'static str, Option<u64>, &'static str);

#[test]
fn each_limit_of_the_host_is_found_with_the_command_that_lifts_it() {
    let tracked = |f: &mut Facts| {
        f.tracking = Tracking::On {
            tracked: 144,
            most: 262_144,
        };
    };
    let group = |f: &mut Facts| {
        f.group_memory = Some(GroupLimit {
            file: "/box/memory.max".into(),
            limit: 2 << 30,
            room: 1 << 30,
        });
    };
    let tasks = |f: &mut Facts| {
        f.group_tasks = Some(GroupLimit {
            file: "/box/pids.max".into(),
            limit: 20,
            room: 5,
        });
    };
    let in_group = ((1 << 30) - (256 << 20)) / 9_200;
    bounded(&[
        (
            |f| f.host.nofile = 256,
            1_000_000,
            "RLIMIT_NOFILE",
            None,
            "--nofile=2048:2048",
        ),
        (
            |f| f.locked_memory_bytes = Some(8 << 20),
            1_000_000,
            "RLIMIT_MEMLOCK",
            None,
            "--memlock=",
        ),
        (
            |f| f.files = Some((1_000, 2_000_000)),
            1_000_000,
            "fs.file-max",
            Some(998_988),
            "fs.file-max=2002024",
        ),
        (
            tracked,
            300_000,
            "nf_conntrack_max",
            Some(262_000),
            "nf_conntrack_max=327680",
        ),
        (
            group,
            1_000_000,
            "cgroup memory",
            Some(in_group),
            "| sudo tee /box/memory.max",
        ),
        (
            tasks,
            10,
            "cgroup pids",
            Some(0),
            "echo 37 | sudo tee /box/pids.max",
        ),
    ]);
}

#[test]
fn whatever_refuses_rings_is_named_with_what_lets_them_through() {
    let lacks = |f: &mut Facts| {
        f.rings = Rings::Lacks {
            feature: "x".to_owned(),
            needed: "6.7",
        };
    };
    let filtered = |f: &mut Facts| {
        f.privileges.filtered = true;
        f.rings = Rings::Lacks {
            feature: "io_uring".to_owned(),
            needed: "6.7",
        };
    };
    let fails = |f: &mut Facts| {
        f.rings = Rings::Fail {
            why: "no memory".to_owned(),
        };
    };
    let name = "io_uring";
    bounded(&[
        (
            |f| f.rings = Rings::Refused { disabled: Some(2) },
            10,
            name,
            Some(0),
            "kernel.io_uring_disabled=0",
        ),
        (
            |f| f.rings = Rings::Refused { disabled: Some(0) },
            10,
            name,
            Some(0),
            "seccomp=unconfined",
        ),
        (
            |f| f.rings = Rings::Refused { disabled: None },
            10,
            name,
            Some(0),
            "seccomp=unconfined",
        ),
        (lacks, 10, name, Some(0), "Linux 6.7"),
        (filtered, 10, name, Some(0), "seccomp=unconfined"),
        (fails, 10, name, Some(0), "--memlock=67108864"),
    ]);
}

fn bounded(rows: &[Row]) {
    for (change, asked, name, most, command) in rows {
        let mut poor = facts();
        poor.host.reserve_bytes = 256 << 20;
        change(&mut poor);
        let diagnosis = ask(&poor, *asked);
        assert_eq!(diagnosis.is_met(), Some(false), "{name}");
        let finding = diagnosis.first_limit();
        assert_eq!(finding.name, *name);
        assert!(
            most.is_none_or(|most| finding.verdict == Verdict::Limits(most)),
            "{finding:?}"
        );
        let best = &finding.remedies[0].commands()[0];
        assert!(best.contains(command), "{best}");
        assert!(diagnosis.forewarnings(&[])[0].starts_with(name));
    }
}

#[test]
fn locked_memory_binds_new_kernels_and_ordinary_users_alone() {
    let mut poor = facts();
    poor.locked_memory_bytes = Some(8 << 20);
    // 49 rings are charged 41 pages each; two of them are those of the self tests.
    let diagnosis = ask(&poor, 1_000_000);
    let bound = diagnosis.holds();
    assert!((300_000..600_000).contains(&bound), "{bound}");
    for free in [
        |f: &mut Facts| f.kernel = (6, 13),
        |f: &mut Facts| f.privileges.locks_memory = true,
        |f: &mut Facts| (f.host.nofile, f.nofile_hard) = (1 << 20, 1 << 20),
    ] {
        let mut rich = poor.clone();
        free(&mut rich);
        assert_eq!(ask(&rich, 1_000_000).is_met(), Some(true));
    }
    let mut administrator = facts();
    administrator.files = Some((1_000, 2_000));
    administrator.privileges.system_administrator = true;
    assert_eq!(ask(&administrator, 1_000_000).is_met(), Some(true));
}

#[test]
fn epoll_needs_an_open_file_each_and_no_ring() {
    let mut plain = facts();
    plain.rings = Rings::Refused { disabled: Some(2) };
    plain.locked_memory_bytes = Some(0);
    let engine = EngineKind::Epoll;
    let diagnosis = examine(
        &plain,
        &Question {
            engine,
            ..question(Some(100_000))
        },
    );
    assert_eq!(
        (diagnosis.holds(), diagnosis.first_limit().name),
        (19_936, "RLIMIT_NOFILE")
    );
    let remedies = &diagnosis.first_limit().remedies;
    assert_eq!(
        remedies[0],
        Change::OpenFiles {
            limit: 1 << 17,
            beyond: false
        }
    );
    assert!(remedies.contains(&Change::Uring) && remedies.contains(&Change::Fewer(19_936)));
}

#[test]
fn each_warning_is_raised_when_it_is_due_and_not_before() {
    type Case = (fn(&mut Facts), u64, &'static str);
    let cases: [Case; 9] = [
        (
            |f| (f.somaxconn, f.host.somaxconn) = (Some(128), 128),
            1_000,
            "somaxconn",
        ),
        (|_| (), 1_000_000, "CPU"),
        (|f| f.group_core_millis = Some(100), 50_000, "CPU"),
        (|f| f.busy_core_millis = 500, 1_000, "other load"),
        (|_| (), 100_000, "netdev_max_backlog"),
        (|_| (), 1_000_000, "tcp_ehash_entries"),
        (
            |f| f.congestion_used = Some("bbr".to_owned()),
            1_000,
            "congestion control",
        ),
        (|f| f.clocksource = "hpet".to_owned(), 1_000, "clocksource"),
        (|f| f.swap_bytes = Some((1 << 30, 4 << 30)), 1_000, "swap"),
    ];
    for (change, asked, name) in cases {
        let mut poor = facts();
        change(&mut poor);
        let diagnosis = ask(&poor, asked);
        let finding = named(&diagnosis, name);
        assert_eq!(
            (finding.verdict, diagnosis.is_met()),
            (Verdict::Warns, Some(true)),
            "{finding:?}"
        );
        let better = changed(poor, &finding.remedies[0]);
        let otherwise = asked_otherwise(question(Some(asked)), &finding.remedies[0]);
        let cured = examine(&better, &otherwise);
        assert_eq!(
            named(&cured, name).verdict,
            Verdict::Fine,
            "{name}: {:?}",
            finding.remedies[0]
        );
    }
    let calm = ask(&facts(), 1_000);
    assert!(
        calm.to_do().is_empty() && calm.forewarnings(&[]).is_empty(),
        "{:#?}",
        calm.to_do()
    );
}

#[test]
fn what_the_host_hides_is_unknown_and_no_reason_to_worry() {
    let mut hidden = facts();
    hidden.backlog = None;
    hidden.somaxconn = None;
    hidden.files = None;
    hidden.map_count = None;
    hidden.tcp_mem_pages = None;
    hidden.host.hash_buckets = None;
    hidden.clocksource = "unknown".to_owned();
    let diagnosis = ask(&hidden, 1_000);
    assert!(diagnosis.to_do().is_empty());
    let unknown = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Unknown);
    assert_eq!(unknown.count(), 7);
}

#[test]
fn the_burst_is_foreseen_for_the_budget_that_fires_the_largest() {
    let diagnosis = ask(&facts(), 100_000);
    let finding = named(&diagnosis, "netdev_max_backlog");
    // Relaxed: idle 10 s, a granule of 64 ticks; strict: 256 ms of 3 s on two CPUs.
    assert_eq!(finding.needed, "4,267");
    assert!(finding.why.contains("idle 3 s") && finding.why.contains("healthy connections closed"));
    assert_eq!(
        finding.remedies[0].commands()[0],
        "sudo sysctl -w net.core.netdev_max_backlog=7000"
    );
    let far = examine(
        &facts(),
        &Question {
            side: Side::Server,
            ..question(Some(100_000))
        },
    );
    assert_eq!(named(&far, "netdev_max_backlog").verdict, Verdict::Fine);
}

#[test]
fn counts_are_rounded_down_to_three_figures() {
    for (count, text) in [
        (0, "0"),
        (950, "950"),
        (28_232, "28 k"),
        (283_999, "283 k"),
        (1_000_000, "1 M"),
        (2_619_999, "2.61 M"),
        (178_900_000, "178 M"),
    ] {
        assert_eq!(about(count), text);
    }
}
