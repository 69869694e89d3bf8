//! The 64 bits of `user_data`: what was asked, of which connection, and of which life of that connection.
//!
//! Does not allocate and holds no address, so a completion that arrives for a connection long gone is a counted,
//! ignored event instead of a wild pointer. Layout, high to low: kind 8 bits, generation 24 bits, connection
//! index 32 bits.

/// What an operation was for; comes back in its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TokenKind {
    /// Multishot accept; the index is the ring's own business.
    Accept = 1,
    /// Multishot readiness watch.
    Watch = 2,
    /// One inline receive.
    Receive = 3,
    /// One inline send; completes only on failure.
    Send = 4,
    /// Connect.
    Connect = 5,
    /// Creation of a socket in a slot; completes only on failure.
    Open = 6,
    /// A socket option; completes only on failure.
    Option = 7,
    /// Close of a slot; completes only on failure.
    Close = 8,
    /// Cancellation of another operation; completes only on failure.
    Cancel = 9,
    /// Abortive disconnect; completes only on failure.
    Abort = 10,
    /// Multishot receive.
    Stream = 11,
    /// Source address of a socket; completes only on failure.
    Bind = 12,
}

/// `user_data` taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// What was asked.
    pub kind: TokenKind,
    /// Which life of the connection index, 24 bits.
    pub generation: u32,
    /// Place in the connection table.
    pub index: u32,
}

/// Generations wrap here: 2^24 lives of one index.
pub const GENERATION_LIMIT: u32 = 1 << 24;

impl Token {
    /// A token for `kind` on the connection `index` in its life `generation` (taken modulo
    /// [`GENERATION_LIMIT`]).
    #[must_use]
    pub const fn new(kind: TokenKind, index: u32, generation: u32) -> Self {
        Self {
            kind,
            generation: generation % GENERATION_LIMIT,
            index,
        }
    }

    /// The same connection and life, another kind.
    #[must_use]
    pub const fn with_kind(self, kind: TokenKind) -> Self {
        Self { kind, ..self }
    }

    /// The kernel's view.
    #[must_use]
    pub const fn pack(self) -> u64 {
        ((self.kind as u64) << 56) | ((self.generation as u64) << 32) | self.index as u64
    }

    /// Our view; `None` for a value this crate never packs.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fields are cut out of the 64 bits"
    )]
    pub const fn unpack(user_data: u64) -> Option<Self> {
        let kind = match (user_data >> 56) as u8 {
            1 => TokenKind::Accept,
            2 => TokenKind::Watch,
            3 => TokenKind::Receive,
            4 => TokenKind::Send,
            5 => TokenKind::Connect,
            6 => TokenKind::Open,
            7 => TokenKind::Option,
            8 => TokenKind::Close,
            9 => TokenKind::Cancel,
            10 => TokenKind::Abort,
            11 => TokenKind::Stream,
            12 => TokenKind::Bind,
            _ => return None,
        };
        let generation = (user_data >> 32) as u32 % GENERATION_LIMIT;
        Some(Self {
            kind,
            generation,
            index: user_data as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [TokenKind; 12] = [
        TokenKind::Accept,
        TokenKind::Watch,
        TokenKind::Receive,
        TokenKind::Send,
        TokenKind::Connect,
        TokenKind::Open,
        TokenKind::Option,
        TokenKind::Close,
        TokenKind::Cancel,
        TokenKind::Abort,
        TokenKind::Stream,
        TokenKind::Bind,
    ];

    proptest! {
        #[test]
        fn packing_loses_nothing(kind in 0..KINDS.len(), index: u32, generation in 0..GENERATION_LIMIT) {
            let token = Token::new(KINDS[kind], index, generation);
            prop_assert_eq!(Token::unpack(token.pack()), Some(token));
        }

        #[test]
        fn any_bits_unpack_to_nothing_or_to_themselves(bits: u64) {
            if let Some(token) = Token::unpack(bits) {
                prop_assert_eq!(token.pack(), bits);
            }
        }
    }
}
