//! What an audit over all hosts finds, and whom it names.

use super::*;

#[test]
fn connections_that_are_not_there_make_the_run_invalid_and_name_the_host() {
    let mut records = bundles();
    change(&mut records[1], |load| {
        load.connections_established -= 3;
        load.connections_held_at_end -= 10;
        load.connections_lost = [("reset".to_owned(), 7)].into();
        load.connects_failed = [("ECONNREFUSED".to_owned(), 3)].into();
    });
    let record = whole(&records);
    assert!(!record.valid);
    let said = &warned(&record, "hosts-not-held").message;
    for word in [
        "shard 1 on node-1 asked for 2,500, established 2,497, held 2,490",
        "reset × 7",
        "ECONNREFUSED × 3",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let server = &warned(&record, "server-counts-differ");
    assert!(
        server.invalidates && server.message.contains("accepted 10,000"),
        "{server:?}"
    );
    let mut records = bundles();
    change(&mut records[0], |load| load.kernel_held = Some(2_499));
    let record = whole(&records);
    assert!(
        warned(&record, "hosts-not-held")
            .message
            .contains("its kernel holds 2,499")
    );
    let mut records = bundles();
    let of_server = |records: &mut Vec<Record>, kernel| {
        fleet(&mut records[4]).server.as_mut().unwrap().kernel_held = kernel;
    };
    of_server(&mut records, Some(9_999));
    let record = whole(&records);
    let said = warned(&record, "hosts-not-held");
    assert!(
        said.invalidates
            && said
                .message
                .contains("the server on hub held 10,000, its kernel holds 9,999"),
        "{said:?}"
    );
    // More may be of others, and what could not be counted is no doubt.
    for kernel in [Some(10_001), None] {
        of_server(&mut records, kernel);
        assert!(whole(&records).valid);
    }
}

#[test]
fn a_connection_that_came_back_was_not_held() {
    let mut records = bundles();
    change(&mut records[1], |load| {
        load.connections_lost = [("reset".to_owned(), 100)].into();
        load.reconnects_established = 100;
    });
    let server = fleet(&mut records[4]).server.as_mut().unwrap();
    server.connections_accepted += 100;
    let record = whole(&records);
    assert!(!record.valid);
    let said = &warned(&record, "hosts-not-held").message;
    let expected = "shard 1 on node-1 asked for 2,500, established 2,500, held 2,500 after 100 reconnects (reset × 100)";
    assert!(said.contains(expected), "{said}");
    assert!(!codes(&record).contains(&"server-counts-differ"));
    let sums = &record.fleet.as_ref().unwrap().together;
    assert_eq!(sums.reconnects_established, 100);
    let server = fleet(&mut records[4]).server.as_mut().unwrap();
    server.connections_accepted -= 1;
    let record = whole(&records);
    let differ = warned(&record, "server-counts-differ");
    assert!(
        differ.invalidates
            && differ
                .message
                .contains("established 10,100, 100 reconnects"),
        "{differ:?}"
    );
}

#[test]
fn probes_are_a_sum_only_when_all_are_known() {
    let mut records = bundles();
    for record in &mut records[..4] {
        change(record, |load| load.probes_attempted = Some(7));
    }
    let sum = |records: &[Record]| whole(records).fleet.unwrap().together.probes_attempted;
    assert_eq!(sum(&records), Some(28));
    change(&mut records[2], |load| load.probes_attempted = None);
    assert_eq!(sum(&records), None);
}

#[test]
fn a_look_at_the_servers_port_is_only_a_warning() {
    let mut records = bundles();
    fleet(&mut records[4])
        .server
        .as_mut()
        .unwrap()
        .connections_accepted += 1;
    let record = whole(&records);
    assert!(record.valid && !warned(&record, "server-counts-differ").invalidates);
}

#[test]
fn heartbeats_may_differ_by_the_windows_edges_and_by_no_more() {
    let mut records = bundles();
    let received = |records: &mut Vec<Record>, less: u64| {
        let server = fleet(&mut records[4]).server.as_mut().unwrap();
        server.heartbeats_received -= less;
    };
    received(&mut records, 2_000);
    assert!(whole(&records).valid);
    received(&mut records, 300);
    let record = whole(&records);
    let said = &warned(&record, "heartbeats-astray").message;
    assert!(
        said.contains("200,000 heartbeats were sent by the load generators, 197,700"),
        "{said}"
    );
    assert!(!record.valid);
}

#[test]
fn a_host_that_is_late_drops_or_stops_is_named() {
    let mut records = bundles();
    change(&mut records[0], |load| {
        load.heartbeats_sent = 40_000;
        load.host.backlog_drops = Some(17);
    });
    change(&mut records[3], |load| {
        load.host.stopped = Some("interrupted by SIGTERM".to_owned());
        load.host.window = None;
    });
    let record = whole(&records);
    assert!(!record.valid && record.partial);
    for (code, words) in [
        (
            "host-lagged",
            "shard 0 on node-0 sent 40,000 heartbeats of 50,000 due",
        ),
        ("host-drops", "shard 0 on node-0 17"),
        ("host-stopped", "shard 3 on node-3: interrupted by SIGTERM"),
        ("window-missing", "shard 3 on node-3"),
    ] {
        let said = &warned(&record, code).message;
        assert!(said.contains(words), "{code}: {said}");
    }
    assert_eq!(record.fleet.unwrap().together.overlap_ns, None);
}

#[test]
fn a_host_that_sends_no_heartbeat_at_all_is_named() {
    let mut records = bundles();
    change(&mut records[1], |load| load.heartbeats_sent = 0);
    let record = whole(&records);
    let lagged = warned(&record, "host-lagged");
    let said = "shard 1 on node-1 sent 0 heartbeats of 50,000 due";
    assert!(
        lagged.invalidates && lagged.message.contains(said),
        "{lagged:?}"
    );
    // Where the server is to send them, it owes those of all.
    let mut records = bundles();
    for record in &mut records {
        fleet(record).arm = "heartbeat-push".to_owned();
    }
    let record = whole(&records);
    let said = &warned(&record, "host-lagged").message;
    assert!(
        said.contains("the server on hub sent 0 heartbeats of 200,000 due"),
        "{said}"
    );
    assert!(!said.contains("node-1"), "{said}");
    for record in &mut records {
        fleet(record).arm = "none".to_owned();
    }
    let lagged = whole(&records);
    let lagged = warned(&lagged, "host-lagged");
    assert!(!lagged.invalidates, "nobody owes any: {lagged:?}");
}

#[test]
fn aligned_heartbeats_owe_whole_intervals_alone() {
    let mut records = bundles();
    for record in &mut records {
        record.config.phases = "aligned".to_owned();
        // Two thirds of the interval.
        record.config.heartbeat_interval_ms = WINDOW / 1_000_000 * 3 / 2;
    }
    change(&mut records[1], |load| load.heartbeats_sent = 0);
    let record = whole(&records);
    let owed = "heartbeats of";
    let found = record.warnings.iter();
    assert!(!found.clone().any(|one| one.message.contains(owed)));
    for record in &mut records {
        record.config.phases = "staggered".to_owned();
    }
    let said = warned(&whole(&records), "host-lagged").message.clone();
    assert!(said.contains("sent 0 heartbeats of 1,666 due"), "{said}");
}

#[test]
fn a_record_marked_partial_says_so_in_its_hosts_row() {
    let mut records = bundles();
    records[0].partial = true;
    let record = whole(&records);
    assert!(record.partial && !record.valid);
    assert!(
        warned(&record, "host-stopped")
            .message
            .contains("shard 0 on node-0: its record is marked partial")
    );
}

#[test]
fn windows_that_hardly_overlap_and_clocks_that_were_not_compared_are_told() {
    let mut records = bundles();
    change(&mut records[1], |load| {
        load.host.window.as_mut().unwrap().opened_epoch_ns += WINDOW / 5;
    });
    let record = whole(&records);
    let apart = warned(&record, "windows-apart");
    assert!(apart.invalidates && apart.message.contains("less than nine tenths"));
    change(&mut records[1], |load| {
        let clock = &mut load.host.window.as_mut().unwrap().clock;
        clock.compared_with = "start-at".to_owned();
        (clock.offset_ns, clock.error_ns) = (None, None);
    });
    let record = whole(&records);
    let told = warned(&record, "clocks-not-compared");
    assert!(
        !told.invalidates
            && told.message.contains("cannot be told")
            && told.message.contains("node-1")
    );
    assert_eq!(record.fleet.as_ref().unwrap().together.overlap_ns, None);
    assert!(record.valid);
}

/// Of all hosts, as `--start-at` leaves them.
fn at_their_word(records: &mut [Record]) {
    let unknown = |host: &mut FleetHost| {
        let clock = &mut host.window.as_mut().unwrap().clock;
        clock.compared_with = "start-at".to_owned();
        (clock.offset_ns, clock.error_ns) = (None, None);
    };
    for record in records.iter_mut() {
        let server = fleet(record).server.as_mut();
        if let Some(server) = server {
            unknown(&mut server.host);
            fleet(record).together.overlap_ns = None;
        } else {
            change(record, |load| unknown(&mut load.host));
        }
    }
}

#[test]
fn windows_that_are_apart_by_clocks_taken_at_their_word_are_no_measure() {
    let mut records = bundles();
    at_their_word(&mut records);
    let record = whole(&records);
    assert!(record.valid, "{:?}", record.warnings);
    warned(&record, "clocks-not-compared");
    change(&mut records[1], |load| {
        load.host.window.as_mut().unwrap().opened_epoch_ns += WINDOW * 3 / 2;
    });
    let record = whole(&records);
    let apart = warned(&record, "windows-apart");
    assert!(apart.invalidates, "{apart:?}");
    for word in ["before shard 1 on node-1 opened", "taken at their word"] {
        assert!(apart.message.contains(word), "{word}: {apart:?}");
    }
    assert!(!codes(&record).contains(&"clocks-not-compared"));
}

#[test]
fn counts_that_differ_mention_clocks_that_were_not_compared() {
    let mut records = bundles();
    let server = fleet(&mut records[4]).server.as_mut().unwrap();
    server.connections_held_at_end -= 1;
    let said = |records: &[Record]| {
        let record = whole(records);
        warned(&record, "server-counts-differ").message.clone()
    };
    assert!(!said(&records).contains("clocks"));
    at_their_word(&mut records);
    assert!(said(&records).contains("clocks were never compared (--start-at)"));
}

#[test]
fn one_address_on_hosts_of_two_names_is_doubtful_and_on_one_machine_is_not() {
    let mut records = bundles();
    change(&mut records[1], |load| {
        load.source_addresses = vec!["10.0.0.10".to_owned()];
    });
    let record = whole(&records);
    let said = warned(&record, "source-address-shared");
    assert!(
        !said.invalidates
            && said
                .message
                .contains("10.0.0.10 (shard 0 on node-0, shard 1 on node-1)")
    );
    for own in ["127.0.0.1", "::1"] {
        let mut records = records.clone();
        for record in &mut records[..2] {
            change(record, |load| load.source_addresses = vec![own.to_owned()]);
        }
        assert!(!codes(&whole(&records)).contains(&"source-address-shared"));
    }
    change(&mut records[1], |load| load.host.name = "node-0".to_owned());
    assert!(!codes(&whole(&records)).contains(&"source-address-shared"));
}
