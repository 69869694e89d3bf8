//! Proof, at start, that this kernel's io_uring does what the rings need; a name for what is missing otherwise.
//!
//! Does not measure. An opcode list cannot show multishot or direct descriptors, so each feature is tried on a
//! throw-away ring and one throw-away socket. Takes well under a millisecond.

use super::{Operation, Ring, RingError, RingSize, SocketOption, Token, TokenKind};
use std::collections::BTreeMap;

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
