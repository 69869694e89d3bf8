//! `ringbeat doctor`: from its flags to the answer.
//!
//! Does not judge: [`crate::experiment::doctor`] does. Changes nothing of the host; the commands it prints are for a
//! person to run.

mod table;

use super::flags::OutputFlags;
use super::{Failure, choices, host, output, parse};
use crate::bank::EngineKind;
use crate::experiment::doctor::{
    Change, Diagnosis, Facts, Finding, Question, Rings, Side, examine,
};
use clap::Args;
use serde_json::{Value, json};

/// What this host can hold, which limit bites first, and the command that lifts it.
///
/// Holds every limit that bears on many connections against what they need: memory, open files, ports, connection
/// tracking, io_uring, queues, CPU and clocks. Sets nothing. Warnings do not fail; the exit code is 3 when the
/// connections asked for cannot be held.
#[derive(Debug, Args)]
#[command(after_help = crate::cli::VALUES)]
pub(super) struct DoctorArgs {
    /// Connections to hold, 1 to 10M [default: tell how many can be]
    #[arg(long, value_name = "N", value_parser = parse::connections, allow_hyphen_values = true)]
    connections: Option<u64>,
    /// Which ends of them are on this host
    #[arg(long, value_name = "END", default_value = "both", value_parser = choices::side())]
    side: Side,
    /// For --side load: pairs of a source address and a target, each with a range of ports of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse::connections, allow_hyphen_values = true)]
    pairs: u64,
    /// How the kernel is spoken to
    #[arg(long, default_value = "uring", value_parser = choices::engine())]
    engine: EngineKind,
    #[command(flatten)]
    output: OutputFlags,
}

pub(super) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let facts =
        Facts::read(host::congestion(None)?).map_err(|error| Failure::Host(error.to_string()))?;
    let question = Question::under_presets(args.connections, args.side, facts.cores)
        .map_err(|error| Failure::Run(error.to_string()))?;
    let question = Question {
        pairs: args.pairs,
        engine: args.engine,
        ..question
    };
    let diagnosis = examine(&facts, &question);
    let text = if args.output.quiet {
        diagnosis.answer()
    } else {
        table::draw(&diagnosis, output::width())
    };
    if args.output.json {
        let json = serde_json::to_string_pretty(&as_json(&diagnosis, &facts)).map_err(|error| {
            Failure::Run(format!(
                "the answer does not serialise ({error}); this is a defect, please report it"
            ))
        })?;
        if !args.output.quiet {
            output::note(&text);
        }
        output::result(&json)?;
    } else {
        output::result(&text)?;
    }
    diagnosis
        .refusal()
        .map_or(Ok(()), |why| Err(Failure::Host(why)))
}

/// One object whose keys stay.
fn as_json(diagnosis: &Diagnosis, facts: &Facts) -> Value {
    let due = diagnosis.to_do();
    let finding = |finding: &Finding| {
        json!({
            "name": finding.name,
            "found": finding.found,
            "needed": finding.needed,
            "verdict": finding.verdict.name(),
            "connections_most": finding.verdict.most(),
            "to_do": due.iter().any(|other| other.name == finding.name),
            "why": finding.why,
            "remedies": finding.remedies.iter().flat_map(Change::commands).collect::<Vec<_>>(),
        })
    };
    let features = match &facts.rings {
        Rings::Work { features, .. } => Some(features),
        _ => None,
    };
    json!({
        "answer": diagnosis.answer(),
        "connections_asked": diagnosis.question.connections,
        "connections_held": diagnosis.holds(),
        "connections_judged_at": diagnosis.judged_at,
        "target_met": diagnosis.is_met(),
        "first_limit": diagnosis.first_limit().name,
        "side": diagnosis.question.side.name(),
        "engine": diagnosis.question.engine.name(),
        "ring_features": features,
        "findings": diagnosis.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
