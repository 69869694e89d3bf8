//! The secret that the hosts of a run share, and the proof of having it.
//!
//! Does not say how it gets to the hosts. It is never sent and never shown: each side proves it with HMAC-SHA256 (RFC 2104)
//! over both sides' nonces and the hello, under a word for the side, so that no proof serves twice or the other way.

use super::{FleetError, PROTOCOL};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use std::fmt;

/// The fewest characters of a token.
pub const FEWEST_CHARACTERS: usize = 16;
/// The most bytes.
pub const MOST_BYTES: usize = 1_024;

/// The shared secret. Shows itself to nobody.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(kept secret)")
    }
}

/// Who proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Member,
    Captain,
}

/// 32 bytes, in messages as base64: a nonce or a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes32(pub(super) [u8; 32]);

impl Bytes32 {
    /// From the system's generator; never the same twice.
    pub(super) fn random() -> Self {
        Self(rand::rng().random())
    }
}

impl Serialize for Bytes32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).ok();
        let exact = bytes.and_then(|bytes| bytes.try_into().ok());
        exact
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not 32 bytes of base64"))
    }
}

/// What a proof is over, besides the side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'a> {
    pub(super) member: Bytes32,
    pub(super) captain: Bytes32,
    /// The hello as it was on the wire.
    pub(super) hello: &'a [u8],
}

impl Token {
    /// White space at the ends, such as a file's last newline, does not count.
    ///
    /// # Errors
    /// [`FleetError::Token`] for one that is too short or too long.
    pub fn new(text: &str) -> Result<Self, FleetError> {
        let text = text.trim();
        let characters = text.chars().count();
        if characters < FEWEST_CHARACTERS {
            return Err(FleetError::Token(format!(
                "a token of {characters} characters can be guessed: take at least {FEWEST_CHARACTERS}, for instance \
                 what `head -c 24 /dev/urandom | base64` gives"
            )));
        }
        if text.len() > MOST_BYTES {
            return Err(FleetError::Token(format!(
                "a token has at most {MOST_BYTES} bytes: is that the right file?"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    fn mac(&self, side: Side, exchange: &Exchange<'_>) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes())
            .expect("HMAC takes a key of any length");
        let side = match side {
            Side::Member => "member",
            Side::Captain => "captain",
        };
        mac.update(format!("ringbeat rendezvous {PROTOCOL} {side}\0").as_bytes());
        mac.update(&exchange.member.0);
        mac.update(&exchange.captain.0);
        mac.update(exchange.hello);
        mac
    }

    /// That `side` has the token.
    pub(super) fn prove(&self, side: Side, exchange: &Exchange<'_>) -> Bytes32 {
        Bytes32(self.mac(side, exchange).finalize().into_bytes().into())
    }

    /// Whether `proof` is that of `side`; in a time that does not depend on how much of it is right.
    pub(super) fn verify(&self, side: Side, exchange: &Exchange<'_>, proof: &Bytes32) -> bool {
        self.mac(side, exchange).verify_slice(&proof.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_token_one_side_and_one_exchange() {
        let token = Token::new("correct horse battery\n").unwrap();
        let (member, captain) = (Bytes32::random(), Bytes32::random());
        let hello = b"hello".as_slice();
        let exchange = Exchange {
            member,
            captain,
            hello,
        };
        let proof = token.prove(Side::Member, &exchange);
        assert!(token.verify(Side::Member, &exchange, &proof));
        assert!(!token.verify(Side::Captain, &exchange, &proof));
        let other = Token::new("correct horse batterz").unwrap();
        assert!(!other.verify(Side::Member, &exchange, &proof));
        for changed in [
            Exchange {
                member: captain,
                captain: member,
                hello,
            },
            Exchange {
                captain: Bytes32::random(),
                ..exchange
            },
            Exchange {
                hello: b"hellp",
                ..exchange
            },
        ] {
            assert!(!token.verify(Side::Member, &changed, &proof));
        }
    }

    #[test]
    fn a_token_is_long_enough_and_is_not_shown() {
        let token = Token::new("  sixteen-letters!  ").unwrap();
        assert!(!format!("{token:?}").contains("sixteen"), "{token:?}");
        assert!(Token::new(" fifteen-letters ").is_err());
        assert!(Token::new(&"x".repeat(MOST_BYTES + 1)).is_err());
        let why = Token::new("secret").unwrap_err().to_string();
        assert!(
            why.contains("6 characters") && !why.contains("secret"),
            "{why}"
        );
    }

    #[test]
    fn thirty_two_bytes_survive_a_message_and_no_others_pass() {
        let bytes = Bytes32::random();
        let text = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<Bytes32>(&text).unwrap(), bytes);
        for bad in ["\"\"", "\"AAAA\"", "\"?\"", "7"] {
            assert!(serde_json::from_str::<Bytes32>(bad).is_err(), "{bad}");
        }
    }
}
