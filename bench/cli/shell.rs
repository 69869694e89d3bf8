//! Completions and man pages, as shells and `man` read them.

use super::child::{run, skipped};
use std::io::Write as _;
use std::process::{Command, Stdio};

const COMMANDS: [&str; 10] = [
    "doctor",
    "compare",
    "scale",
    "detect",
    "lifecycle",
    "storm",
    "advise",
    "serve",
    "load",
    "report",
];

/// What a program made of `input`: whether it was content, and what it printed; `None` where there is no such program.
fn fed(program: &str, arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program may stop reading once it has seen enough.
    let _ = writer.join().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    Some((output.status.success(), plain(&told)))
}

/// Without the overstriking that makes letters bold on a printer.
fn plain(text: &str) -> String {
    let mut kept = String::new();
    for letter in text.chars() {
        if letter == '\u{8}' {
            kept.pop();
        } else {
            kept.push(letter);
        }
    }
    kept
}

#[test]
fn completions_know_every_command_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&format!("completions {shell}"));
        assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{ended:#?}");
        for name in COMMANDS {
            assert!(ended.stdout.contains(name), "{shell} does not know {name}");
        }
        assert!(ended.stdout.contains("detect-within"), "{shell}");
    }
    let ended = run("completions tcsh");
    assert_eq!(ended.code(), 2, "{ended:#?}");
    assert!(ended.stderr.contains("bash"), "{ended:#?}");
}

#[test]
fn bash_completes_a_command_and_its_flags() {
    let script = run("completions bash").stdout;
    let ask = "\nCOMP_WORDS=(ringbeat compare --detect); COMP_CWORD=2\n\
               _ringbeat ringbeat --detect compare\necho \"${COMPREPLY[@]}\"\n\
               COMP_WORDS=(ringbeat lif); COMP_CWORD=1\n_ringbeat ringbeat lif ringbeat\necho \"${COMPREPLY[@]}\"\n";
    let Some((content, told)) = fed("bash", &["--norc"], &format!("{script}{ask}")) else {
        skipped("there is no bash");
        return;
    };
    assert!(content, "{told}");
    let answers: Vec<_> = told.lines().map(str::trim).collect();
    assert_eq!(answers, ["--detect-within", "lifecycle"]);
}

#[test]
fn the_man_page_renders_without_a_complaint() {
    let page = run("man");
    assert_eq!((page.code(), page.stderr.as_str()), (0, ""), "{page:#?}");
    assert!(page.stdout.contains(".TH ringbeat 1"), "{}", page.stdout);
    let formatters: [(&str, &[&str]); 2] = [
        ("mandoc", &["-T", "ascii", "-W", "error"]),
        ("groff", &["-man", "-Tascii", "-ww", "-P-c"]),
    ];
    let rendered = formatters
        .into_iter()
        .find_map(|(program, arguments)| fed(program, arguments, &page.stdout));
    let Some((content, told)) = rendered else {
        skipped("there is neither mandoc nor groff to render the man page");
        return;
    };
    assert!(content, "{told}");
    assert!(told.contains("SUBCOMMANDS"), "{told}");
    for name in COMMANDS {
        assert!(told.contains(name), "{name}: {told}");
    }
    assert!(!told.contains("warning:"), "{told}");
}

#[test]
fn every_command_has_a_page_in_the_folder() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("man1");
    let ended = run(&format!("man {}", folder.display()));
    assert_eq!((ended.code(), ended.stdout.as_str()), (0, ""), "{ended:#?}");
    for name in COMMANDS {
        let page = std::fs::read_to_string(folder.join(format!("ringbeat-{name}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS"), "{name}: {page}");
        assert!(
            !page.contains("controlled"),
            "{name} tells of a hidden flag"
        );
    }
    assert!(folder.join("ringbeat.1").exists());

    let file = folder.join("ringbeat.1");
    let refused = run(&format!("man {}", file.display()));
    assert_eq!(refused.code(), 3, "{refused:#?}");
    assert!(refused.stderr.contains("may write"), "{refused:#?}");
}
