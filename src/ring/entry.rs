//! An operation becomes a submission entry.
//!
//! Does not submit and owns no memory: pointers lead into the ring's arena or its option list, whose lifetimes the
//! ring vouches for where it pushes.

use super::arena::Arena;
use super::operation::{Operation, RECEIVE_BYTES, SEND_BYTES};
use super::option::SocketOption;
use super::pool::GROUP;
use super::token::{Token, TokenKind};
use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{opcode, squeue};
use std::net::SocketAddrV4;

/// `IORING_RECVSEND_POLL_FIRST`: an idle connection has nothing to read yet, and an attempt without a free buffer
/// would fail at once instead of waiting for data.
const RECV_POLL_FIRST: u16 = 1;
/// `IORING_RECV_MULTISHOT`.
const RECV_MULTISHOT: u16 = 2;

/// The submission for `operation`. `silent` ones post a completion only when they fail.
pub(super) fn entry_for(
    operation: &Operation,
    arena: &mut Arena,
    options: &[SocketOption],
) -> squeue::Entry {
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
        Operation::Stream { slot, token } => stream(slot).user_data(token.pack()),
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

fn connect(slot: u32, address: *const libc::sockaddr) -> squeue::Entry {
    opcode::Connect::new(Fixed(slot), address, address_length()).build()
}

fn bind(slot: u32, address: *const libc::sockaddr) -> squeue::Entry {
    opcode::Bind::new(Fixed(slot), address, address_length()).build()
}

fn address_length() -> libc::socklen_t {
    u32::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(16)
}

fn set_option(slot: u32, option: &SocketOption) -> squeue::Entry {
    let (level, name) = (option.level.cast_unsigned(), option.name.cast_unsigned());
    let value = option.value.as_ptr().cast();
    opcode::SetSockOpt::new(Fixed(slot), level, name, value, option.length).build()
}

fn stream(slot: u32) -> squeue::Entry {
    // The buffer is the group's, its length too (0 here: older kernels refuse any other).
    opcode::Recv::new(Fixed(slot), std::ptr::null_mut(), 0)
        .ioprio(RECV_POLL_FIRST | RECV_MULTISHOT)
        .buf_group(GROUP)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT)
}

fn poll_mask(events: libc::c_short) -> u32 {
    u32::from(events.cast_unsigned())
}
