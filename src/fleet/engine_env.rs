//! Which shard this process is, by the variables of the engine that started it.
//!
//! Pure: variables are looked up by the caller. Nothing is guessed; a variable without its partner, two engines that
//! differ and a number that is none are errors that name the variables. With one exception: the ranks of `mpirun` go
//! before Slurm's, because `mpirun` inside a Slurm job leaves those of the step that started it.

use super::FleetError;
use crate::load::Shard;
use std::fmt;

/// The count of shards that the user hands in where the engine has none.
pub const SHARDS: &str = "RINGBEAT_SHARDS";

/// What started this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// An Indexed Job.
    Kubernetes,
    /// The `mpirun` of Open MPI.
    OpenMpi,
    /// Another `mpirun`: MPICH, Intel MPI.
    Pmi,
    /// `srun`.
    Slurm,
    /// `pssh`, also called `parallel-ssh`.
    Pssh,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kubernetes => "Kubernetes",
            Self::OpenMpi => "OpenMPI",
            Self::Pmi => "MPI (PMI)",
            Self::Slurm => "Slurm",
            Self::Pssh => "pssh",
        })
    }
}

/// An engine, the variable of the index, and that of the count where it has one.
const ENGINES: [(Engine, &str, Option<&str>); 5] = [
    (Engine::Kubernetes, "JOB_COMPLETION_INDEX", None),
    (
        Engine::OpenMpi,
        "OMPI_COMM_WORLD_RANK",
        Some("OMPI_COMM_WORLD_SIZE"),
    ),
    (Engine::Pmi, "PMI_RANK", Some("PMI_SIZE")),
    (Engine::Pssh, "PSSH_NODENUM", Some("PSSH_NUMNODES")),
    (Engine::Slurm, "SLURM_PROCID", Some("SLURM_NTASKS")),
];

/// One engine's word.
struct Told {
    engine: Engine,
    shard: Shard,
    /// The variables and their values.
    by: String,
}

/// The shard and the engine that says so; `None` when there is none of these variables.
///
/// # Errors
/// [`FleetError::Environment`], naming the variables.
pub fn shard(
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<(Shard, Engine)>, FleetError> {
    let mut told: Vec<Told> = Vec::new();
    for (engine, index, count) in ENGINES {
        let mpi = told
            .iter()
            .any(|told| matches!(told.engine, Engine::OpenMpi | Engine::Pmi));
        if engine == Engine::Slurm && mpi {
            continue;
        }
        told.extend(ask(engine, index, count, &lookup)?);
    }
    let Some(first) = told.first() else {
        if lookup(SHARDS).is_some() {
            return Err(wrong(format!(
                "{SHARDS} is set, and no variable says which shard this is (JOB_COMPLETION_INDEX or PSSH_NODENUM \
                 would)"
            )));
        }
        return Ok(None);
    };
    if let Some(other) = told.iter().find(|other| other.shard != first.shard) {
        return Err(wrong(format!(
            "{} ({}) and {} ({}) do not say the same: unset one of them",
            first.by, first.engine, other.by, other.engine
        )));
    }
    Ok(Some((first.shard, first.engine)))
}

fn ask(
    engine: Engine,
    index: &str,
    count: Option<&str>,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Told>, FleetError> {
    let place = number(index, lookup)?;
    let own = match count {
        Some(name) => number(name, lookup)?.map(|value| (name, value)),
        None => None,
    };
    let Some(place) = place else {
        return match (own, engine) {
            // Slurm sets the count in a script that no `srun` has started.
            (None, _) | (Some(_), Engine::Slurm) => Ok(None),
            (Some((name, _)), _) => Err(wrong(format!("{name} is set and {index} is not"))),
        };
    };
    let given = number(SHARDS, lookup)?.map(|value| (SHARDS, value));
    let (name, of) = match (own, given) {
        (Some((name, own)), Some((_, given))) if own != given => {
            return Err(wrong(format!(
                "{name}={own} and {SHARDS}={given} do not say the same: unset one of them"
            )));
        }
        (Some(own), _) => own,
        (None, Some(given)) if matches!(engine, Engine::Kubernetes | Engine::Pssh) => given,
        (None, _) => {
            let wanted = match (engine, count) {
                (Engine::Pssh, Some(count)) => format!("neither {count} nor {SHARDS} is"),
                (_, Some(count)) => format!("{count} is not"),
                (_, None) => format!("{SHARDS} is not: set it to the number of completions"),
            };
            return Err(wrong(format!("{index} is set and {wanted}")));
        }
    };
    let by = format!("{index}={place} with {name}={of}");
    let shard = Shard::new(place, of).map_err(|why| wrong(format!("{by}: {why}")))?;
    Ok(Some(Told { engine, shard, by }))
}

fn number(name: &str, lookup: &impl Fn(&str) -> Option<String>) -> Result<Option<u32>, FleetError> {
    let Some(text) = lookup(name) else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(wrong(format!("{name}=`{}` is no number", text.trim()))),
    }
}

const fn wrong(text: String) -> FleetError {
    FleetError::Environment(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<(Shard, Engine)>, String> {
        shard(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn each_engine_tells_the_shard() {
        let third = Shard::new(2, 4).unwrap();
        for (variables, engine) in [
            (
                [("JOB_COMPLETION_INDEX", "2"), (SHARDS, "4")],
                Engine::Kubernetes,
            ),
            (
                [("SLURM_PROCID", "2"), ("SLURM_NTASKS", "4")],
                Engine::Slurm,
            ),
            (
                [("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "4")],
                Engine::OpenMpi,
            ),
            ([("PMI_RANK", "2"), ("PMI_SIZE", "4")], Engine::Pmi),
            (
                [("PSSH_NODENUM", "2"), ("PSSH_NUMNODES", "4")],
                Engine::Pssh,
            ),
            ([("PSSH_NODENUM", "2"), (SHARDS, "4")], Engine::Pssh),
        ] {
            assert_eq!(of(&variables), Ok(Some((third, engine))), "{variables:?}");
        }
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(
            of(&[("SLURM_NTASKS", "4")]),
            Ok(None),
            "a script outside srun"
        );
    }

    #[test]
    fn engines_that_agree_are_one_and_mpirun_goes_before_the_slurm_it_runs_in() {
        let agree = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("PMI_RANK", "1"),
            ("PMI_SIZE", "4"),
            (SHARDS, "4"),
        ];
        let second = Shard::new(1, 4).unwrap();
        assert_eq!(of(&agree), Ok(Some((second, Engine::OpenMpi))));
        for step in [
            &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")][..],
            &[("SLURM_PROCID", "0")],
        ] {
            let both = [&agree[..2], step].concat();
            assert_eq!(of(&both), Ok(Some((second, Engine::OpenMpi))));
        }
    }

    #[test]
    fn half_set_contradictory_and_absurd_variables_are_named() {
        let rank = ("OMPI_COMM_WORLD_RANK", "1");
        for (variables, named) in [
            (
                &[("JOB_COMPLETION_INDEX", "0")][..],
                &["JOB_COMPLETION_INDEX", SHARDS][..],
            ),
            (
                &[("SLURM_PROCID", "0")],
                &["SLURM_PROCID", "SLURM_NTASKS is not"],
            ),
            (
                &[rank, (SHARDS, "4")],
                &[rank.0, "OMPI_COMM_WORLD_SIZE is not"],
            ),
            (&[("PMI_SIZE", "4")], &["PMI_SIZE", "PMI_RANK is not"]),
            (&[("PSSH_NODENUM", "0")], &["PSSH_NUMNODES", SHARDS]),
            (&[(SHARDS, "4")], &[SHARDS, "--shard"]),
            (
                &[
                    rank,
                    ("OMPI_COMM_WORLD_SIZE", "4"),
                    ("PMI_RANK", "2"),
                    ("PMI_SIZE", "4"),
                ],
                &["OMPI_COMM_WORLD_RANK=1", "PMI_RANK=2"],
            ),
            (
                &[rank, ("OMPI_COMM_WORLD_SIZE", "4"), (SHARDS, "8")],
                &["OMPI_COMM_WORLD_SIZE=4", "RINGBEAT_SHARDS=8"],
            ),
            (
                &[("PMI_RANK", "4"), ("PMI_SIZE", "4")],
                &["PMI_RANK=4", "PMI_SIZE=4", "no shard 4"],
            ),
            (&[("PMI_RANK", "-1"), ("PMI_SIZE", "4")], &["PMI_RANK=`-1`"]),
            (
                &[("PMI_RANK", ""), ("PMI_SIZE", "4")],
                &["PMI_RANK", "no number"],
            ),
        ] {
            let why = of(variables).unwrap_err();
            for name in named {
                assert!(why.contains(name), "{variables:?}: {why}");
            }
        }
    }
}
