//! One io_uring for one thread: the only module that may use `unsafe`.
//!
//! Does not decide anything: operations go in, completions come out, in the kernel's order. It never waits in
//! the kernel; whoever drives it sleeps elsewhere. Kernel: Linux 6.7 or newer (see [`self_test()`]).
//!
//! Two uses of `unsafe` remain, each with its invariant at its place: handing a submission to the kernel
//! (`push`) and reading what the kernel received ([`arena`](self)). Both rest on one rule: **only operations that
//! finish inside `io_uring_enter`, or that hold no pointer, are ever pushed.** The table of direct descriptors
//! keeps sockets out of the process's descriptor table; its size is capped by the soft `RLIMIT_NOFILE`.

#![expect(
    unsafe_code,
    reason = "submission entries carry pointers; this module states why each is good"
)]

mod arena;
mod error;
mod operation;
mod option;
mod self_test;
mod token;

pub use error::{OLDEST_KERNEL, RingError};
pub use operation::{Completion, Operation, RECEIVE_BYTES, SEND_BYTES};
pub use option::SocketOption;
pub use self_test::{self_test, self_test_bind};
pub use token::{GENERATION_LIMIT, Token, TokenKind};

use arena::Arena;
use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddrV4;

/// Submission entries of one ring, and so the largest batch of one enter.
pub const SUBMISSION_ENTRIES: u32 = 512;
/// Completion entries. 8192 is also the first size at which the kernel's cancel hash has its full 256 buckets
/// (`io_ring_ctx_alloc`).
const COMPLETION_ENTRIES: u32 = 8192;

/// What a ring has been through; all counts since its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounters {
    /// Calls of `io_uring_enter`.
    pub enters: u64,
    /// Enters that returned early with a passing error and were repeated.
    pub transient_errors: u64,
    /// Times the kernel said that completions did not fit the queue.
    pub overflows: u64,
    /// Completions with a token this crate does not know.
    pub unknown_tokens: u64,
}

/// An io_uring with its table of direct descriptors, bound to the thread that made it.
pub struct Ring {
    // Declared first, so dropped first: closing the ring is what ends the kernel's use of the arena's memory.
    // In the other order a late completion could be written into memory the allocator has given to others.
    kernel: IoUring,
    arena: Arena,
    options: Box<[SocketOption]>,
    counters: RingCounters,
    // A ring with a single issuer answers EEXIST to every other thread.
    _not_send: PhantomData<*mut ()>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring on the current thread with `slots` direct descriptors; `options` are what
    /// [`Operation::SetOption`] can name.
    ///
    /// # Errors
    /// [`RingError`] by cause: refused, missing, too old, limit on open files, no memory.
    pub fn new(slots: u32, options: &[SocketOption]) -> Result<Self, RingError> {
        let ring = build(true)
            .or_else(|error| match error.raw_os_error() {
                // NO_SQARRAY (6.6) only saves memory.
                Some(libc::EINVAL) => build(false),
                _ => Err(error),
            })
            .map_err(RingError::from_setup)?;
        ring.submitter()
            .register_files_sparse(slots)
            .map_err(|source| match source.raw_os_error() {
                Some(libc::EINVAL) => RingError::Feature {
                    feature: "IORING_RSRC_REGISTER_SPARSE",
                    needed: "5.19",
                },
                Some(libc::ENOMEM) => RingError::Resources { source },
                _ => RingError::Table { source, slots },
            })?;
        Ok(Self {
            kernel: ring,
            arena: Arena::new(SUBMISSION_ENTRIES as usize),
            options: options.into(),
            counters: RingCounters::default(),
            _not_send: PhantomData,
        })
    }

    /// Queues one operation. `false` when the queue is full: [`enter`](Self::enter), then try again.
    ///
    /// # Panics
    /// If `operation` names a socket option the ring was not built with.
    #[must_use]
    pub fn push(&mut self, operation: &Operation) -> bool {
        if self.arena.is_full() || self.kernel.submission().is_full() {
            return false;
        }
        let entry = entry_for(operation, &mut self.arena, &self.options);
        // SAFETY: every pointer in `entry` leads into `self.arena` or `self.options`, both allocated before the
        // ring and dropped after it, and neither moves (boxed slices never resized). Each place of the arena
        // is named by one submission until `enter` has seen the queue consumed, and the kernel drops the
        // pointer inside that enter: receives and sends carry MSG_DONTWAIT, addresses and option values are
        // copied while the submission is taken. A place reused earlier would mix two peers' frames.
        unsafe { self.kernel.submission().push(&entry).is_ok() }
    }

    /// Whether an enter would do anything: something queued, or completions the kernel has ready to post.
    #[must_use]
    pub fn has_work(&mut self) -> bool {
        let submission = self.kernel.submission();
        !submission.is_empty() || submission.taskrun() || submission.cq_overflow()
    }

    /// Submits what is queued and lets the kernel post what is ready, without waiting.
    ///
    /// The kernel runs at most 20 deferred items per call (`IO_LOCAL_TW_DEFAULT_MAX`), so call again while
    /// [`has_work`](Self::has_work).
    ///
    /// # Errors
    /// [`RingError::Enter`] for a failure that does not pass by itself; [`RingError::Stuck`] when the kernel
    /// keeps memory it must have returned.
    pub fn enter(&mut self) -> Result<(), RingError> {
        self.counters.enters += 1;
        if self.kernel.submission().cq_overflow() {
            self.counters.overflows += 1;
        }
        match self.kernel.submit() {
            Ok(_) => {}
            Err(error) if error::is_transient(&error) => self.counters.transient_errors += 1,
            Err(source) => return Err(RingError::Enter { source }),
        }
        Ok(())
    }

    /// Hands every posted completion to `each` and returns how many there were.
    ///
    /// # Errors
    /// [`RingError::Stuck`] when all submissions are consumed, all completions read, and the kernel still owes
    /// receives: inline receives must not do that.
    pub fn reap(&mut self, mut each: impl FnMut(Completion<'_>)) -> Result<usize, RingError> {
        let mut count = 0;
        let mut completions = self.kernel.completion();
        for completion in &mut completions {
            count += 1;
            let Some(token) = Token::unpack(completion.user_data()) else {
                self.counters.unknown_tokens += 1;
                continue;
            };
            let (flags, raw) = (completion.flags(), completion.result());
            let result = u32::try_from(raw).map_err(|_| -raw);
            let mut seen = Completion {
                token,
                result,
                more: cqueue::more(flags),
                nonempty: cqueue::sock_nonempty(flags),
                data: &[],
            };
            if token.kind == TokenKind::Receive {
                let Some((owner, bytes)) = self.arena.finish_receive(token.index) else {
                    self.counters.unknown_tokens += 1;
                    continue;
                };
                seen.token = owner;
                seen.data = &bytes[..result
                    .map_or(0, |length| length as usize)
                    .min(RECEIVE_BYTES)];
            }
            each(seen);
        }
        drop(completions);
        let submission = self.kernel.submission();
        if submission.is_empty() {
            let idle = !submission.cq_overflow() && !submission.taskrun();
            drop(submission);
            if idle && count == 0 && self.arena.receiving() > 0 {
                return Err(RingError::Stuck {
                    count: self.arena.receiving(),
                });
            }
            self.arena.release();
        }
        Ok(count)
    }

    /// What the ring has been through.
    #[must_use]
    pub fn counters(&self) -> RingCounters {
        self.counters
    }
}

fn build(no_sqarray: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(COMPLETION_ENTRIES);
    if no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(SUBMISSION_ENTRIES)
}

/// The submission for `operation`. `silent` ones post a completion only when they fail.
fn entry_for(operation: &Operation, arena: &mut Arena, options: &[SocketOption]) -> squeue::Entry {
    let silent = squeue::Flags::SKIP_SUCCESS;
    match *operation {
        Operation::Accept { listener, token } => opcode::AcceptMulti::new(Fd(listener))
            .allocate_file_index(true)
            .build()
            .user_data(token.pack()),
        Operation::Open { slot, token } => {
            let target = DestinationSlot::try_from_slot_target(slot).ok();
            opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0)
                .file_index(target)
                .build()
                .flags(silent)
                .user_data(token.pack())
        }
        Operation::SetOption {
            slot,
            option,
            token,
        } => set_option(slot, &options[option as usize])
            .flags(silent)
            .user_data(token.pack()),
        Operation::Bind {
            slot,
            source,
            token,
        } => bind(slot, arena.address(Some(SocketAddrV4::new(source, 0))))
            .flags(silent)
            .user_data(token.pack()),
        Operation::Connect {
            slot,
            address,
            token,
        } => connect(slot, arena.address(Some(address))).user_data(token.pack()),
        Operation::Watch { slot, token } => {
            opcode::PollAdd::new(Fixed(slot), poll_mask(libc::POLLIN | libc::POLLRDHUP))
                .multi(true)
                .build()
                .user_data(token.pack())
        }
        Operation::Receive { slot, token } => {
            let (place, pointer) = arena.receive(token);
            let length = u32::try_from(RECEIVE_BYTES).unwrap_or(0);
            opcode::Recv::new(Fixed(slot), pointer, length)
                .flags(libc::MSG_DONTWAIT)
                .build()
                .user_data(Token::new(TokenKind::Receive, place, 0).pack())
        }
        Operation::Send { slot, bytes, token } => {
            let length = u32::try_from(SEND_BYTES).unwrap_or(0);
            // MSG_WAITALL makes a short send a failure, which SKIP_SUCCESS does not hide.
            opcode::Send::new(Fixed(slot), arena.send(bytes), length)
                .flags(libc::MSG_DONTWAIT | libc::MSG_WAITALL)
                .build()
                .flags(silent)
                .user_data(token.pack())
        }
        Operation::Cancel { target } => opcode::AsyncCancel::new(target.pack())
            .build()
            .flags(silent)
            .user_data(target.with_kind(TokenKind::Cancel).pack()),
        Operation::Abort { slot, token } => connect(slot, arena.address(None))
            .flags(silent)
            .user_data(token.pack()),
        Operation::Close { slot, token } => opcode::Close::new(Fixed(slot))
            .build()
            .flags(silent)
            .user_data(token.pack()),
    }
}

fn set_option(slot: u32, option: &SocketOption) -> squeue::Entry {
    opcode::SetSockOpt::new(
        Fixed(slot),
        option.level.cast_unsigned(),
        option.name.cast_unsigned(),
        option.value.as_ptr().cast(),
        option.length,
    )
    .build()
}

fn bind(slot: u32, address: *const libc::sockaddr) -> squeue::Entry {
    opcode::Bind::new(Fixed(slot), address, address_length()).build()
}

fn connect(slot: u32, address: *const libc::sockaddr) -> squeue::Entry {
    opcode::Connect::new(Fixed(slot), address, address_length()).build()
}

fn address_length() -> libc::socklen_t {
    u32::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(16)
}

fn poll_mask(events: libc::c_short) -> u32 {
    u32::from(events.cast_unsigned())
}

#[cfg(test)]
mod tests;
