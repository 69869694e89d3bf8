//! The shape of the source tree: who imports whom, where `unsafe` may be, what the top level holds.
//!
//! Does not parse Rust; it reads lines. Comments and strings that look like code would be taken for it, which has
//! not been a nuisance so far. Layers, lowest first; a module imports from lower ones only:
//!
//! ```text
//! main
//! cli
//! experiment | advise | report
//! merge | fleet
//! control, half
//! server | load | environment | exporter
//! bank
//! arm
//! shard
//! detector | measure
//! wheel | protocol | record | clock | epoll | ring | socket | os
//! units
//! ```

use std::fs;
use std::path::{Path, PathBuf};

/// What a module may import besides itself. Modules that are yet to be written are here already.
const RULES: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("wheel", &["units"]),
    ("protocol", &["units"]),
    ("record", &["units"]),
    ("clock", &["units"]),
    ("ring", &["units"]),
    // The reference engine speaks the ring's plain data; see `ENGINE_DATA`.
    ("epoll", &["ring", "units"]),
    ("socket", &["units"]),
    ("os", &["units"]),
    ("detector", &["wheel", "units"]),
    ("measure", &["os", "record", "units", "clock"]),
    // Of the ring only its plain data; see `RING_DATA`.
    (
        "shard",
        &["ring", "protocol", "wheel", "detector", "record", "units"],
    ),
    // Of the shard only its `Role`, of the sockets only keepalive's numbers; see `offence`.
    ("arm", &["shard", "socket", "units"]),
    (
        "bank",
        &["ring", "epoll", "shard", "clock", "os", "record", "units"],
    ),
    (
        "server",
        &["bank", "shard", "ring", "socket", "clock", "units"],
    ),
    (
        "load",
        &["bank", "shard", "ring", "socket", "clock", "units"],
    ),
    ("environment", &["os", "record", "units"]),
    ("exporter", &["bank", "shard", "os", "units"]),
    // The two halves' configurations travel over the control channel.
    ("control", &["bank", "server", "load"]),
    (
        "half",
        &["control", "bank", "server", "load", "os", "clock"],
    ),
    // The rendezvous carries the control channel's messages and knows the load generator's shards.
    (
        "fleet",
        &[
            "control", "load", "bank", "record", "socket", "clock", "units",
        ],
    ),
    (
        "experiment",
        &[
            "fleet",
            "half",
            "control",
            "environment",
            "server",
            "load",
            "bank",
            "arm",
            "shard",
            "measure",
            "detector",
            "os",
            "socket",
            "ring",
            "clock",
            "record",
            "protocol",
            "wheel",
            "units",
        ],
    ),
    ("merge", &["record", "units"]),
    // Of the meters only what foretells bursts, of joining only what doubts a run.
    (
        "advise",
        &["arm", "measure", "merge", "record", "socket", "units"],
    ),
    ("report", &["record", "units"]),
    (
        "cli",
        &[
            "experiment",
            "advise",
            "merge",
            "report",
            "fleet",
            "exporter",
            "half",
            "control",
            "environment",
            "server",
            "load",
            "bank",
            "arm",
            "shard",
            "measure",
            "detector",
            "os",
            "socket",
            "ring",
            "clock",
            "record",
            "protocol",
            "wheel",
            "units",
        ],
    ),
    ("main", &["cli"]),
];

/// What the shard may know of the ring: data, so that the fake ring of the tests can drive it.
const RING_DATA: &[&str] = &[
    "Completion",
    "Operation",
    "Token",
    "TokenKind",
    "GENERATION_LIMIT",
    "RECEIVE_BYTES",
    "SEND_BYTES",
];

/// What an engine that is no ring may know of it: the same data, and the options to set.
const ENGINE_DATA: &[&str] = &[
    "Completion",
    "Operation",
    "SocketOption",
    "Token",
    "TokenKind",
    "RECEIVE_BYTES",
];

/// What those above the bank may know of shards: how they are set, what they counted.
const SHARD_SURFACE: &[&str] = &[
    "CloseCause",
    "Counters",
    "Ladder",
    "Ladders",
    "Phases",
    "Role",
    "Settings",
];

/// One `crate::` path: the module and what follows it.
struct Import<'a> {
    module: &'a str,
    rest: &'a str,
}

struct Source {
    /// Path below `src`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The module directly below the crate's root.
    fn module(&self) -> &str {
        let first = self
            .path
            .iter()
            .next()
            .and_then(|name| name.to_str())
            .unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether it is `module` itself or lies inside.
    fn is_of(&self, modules: &[&str]) -> bool {
        modules.contains(&self.module())
    }

    fn place(&self, offset: usize) -> String {
        let number = self.text[..offset].matches('\n').count() + 1;
        let line = self.text.lines().nth(number - 1).unwrap_or_default().trim();
        format!("src/{}:{number}: `{line}`", self.path.display())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut folders = vec![src.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&src).unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The items of a `{a, b::{c, d}}` group, or the text itself.
fn items(text: &str) -> Vec<&str> {
    let Some(inside) = text.strip_prefix('{') else {
        return vec![text];
    };
    let (mut depth, mut begin, mut found) = (0_usize, 0, Vec::new());
    for (place, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                found.push(inside[begin..place].trim());
                begin = place + 1;
            }
            '}' => {
                found.push(inside[begin..place].trim());
                break;
            }
            _ => {}
        }
    }
    found.retain(|item| !item.is_empty());
    found
}

fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Every `crate::` path of `text` outside comments, with its offset.
fn imports<'a>(text: &'a str, of: &str) -> Vec<(usize, Import<'a>)> {
    let mut found = Vec::new();
    for (offset, _) in text.match_indices(of) {
        let line = text[..offset].rsplit('\n').next().unwrap_or_default();
        let inside_word = line.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        if line.trim_start().starts_with("//") || inside_word {
            continue;
        }
        for item in items(&text[offset + of.len()..]) {
            let module = word(item);
            let rest = item[module.len()..].strip_prefix("::").unwrap_or_default();
            found.push((offset, Import { module, rest }));
        }
    }
    found
}

fn rule(module: &str) -> Option<&'static [&'static str]> {
    RULES
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, allowed)| *allowed)
}

/// Why `module` may not have `import`.
fn offence(module: &str, import: &Import<'_>) -> Option<String> {
    if import.module == module || matches!(module, "tests" | "lib") {
        return None;
    }
    let Some(allowed) = rule(module) else {
        return Some(format!(
            "module `{module}` has no rule: give it one in {}",
            file!()
        ));
    };
    if !allowed.contains(&import.module) {
        return Some(format!(
            "`{module}` may import {allowed:?} and not `{}`",
            import.module
        ));
    }
    let surface = match (module, import.module) {
        ("shard", "ring") => RING_DATA,
        ("epoll", "ring") => ENGINE_DATA,
        ("arm", "shard") => &["Role"],
        ("arm", "socket") => &["keepalive"],
        ("experiment", "shard") => SHARD_SURFACE,
        _ => return None,
    };
    let names = items(import.rest);
    let foreign = names
        .into_iter()
        .map(word)
        .find(|name| !surface.contains(name))?;
    Some(format!(
        "of `{}`, `{module}` may name {surface:?} and not `{foreign}`",
        import.module
    ))
}

/// Fails with every offence.
fn none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn modules_import_from_lower_layers_only() {
    let mut offences = Vec::new();
    for source in sources() {
        let of = if source.module() == "main" {
            "ringbeat::"
        } else {
            "crate::"
        };
        for (offset, import) in imports(&source.text, of) {
            if let Some(why) = offence(source.module(), &import) {
                offences.push(format!("{}: {why}", source.place(offset)));
            }
        }
    }
    none(&offences);
}

#[test]
fn the_rules_themselves_go_upwards_only_and_catch_what_they_forbid() {
    for (number, (module, allowed)) in RULES.iter().enumerate() {
        for import in *allowed {
            let at = RULES.iter().position(|(name, _)| name == import);
            let (rank, place) = (
                |name: &str| name == "report",
                at.expect("an unknown module"),
            );
            assert!(
                place < number && !(rank(import) && *module == "experiment"),
                "{module} -> {import}"
            );
        }
    }
    let text =
        "use crate::{units, ring::{Operation, Ring}};\n// crate::load\nlet x = crate::load::y();";
    let found: Vec<_> = imports(text, "crate::")
        .into_iter()
        .map(|(_, import)| import)
        .collect();
    let modules: Vec<_> = found.iter().map(|import| import.module).collect();
    assert_eq!(modules, ["units", "ring", "load"]);
    assert_eq!(offence("shard", &found[0]), None);
    assert!(offence("shard", &found[1]).unwrap().contains("not `Ring`"));
    assert!(offence("server", &found[2]).unwrap().contains("not `load`"));
    assert!(offence("novelty", &found[2]).unwrap().contains("no rule"));
}

#[test]
fn every_file_says_what_it_is_and_is_not_too_long() {
    let mut offences = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if !source.text.starts_with("//! ") {
            offences.push(format!("{}: a file begins with `//!`", source.place(0)));
        }
        if lines > 500 {
            offences.push(format!(
                "src/{}: {lines} lines, 500 are the most",
                source.path.display()
            ));
        }
    }
    none(&offences);
}

/// Whether `line` is code that has `unsafe` in it.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let uses = [
        "unsafe {",
        "unsafe fn ",
        "unsafe impl ",
        "unsafe extern ",
        "unsafe trait ",
    ];
    uses.iter().any(|form| code.contains(form))
}

/// Lines of code, comments and this file left out, in which `offends` finds something.
fn offending(rule: &str, offends: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.path.ends_with("tests/layers.rs"))
    {
        let mut offset = 0;
        for line in source.text.split_inclusive('\n') {
            if offends(source, line) {
                offences.push(format!("{}: {rule}", source.place(offset)));
            }
            offset += line.len();
        }
    }
    offences
}

#[test]
fn unsafe_is_confined_to_the_ring() {
    none(&offending(
        "`unsafe` belongs to src/ring alone",
        |source, line| is_unsafe(line) && !source.is_of(&["ring"]),
    ));
    let inside = offending("", |source, line| {
        is_unsafe(line) && source.is_of(&["ring"])
    });
    assert!(!inside.is_empty(), "the pattern finds none at all");
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let pure = ["wheel", "protocol", "detector", "record", "merge"];
    let outside = [
        "std::time::Instant",
        "Instant::now",
        "SystemTime",
        "std::net",
        "std::fs",
        "std::process",
    ];
    none(&offending(
        "a pure module is handed time and does no I/O",
        |source, line| {
            let code = line.split("//").next().unwrap_or_default();
            source.is_of(&pure) && outside.iter().any(|name| code.contains(name))
        },
    ));
}

#[test]
fn nothing_is_left_undone() {
    let leftovers = ["todo!", "unimplemented!", "FIXME", "#[ignore"];
    none(&offending("finish it or take it out", |_, line| {
        leftovers.iter().any(|name| line.contains(name))
    }));
}

#[test]
fn the_top_level_holds_what_it_must_and_no_more() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "bench",
        "results",
        "scripts",
        "README.md",
        "README.zh-CN.md",
        "target",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let allowed =
            known.contains(&name.as_str()) || name.starts_with('.') || name.starts_with("LICENSE-");
        assert!(allowed, "`{name}` does not belong at the top level");
    }
}
