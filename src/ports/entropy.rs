//! The port to randomness.

/// Gives unpredictable bytes. Every id, nonce and key comes from here: a predictable source hands
/// out sessions, and a repeating one breaks the cookie encryption.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Sixteen unpredictable bytes, for an id.
pub fn id_bytes(entropy: &dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes
}

/// Twelve unpredictable bytes, for sealing one message.
pub fn seal_nonce(entropy: &dyn Entropy) -> [u8; 12] {
    let mut bytes = [0; 12];
    entropy.fill(&mut bytes);
    bytes
}
