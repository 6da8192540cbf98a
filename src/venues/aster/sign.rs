//! Signing as Aster wants it. Its first version is Binance's HMAC ([`Credentials`](crate::venues::binance::sign::Credentials)). Its third is
//! an agent: a key of its own, which the account's owner has allowed, signs each request as typed data (EIP-712). Pure; the nonce's
//! clock is given, and the key wipes itself.
//!
//! What is signed is `Message { msg: string }` under the domain `AsterSignTransaction`, version 1, with the parameters as text, in the
//! order in which they are sent, behind them `nonce`, `user` and `signer`. The documents contradict each other: the overview sorts
//! the parameters, adds `timestamp` and speaks of a Keccak hash, where every example sends them as they are and signs typed data;
//! one example leaves `user` out, another sends it; one text gives a nonce 10 seconds, another 60; the official demonstrations sign the text
//! before percent-encoding in one place and after it in another, which is the same for every letter that our parameters have.
//! Followed here are the examples: encoded text, in order, with `user`, and a nonce of now.

use std::fmt;

use k256::ecdsa::SigningKey;
use secrecy::{ExposeSecret as _, SecretString};
use sha3::{Digest as _, Keccak256};
use zeroize::Zeroizing;

use crate::venues::binance::codec::request::Parameters;

/// The chain that the domain names.
pub const MAINNET_CHAIN: u64 = 1_666;
pub const TESTNET_CHAIN: u64 = 714;

/// Why there is no agent. The key itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    #[error("an agent's private key expected 64 hexadecimal digits (0x…), found something else")]
    Key,
    #[error("an account's address expected 40 hexadecimal digits (0x…), found {found:?}")]
    Address { found: String },
}

/// An agent and the account that it trades for.
pub struct Agent {
    user: String,
    address: String,
    key: SigningKey,
    domain: [u8; 32],
    last_nonce: u64,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Agent {
    /// `user` is the address of the account's owner, `key` the agent's private key.
    ///
    /// # Errors
    /// When either is none.
    pub fn new(user: &str, key: &SecretString, chain: u64) -> Result<Self, AgentError> {
        let digits = user.strip_prefix("0x").filter(|digits| digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if digits.is_none() {
            return Err(AgentError::Address { found: user.to_owned() });
        }
        let text = key.expose_secret().trim();
        let bytes = Zeroizing::new(hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| AgentError::Key)?);
        let key = SigningKey::from_slice(&bytes).map_err(|_| AgentError::Key)?;
        Ok(Self { user: user.to_owned(), address: address_of(&key), domain: domain(chain), key, last_nonce: 0 })
    }

    /// The agent's own address, which its owner has allowed.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A number that no request of this agent had before: the time, or one more than the last. The venue remembers the newest hundred.
    pub fn nonce(&mut self, now_micros: u64) -> u64 {
        self.last_nonce = now_micros.max(self.last_nonce + 1);
        self.last_nonce
    }

    /// The query string or form body to send, signed.
    #[must_use]
    pub fn signed_query(&self, parameters: &Parameters, nonce: u64) -> String {
        let all = parameters.clone().with("nonce", nonce).with("user", &self.user).with("signer", &self.address);
        let mut query = all.encoded();
        let signature = self.sign(&query);
        query.push_str("&signature=");
        query.push_str(&signature);
        query
    }

    /// `0x`, r, s and the recovery byte, in hexadecimal.
    fn sign(&self, message: &str) -> String {
        let typed = keccak(&[&keccak(&[b"Message(string msg)"]), &keccak(&[message.as_bytes()])]);
        let digest = keccak(&[b"\x19\x01", &self.domain, &typed]);
        // The number that must not repeat is made of digest and key (RFC 6979): no chance is involved.
        let (signature, recovery) = self.key.sign_prehash_recoverable(&digest);
        let recovery = 27 + recovery.to_byte();
        format!("0x{}{recovery:02x}", hex::encode(signature.to_bytes()))
    }
}

fn domain(chain: u64) -> [u8; 32] {
    let kind = keccak(&[b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"]);
    let mut number = [0; 32];
    number[24..].copy_from_slice(&chain.to_be_bytes());
    let nobody = [0; 32];
    keccak(&[&kind, &keccak(&[b"AsterSignTransaction"]), &keccak(&[b"1"]), &number, &nobody])
}

/// The last twenty bytes of the public key's hash, with the letters' case as a checksum (EIP-55).
fn address_of(key: &SigningKey) -> String {
    let point = key.verifying_key().to_sec1_point(false);
    let hash = keccak(&[&point.as_bytes()[1..]]);
    let digits = hex::encode(&hash[12..]);
    let checksum = hex::encode(keccak(&[digits.as_bytes()]));
    let cased = digits.chars().zip(checksum.chars()).map(|(digit, check)| if check >= '8' { digit.to_ascii_uppercase() } else { digit });
    std::iter::once('0').chain(std::iter::once('x')).chain(cased).collect()
}

fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venues::binance::sign::{Credentials, Timing};

    /// Published in the documents of the third version "for demonstration purposes only".
    const USER: &str = "0x63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e";
    const KEY: &str = "0x4fd0a42218f3eae43a6ce26d22544e986139a01e5b34a62db53757ffca81bae1";

    fn order() -> Parameters {
        let text =
            [("symbol", "ASTERUSDT"), ("type", "LIMIT"), ("side", "BUY"), ("timeInForce", "GTC"), ("quantity", "20"), ("price", "0.5")];
        text.into_iter().fold(Parameters::default(), |parameters, (name, value)| parameters.with(name, value))
    }

    /// The documents give key, address, order and nonce, and no signature: these two were made of them with eth_account 0.14.
    #[test]
    fn the_documented_key_is_the_documented_agent_and_signs_as_another_implementation_does() {
        let cases = [
            (
                MAINNET_CHAIN,
                "0x0a56c5923ebf3524475c5f631940ec4c0e41dbd300ad28198d1915d8f3ca49ce26fd1aeb8b0c3079133595da0de38322ae7e860e0c76d032c4a491d27c1430b01c",
            ),
            (
                TESTNET_CHAIN,
                "0xf91e000376f360c1661cf0fbc79a816e915dce485c616bd49c5e35c6cbc5ba5042ccf75a2bffd282676dbf698087a73982bfd1491a993eeedc276f6827c94a8c1c",
            ),
        ];
        for (chain, signature) in cases {
            let agent = Agent::new(USER, &KEY.into(), chain).unwrap();
            assert_eq!(agent.address(), "0x21cF8Ae13Bb72632562c6Fff438652Ba1a151bb0");
            let expected = format!(
                "symbol=ASTERUSDT&type=LIMIT&side=BUY&timeInForce=GTC&quantity=20&price=0.5&nonce=1748310859508867\
                 &user={USER}&signer=0x21cF8Ae13Bb72632562c6Fff438652Ba1a151bb0&signature={signature}"
            );
            assert_eq!(agent.signed_query(&order(), 1_748_310_859_508_867), expected);
        }
    }

    /// The example of the first version's documents.
    #[test]
    fn the_first_version_signs_as_binance_does() {
        let credentials = Credentials::hmac("k", "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9".into());
        let text =
            [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("quantity", "1"), ("price", "9000"), ("timeInForce", "GTC")];
        let order = text.into_iter().fold(Parameters::default(), |parameters, (name, value)| parameters.with(name, value));
        let query = credentials.signed_query(&order, Timing { at_millis: 1_591_702_613_943, window_millis: 5_000 });
        assert!(query.ends_with("&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"), "{query}");
    }

    #[test]
    fn a_nonce_is_never_used_twice_though_the_clock_stands_or_steps_back() {
        let mut agent = Agent::new(USER, &KEY.into(), MAINNET_CHAIN).unwrap();
        assert_eq!([agent.nonce(100), agent.nonce(100), agent.nonce(50), agent.nonce(200)], [100, 101, 102, 200]);
    }

    #[test]
    fn what_is_no_key_is_refused_and_no_secret_is_shown() {
        for key in ["", "0x12", "xyz", "0x0000000000000000000000000000000000000000000000000000000000000000"] {
            assert_eq!(Agent::new(USER, &key.into(), 1).err(), Some(AgentError::Key), "{key}");
        }
        assert!(matches!(Agent::new("0x63", &KEY.into(), 1), Err(AgentError::Address { .. })));
        let shown = format!("{:?}", Agent::new(USER, &KEY.into(), 1).unwrap());
        assert!(!shown.contains("4fd0a4"), "{shown}");
    }
}
