//! Every remedy is enough by itself, on any host: the changes applied to the facts, and the properties over them.

use super::{facts, named, question};
use crate::bank::EngineKind;
use crate::experiment::doctor::{Change, Facts, Question, Rings, Side, Timing, Tracking, examine};
use crate::measure::headroom::reserve;
use crate::os::cgroup::GroupLimit;
use crate::units::Nanos;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What the host is after the change.
pub(super) fn changed(mut facts: Facts, change: &Change) -> Facts {
    match change {
        Change::Sysctl { name, value } => match *name {
            "net.core.somaxconn" => {
                (facts.somaxconn, facts.host.somaxconn) = (Some(*value), *value);
            }
            "net.core.netdev_max_backlog" => {
                (facts.backlog, facts.host.backlog) = (Some(*value), *value);
            }
            "fs.file-max" => facts.files = facts.files.map(|(open, _)| (open, *value)),
            "vm.max_map_count" => facts.map_count = Some(*value),
            "net.netfilter.nf_conntrack_max" => {
                if let Tracking::On { most, .. } = &mut facts.tracking {
                    *most = *value;
                }
            }
            "kernel.io_uring_disabled" => facts.rings = working(),
            other => panic!("no check knows what {other} does"),
        },
        Change::Ports(low, high) => facts.host.ephemeral = (*low, *high),
        Change::OpenFiles { limit, .. } => {
            (facts.host.nofile, facts.nofile_hard) = (*limit, *limit);
        }
        Change::LockedMemory(bytes) => facts.locked_memory_bytes = Some(*bytes),
        Change::Group { file, value } => {
            let raise = |limit: &mut GroupLimit| {
                limit.room += value - limit.limit;
                limit.limit = *value;
            };
            if file.ends_with("pids.max") {
                facts.group_tasks.as_mut().map(raise);
            } else {
                facts.group_memory.as_mut().map(raise);
            }
        }
        Change::DropCaches => {
            facts.memory.free += facts.memory.clean_cache;
            facts.memory.clean_cache = 0;
        }
        Change::MoreMemory(bytes) => {
            facts.memory.free += bytes;
            facts.memory.total += bytes;
            facts.host.reserve_bytes = reserve(facts.memory.total);
        }
        Change::HashBuckets(buckets) => facts.host.hash_buckets = Some(*buckets),
        Change::TcpMem(pages) => facts.tcp_mem_pages = Some([pages / 2, pages / 10 * 9, *pages]),
        Change::SwapOff => facts.swap_bytes = Some((0, 0)),
        Change::Clocksource(name) => facts.clocksource.clone_from(name),
        Change::Cubic => facts.congestion_used = Some("cubic".to_owned()),
        Change::StopOthers => facts.busy_core_millis = 0,
        Change::AllowInFilter | Change::Kernel(_) => facts.rings = working(),
        Change::Fewer(_)
        | Change::OtherHost
        | Change::Epoll
        | Change::Uring
        | Change::IntervalSeconds(_)
        | Change::Pairs(_) => {}
    }
    facts
}

/// What is asked after the change.
pub(super) fn asked_otherwise(mut question: Question, change: &Change) -> Question {
    match change {
        Change::IntervalSeconds(seconds) => {
            let interval = Nanos::from_secs(*seconds);
            question.timings = vec![Timing::new("slower", interval, 3)];
        }
        Change::Pairs(pairs) => question.pairs = *pairs,
        Change::Epoll => question.engine = EngineKind::Epoll,
        Change::Uring => question.engine = EngineKind::Uring,
        Change::OtherHost => question.side = Side::Server,
        Change::Fewer(most) => question.connections = Some(*most),
        _ => {}
    }
    question
}

fn working() -> Rings {
    Rings::Work {
        features: BTreeMap::new(),
        binds: true,
    }
}

prop_compose! {
    /// A host with any of its limits low.
    fn any_host()(
        free_mib in 300_u64..40_000, cache_mib in 0_u64..20_000, nofile in 80_u64..2_000_000,
        memlock in prop::option::of(0_u64..(1 << 30)), files in 3_000_u64..20_000_000, low in 1_024_u16..60_000,
        width in 1_u16..5_000, tracked in prop::option::of((0_u64..1_000, 1_000_u64..5_000_000)),
        maps in 1_100_u64..100_000, room_mib in prop::option::of(200_u64..30_000),
        tasks in prop::option::of(0_u64..100), rings in 0_u32..4
    ) -> Facts {
        let mut host = facts();
        host.memory.free = free_mib << 20;
        host.memory.clean_cache = cache_mib << 20;
        (host.host.nofile, host.nofile_hard) = (nofile, nofile);
        host.locked_memory_bytes = memlock;
        host.files = Some((1_000, files));
        host.host.ephemeral = (low, low + width);
        host.map_count = Some(maps);
        if let Some((tracked, most)) = tracked {
            host.tracking = Tracking::On { tracked, most };
        }
        host.group_memory = room_mib.map(|room| GroupLimit {
            file: "/box/memory.max".into(), limit: (room + 100) << 20, room: room << 20,
        });
        host.group_tasks = tasks.map(|room| GroupLimit { file: "/box/pids.max".into(), limit: room + 5, room });
        host.rings = match rings {
            0 => Rings::Refused { disabled: Some(1) },
            1 => Rings::Lacks { feature: "x".to_owned(), needed: "6.7" },
            _ => working(),
        };
        host
    }
}

proptest! {
    /// The first limit is the tightest bound, and the answer follows from it.
    #[test]
    fn the_first_limit_is_the_minimum(host in any_host(), asked in 1_u64..10_000_000, side in 0_usize..3) {
        let side = [Side::Both, Side::Server, Side::Load][side];
        let diagnosis = examine(&host, &Question { side, ..question(Some(asked)) });
        let least = diagnosis.findings.iter().filter_map(|finding| finding.verdict.most()).min();
        prop_assert_eq!(Some(diagnosis.holds()), least);
        prop_assert_eq!(diagnosis.first_limit().verdict.most(), least);
        prop_assert_eq!(diagnosis.is_met(), Some(asked <= diagnosis.holds()));
        let without = examine(&host, &Question { side, ..question(None) });
        prop_assert_eq!(without.holds(), diagnosis.holds());
        let at_most = examine(&host, &Question { side, ..question(Some(without.holds().max(1))) });
        prop_assert_eq!(at_most.is_met(), Some(without.holds() > 0));
    }

    /// The best remedy of every bound is enough by itself: afterwards that bound stands against nothing.
    #[test]
    fn the_remedy_is_enough(host in any_host(), asked in 1_u64..10_000_000, side in 0_usize..3, epoll: bool) {
        let side = [Side::Both, Side::Server, Side::Load][side];
        let engine = if epoll { EngineKind::Epoll } else { EngineKind::Uring };
        let question = Question { side, engine, ..question(Some(asked)) };
        for finding in examine(&host, &question).to_do() {
            if finding.verdict.most().is_none() {
                continue;
            }
            // Ports below 1024 are not to be had, and no range has more than 64,512; rings that the limit on open
            // files forbids cannot be counted.
            let Some(best) = finding.remedies.first() else { continue };
            let unmendable = matches!(best, Change::Fewer(_));
            let better = changed(host.clone(), best);
            let after = examine(&better, &asked_otherwise(question.clone(), best));
            let still = named(&after, finding.name);
            prop_assert!(unmendable || !still.matters_at(asked), "{best:?}: {still:?}");
        }
    }
}
