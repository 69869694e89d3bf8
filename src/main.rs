//! The binary.
use ringbeat::arm::*;
use ringbeat::experiment::*;
use std::time::Duration;
struct O;
impl Observer for O {
    fn progress(&mut self, p: &Progress) {
        eprintln!(
            "{}/{} {} r{} {} {}/{} {}/s {:?}",
            p.trial,
            p.trials,
            p.arm,
            p.round,
            p.phase,
            p.connections,
            p.connections_requested,
            p.events_per_second,
            p.remaining
        );
    }
    fn note(&mut self, t: &str) {
        eprintln!("{t}");
    }
    fn interrupted(&self) -> Option<i32> {
        None
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a[1] == "serve" || a[1] == "load" {
        let _ = ringbeat::os::limits::raise_nofile();
        let _ = ringbeat::half::run(&mut std::io::stdin().lock(), &mut std::io::stdout().lock());
        return;
    }
    let (w, m) = Budget::STRICT;
    let o = CostOptions {
        connections: a.get(2).map(|n| n.parse().unwrap()),
        quick: a[1] == "quick",
        arms: Arm::ALL.to_vec(),
        budget: Budget::derive(w, m).unwrap(),
        steady: None,
        rounds: a.get(3).map(|n| n.parse().unwrap()),
        ramp_rate: None,
        tick: Duration::from_millis(8),
        phases: ringbeat::shard::Phases::Staggered,
        server_cores: vec![0, 1],
        load_cores: vec![0, 1],
        congestion: "cubic".into(),
        keepalive_side: KeepaliveSide::Server,
        seed: 1,
        label: None,
        command: "x".into(),
    };
    let plan = CostPlan::new(o, HostFacts::read().unwrap()).unwrap();
    println!("{}", ringbeat::report::effective_config(&plan.config()));
    for n in plan.forewarnings() {
        println!("{n}");
    }
    let f = ringbeat::report::ResultFolder::reserve(std::path::Path::new("/tmp/rb-out")).unwrap();
    let (r, e) = run_cost(
        &plan,
        &std::env::current_exe().unwrap(),
        ringbeat::ring::self_test().unwrap(),
        &mut O,
    )
    .unwrap();
    println!("{:?}", e);
    println!("{}", ringbeat::report::table(&r, Some(160)));
    println!("{} {:?}", r.duration_ms, f.write(&r));
}
