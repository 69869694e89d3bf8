//! One io_uring for one thread: the only module that may use `unsafe`.
//!
//! Does not decide anything: operations go in, completions come out, in the kernel's order. It waits in the kernel
//! only when told to ([`Ring::wait`]); a bank of rings sleeps elsewhere. Kernel: Linux 6.7 or newer (see [`self_test()`]).
//!
//! Three uses of `unsafe` remain, each with its invariant at its place: handing a submission to the kernel
//! (`push`), reading what the kernel received ([`arena`](self)), and the buffers a streaming ring lends it
//! ([`pool`](self)). The first two rest on one rule: **only operations that finish inside `io_uring_enter`, or that
//! hold no pointer, are ever pushed.** The table of direct descriptors
//! keeps sockets out of the process's descriptor table; its size is capped by the soft `RLIMIT_NOFILE`.

#![expect(
    unsafe_code,
    reason = "submission entries carry pointers; this module states why each is good"
)]

mod arena;
mod entry;
mod error;
mod operation;
mod option;
mod pool;
mod self_test;
mod token;

pub use error::{OLDEST_KERNEL, RingError};
pub use operation::{Completion, Operation, RECEIVE_BYTES, SEND_BYTES};
pub use option::SocketOption;
pub use self_test::{self_test, self_test_bind};
pub use token::{GENERATION_LIMIT, Token, TokenKind};

use arena::Arena;
use entry::entry_for;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue};
use pool::Pool;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

/// Submission entries of one ring, and so the largest batch of one enter.
const SUBMISSION_ENTRIES: u32 = 512;
/// Completion entries. 8192 is also the first size at which the kernel's cancel hash has its full 256 buckets
/// (`io_ring_ctx_alloc`).
const COMPLETION_ENTRIES: u32 = 8192;

/// How large a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize {
    /// Direct descriptors.
    pub slots: u32,
    /// Entries of the completion queue; the kernel rounds up to a power of two. Fewer than the events of one batch
    /// overflow it: nothing is lost, but multishot operations end and must be armed again.
    pub completions: u32,
    /// Buffers for [`Operation::Stream`]; 0 makes a ring that cannot stream.
    pub buffers: u16,
}

impl RingSize {
    /// A ring of `slots` with the usual completion queue and no buffers.
    #[must_use]
    pub const fn new(slots: u32) -> Self {
        Self {
            slots,
            completions: COMPLETION_ENTRIES,
            buffers: 0,
        }
    }
}

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
    pool: Option<Pool>,
    options: Box<[SocketOption]>,
    counters: RingCounters,
    /// A wait has returned and what it found is not reaped yet.
    woken: bool,
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
    /// A ring on the current thread; `options` are what
    /// [`Operation::SetOption`] can name.
    ///
    /// # Errors
    /// [`RingError`] by cause: refused, missing, too old, limit on open files, no memory.
    pub fn new(size: RingSize, options: &[SocketOption]) -> Result<Self, RingError> {
        let RingSize {
            slots,
            completions,
            buffers,
        } = size;
        let ring = build(true, completions)
            .or_else(|error| match error.raw_os_error() {
                // NO_SQARRAY (6.6) only saves memory.
                Some(libc::EINVAL) => build(false, completions),
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
        let pool = (buffers > 0)
            .then(|| Pool::new(&ring.submitter(), buffers))
            .transpose()
            .map_err(|source| match source.raw_os_error() {
                Some(libc::EINVAL) => RingError::Feature {
                    feature: "IORING_REGISTER_PBUF_RING",
                    needed: "5.19",
                },
                _ => RingError::Resources { source },
            })?;
        Ok(Self {
            kernel: ring,
            arena: Arena::new(SUBMISSION_ENTRIES as usize),
            pool,
            options: options.into(),
            counters: RingCounters::default(),
            woken: false,
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
        self.woken || !submission.is_empty() || submission.taskrun() || submission.cq_overflow()
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
        if std::mem::take(&mut self.woken) && !self.has_work() {
            return Ok(());
        }
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

    /// As [`enter`](Self::enter), then waits until something is ready or `longest` has passed.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn wait(&mut self, longest: Duration) -> Result<(), RingError> {
        self.counters.enters += 1;
        self.woken = true;
        let timeout = Timespec::from(longest);
        let args = SubmitArgs::new().timespec(&timeout);
        match self.kernel.submitter().submit_with_args(1, &args) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => Ok(()),
            Err(error) if error::is_transient(&error) => {
                self.counters.transient_errors += 1;
                Ok(())
            }
            Err(source) => Err(RingError::Enter { source }),
        }
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
            match (&mut self.pool, cqueue::buffer_select(flags)) {
                (Some(pool), Some(buffer)) => {
                    let length = result.map_or(0, |length| length as usize);
                    seen.data = pool.read(buffer, length);
                    each(seen);
                    pool.give(buffer);
                }
                _ => each(seen),
            }
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

fn build(no_sqarray: bool, completions: u32) -> io::Result<IoUring> {
    let completions = completions.clamp(1, COMPLETION_ENTRIES);
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(completions);
    if no_sqarray {
        builder.setup_no_sqarray();
    }
    // The kernel refuses a completion queue shorter than the submission queue.
    builder.build(SUBMISSION_ENTRIES.min(completions))
}

#[cfg(test)]
mod tests;
