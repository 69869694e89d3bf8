//! A pool of receive buffers that the kernel picks from: the provided-buffer ring of multishot receives.
//!
//! Does not submit. A buffer belongs to the kernel from [`Pool::give`] until a completion names it, and to us from
//! then until it is given back; a streaming connection holds none while it is idle. Source: `io_uring_register(2)`,
//! `IORING_REGISTER_PBUF_RING`.

use super::operation::RECEIVE_BYTES;
use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;
/// The kernel wants the entries on a page boundary.
const PAGE_BYTES: usize = 4096;

/// Buffers of [`RECEIVE_BYTES`] each and the entries through which the kernel takes them.
pub(super) struct Pool {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    count: u16,
    tail: u16,
    bytes: Box<[UnsafeCell<[u8; RECEIVE_BYTES]>]>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("count", &self.count)
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// `count` buffers (rounded up to a power of two, at most 32,768), all given to the kernel of `submitter`'s ring.
    /// The pool must outlive that ring.
    ///
    /// # Errors
    /// Of the registration: `EINVAL` before Linux 5.19, `ENOMEM`.
    pub(super) fn new(submitter: &Submitter<'_>, count: u16) -> io::Result<Self> {
        let count = count.clamp(1, 1 << 15).next_power_of_two();
        let size = usize::from(count) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(size, PAGE_BYTES).map_err(io::Error::other)?;
        // SAFETY: the size is at least one entry, so not zero. Unchecked null would be written through below.
        let raw = unsafe { alloc_zeroed(layout) };
        #[expect(clippy::cast_ptr_alignment, reason = "the allocation is page-aligned")]
        let Some(entries) = NonNull::new(raw.cast::<BufRingEntry>()) else {
            handle_alloc_error(layout)
        };
        let mut pool = Self {
            entries,
            layout,
            count,
            tail: 0,
            bytes: (0..count)
                .map(|_| UnsafeCell::new([0; RECEIVE_BYTES]))
                .collect(),
        };
        // SAFETY: the entries are `count` long, page-aligned, zeroed, and live until this pool is dropped, which is
        // after the ring. Freed earlier, the kernel would read buffer addresses out of memory others own.
        unsafe {
            submitter.register_buf_ring_with_flags(
                entries.as_ptr() as u64,
                pool.count,
                GROUP,
                0,
            )?;
        }
        for buffer in 0..count {
            pool.give(buffer);
        }
        Ok(pool)
    }

    /// The first `length` bytes of the buffer a completion named; empty for a buffer that is not ours.
    pub(super) fn read(&self, buffer: u16, length: usize) -> &[u8] {
        let Some(cell) = self.bytes.get(usize::from(buffer)) else {
            return &[];
        };
        // SAFETY: the completion that names the buffer is posted after the kernel's last write to it, and the kernel
        // writes to it again only after `give`, which takes `&mut self` and so ends this borrow. Otherwise frames of
        // two peers would mix.
        let bytes = unsafe { &*cell.get() };
        &bytes[..length.min(RECEIVE_BYTES)]
    }

    /// Gives a buffer (back) to the kernel. It must not be with the kernel already.
    pub(super) fn give(&mut self, buffer: u16) {
        let Some(cell) = self.bytes.get(usize::from(buffer)) else {
            return;
        };
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is below `count`, the length of the allocation. Beyond it the pointer would leave it.
        let entry = unsafe { self.entries.add(place) };
        // SAFETY: zeroed at first, so initialised; only `count` buffers exist, so the kernel has consumed what stood
        // here before and does not read it until the tail moves. A buffer given twice could be taken half-written.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(cell.get() as u64);
        entry.set_len(u32::try_from(RECEIVE_BYTES).unwrap_or(0));
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `entries` is the registered base, initialised; the tail lies inside its first entry.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is two aligned bytes inside our live allocation; the kernel only reads it. The release
        // store keeps the entry's fields before it: the kernel would otherwise take a half-written address.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout and freed once; the ring, declared before the pool wherever
        // both are held, is closed by now. Freed under a live ring, the kernel would follow stale entries.
        unsafe { dealloc(self.entries.as_ptr().cast(), self.layout) }
    }
}
