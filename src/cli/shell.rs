//! `ringbeat completions` and `ringbeat man`: what shells and `man` want to know of the command line, made from its
//! definition.
//!
//! Does not install anything: a person or a package says where the text goes.

use super::{Failure, output};
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

/// Print the completions of a shell
///
/// For bash: ringbeat completions bash > ~/.local/share/bash-completion/completions/ringbeat
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell they are for
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the man page, or write those of all commands into a folder
///
/// To read them: ringbeat man ~/.local/share/man/man1, then man ringbeat-compare.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write ringbeat.1 and a page for each command into this folder, which is made when it is missing
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs, mut definition: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition, "ringbeat", &mut script);
    print(script)
}

pub(super) fn man(args: &ManArgs, definition: Command) -> Result<(), Failure> {
    if let Some(dir) = &args.dir {
        return write_pages(dir, definition);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(definition)
        .render(&mut page)
        .map_err(|error| {
            Failure::Run(format!(
                "the man page could not be made ({error}); this is a defect, please report it"
            ))
        })?;
    print(page)
}

fn write_pages(dir: &Path, definition: Command) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(definition, dir))
        .map_err(|error| {
            Failure::Host(format!(
                "could not write the man pages into {}: {error}; name a folder you may write to",
                dir.display()
            ))
        })
}

/// The generators write bytes; what they write is text.
fn print(text: Vec<u8>) -> Result<(), Failure> {
    let text = String::from_utf8(text).map_err(|error| {
        Failure::Run(format!(
            "what was generated is not UTF-8 ({error}); this is a defect, please report it"
        ))
    })?;
    output::result(text.trim_end())
}
