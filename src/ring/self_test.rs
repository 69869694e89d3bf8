//! Proof, at start, that this kernel's io_uring does what the rings need; a name for what is missing otherwise.
//!
//! Does not measure. An opcode list cannot show multishot or direct descriptors, so each feature is tried on a
//! throw-away ring and one throw-away socket. Takes well under a millisecond.

use super::{Operation, Ring, RingError, RingSize, SocketOption, Token, TokenKind};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

/// Tries every feature the rings rely on. Returns what was found, by name, for the record.
///
/// # Errors
/// [`RingError`] that names the missing feature, its kernel, or the policy that refuses io_uring.
pub fn self_test() -> Result<BTreeMap<String, String>, RingError> {
    let mut ring = Ring::new(RingSize::new(4), &[SocketOption::nodelay()])?;
    let token = |kind| Token::new(kind, 0, 0);
    let steps = [
        Operation::Open {
            slot: 0,
            token: token(TokenKind::Open),
        },
        Operation::SetOption {
            slot: 0,
            option: 0,
            token: token(TokenKind::Option),
        },
        Operation::Watch {
            slot: 0,
            token: token(TokenKind::Watch),
        },
        Operation::Cancel {
            target: token(TokenKind::Watch),
        },
        Operation::Close {
            slot: 0,
            token: token(TokenKind::Close),
        },
    ];
    for step in &steps {
        if !ring.push(step) {
            return Err(RingError::Feature {
                feature: "a submission queue of 512",
                needed: "5.1",
            });
        }
    }
    let mut failed = None;
    while ring.has_work() {
        ring.enter()?;
        ring.reap(|completion| {
            if completion.result.is_err() && completion.token.kind != TokenKind::Watch {
                failed = failed.or(Some(completion.token.kind));
            }
        })?;
    }
    match failed {
        Some(TokenKind::Open) => Err(RingError::Feature {
            feature: "IORING_OP_SOCKET into a direct slot",
            needed: "5.19",
        }),
        Some(TokenKind::Option) => Err(RingError::Feature {
            feature: "SOCKET_URING_OP_SETSOCKOPT",
            needed: "6.7",
        }),
        Some(TokenKind::Cancel) => Err(RingError::Feature {
            feature: "multishot IORING_OP_POLL_ADD",
            needed: "5.13",
        }),
        Some(_) => Err(RingError::Feature {
            feature: "IORING_OP_CLOSE of a direct slot",
            needed: "5.15",
        }),
        None => Ok(features()),
    }
}

/// Proves that connections can come from each of `sources`: binds a throw-away socket to each.
///
/// # Errors
/// [`RingError::Feature`] before Linux 6.11, [`RingError::Source`] for an address that is not this host's.
pub fn self_test_bind(sources: &[Ipv4Addr]) -> Result<(), RingError> {
    let mut ring = Ring::new(RingSize::new(1), &[SocketOption::bind_address_no_port()])?;
    let token = |kind| Token::new(kind, 0, 0);
    for &source in sources {
        let steps = [
            Operation::Open {
                slot: 0,
                token: token(TokenKind::Open),
            },
            Operation::SetOption {
                slot: 0,
                option: 0,
                token: token(TokenKind::Option),
            },
            Operation::Bind {
                slot: 0,
                source,
                token: token(TokenKind::Bind),
            },
            Operation::Close {
                slot: 0,
                token: token(TokenKind::Close),
            },
        ];
        let mut failed = None;
        let pushed = steps.iter().all(|step| ring.push(step));
        while ring.has_work() {
            ring.enter()?;
            ring.reap(|completion| failed = failed.or_else(|| completion.result.err()))?;
        }
        match failed {
            None if pushed => {}
            Some(errno) if errno != libc::EINVAL => {
                let cause = io::Error::from_raw_os_error(errno);
                return Err(RingError::Source {
                    address: source,
                    source: cause,
                });
            }
            _ => {
                return Err(RingError::Feature {
                    feature: "IORING_OP_BIND",
                    needed: "6.11",
                });
            }
        }
    }
    Ok(())
}

fn features() -> BTreeMap<String, String> {
    [
        ("engine", "uring: multishot poll, inline receive and send"),
        (
            "setup",
            "SINGLE_ISSUER DEFER_TASKRUN TASKRUN_FLAG SUBMIT_ALL NO_SQARRAY(if accepted)",
        ),
        ("descriptors", "direct, sparse table per ring"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
