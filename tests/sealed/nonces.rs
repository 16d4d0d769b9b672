//! Nonces of AES-GCM: no two are alike, over a million of one process and over restarts; a fault here would open
//! every cookie (CVE-2021-32791).

use portway::ports::entropy::seal_nonce;
use portway::system::SystemEntropy;

#[test]
fn no_nonce_comes_twice_in_a_million_and_over_restarts() {
    let mut nonces = Vec::with_capacity(COUNT);
    // Each source is what a process has that was started anew.
    for _ in 0..RESTARTS {
        let entropy = SystemEntropy::new();
        nonces.extend((0..COUNT / RESTARTS).map(|_| seal_nonce(&entropy)));
    }
    assert_eq!(nonces.len(), COUNT);
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), COUNT);
    // None of the bytes stands still, as it would in a counter.
    for place in 0..12 {
        let mut seen = [false; 256];
        for nonce in &nonces {
            seen[usize::from(nonce[place])] = true;
        }
        assert!(seen.iter().all(|seen| *seen), "byte {place}");
    }
}

const COUNT: usize = 1 << 20;
const RESTARTS: usize = 16;
