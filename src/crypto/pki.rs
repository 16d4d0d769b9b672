//! The private CA of the simple mode: a key under a pass phrase, and the certificates that it signs
//! (MDC-SEC-2, M-036).
//!
//! Bytes in, bytes out: salts, nonces and times come in. The one exception is `rcgen`, which draws the
//! randomness of key pairs and signatures from the operating system itself. Files, prompts and exit
//! codes are the matter of `portway pki`; who is let in by a certificate is the back-channel's.

pub mod authority;
pub mod bundle;
pub mod node_name;
pub mod passphrase;
pub mod summary;
