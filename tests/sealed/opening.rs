//! When a sealed message opens, and that every reason not to looks the same (MDC-COOKIE-5).

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portway::crypto::sealed::Binding;
use portway::crypto::sealed::OpenError;
use proptest::array::uniform12;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_assume;
use proptest::proptest;

use super::PURPOSES;
use super::authn_cookie;
use super::cases;
use super::one_key;
use super::ring;

const PLAIN: &[u8] = b"the facts of a session, sealed";

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn what_was_sealed_opens_for_what_it_was_sealed_for(
        plain in vec(any::<u8>(), 0..300),
        nonce in uniform12(any::<u8>()),
        name in ".{0,40}",
        scope in ".{0,40}",
    ) {
        let ring = one_key();
        for purpose in PURPOSES {
            let binding = Binding { purpose, name: &name, scope: &scope };
            let sealed = ring.seal(&binding, nonce, &plain);
            prop_assert_eq!(ring.open(&binding, &sealed), Ok(plain.clone()));
            let bytes = ring.seal_bytes(&binding, nonce, &plain);
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(&bytes), sealed);
            prop_assert_eq!(ring.open_bytes(&binding, bytes), Ok(plain.clone()));
        }
    }

    #[test]
    fn a_message_for_another_name_or_host_does_not_open(
        (name, scope) in (".{0,20}", ".{0,20}"),
        (other_name, other_scope) in (".{0,20}", ".{0,20}"),
    ) {
        prop_assume!((&name, &scope) != (&other_name, &other_scope));
        let ring = one_key();
        let sealed_for = Binding { name: &name, scope: &scope, ..authn_cookie() };
        let opened_for = Binding { name: &other_name, scope: &other_scope, ..authn_cookie() };
        let sealed = ring.seal(&sealed_for, [1; 12], PLAIN);
        prop_assert_eq!(ring.open(&opened_for, &sealed), Err(OpenError));
    }

    /// Without lengths in the associated data `ab` + `c` would read like `a` + `bc`.
    #[test]
    fn no_byte_moves_from_the_name_to_the_host(
        joined in "[a-z\\x00-\\x08]{1,24}",
        (at, to) in any::<(u8, u8)>(),
    ) {
        let split = |at: u8| joined.split_at(usize::from(at) % (joined.len() + 1));
        let ((name, scope), (moved_name, moved_scope)) = (split(at), split(to));
        prop_assume!(name != moved_name);
        let ring = one_key();
        let sealed = ring.seal(&Binding { name, scope, ..authn_cookie() }, [1; 12], PLAIN);
        let moved = Binding { name: moved_name, scope: moved_scope, ..authn_cookie() };
        prop_assert_eq!(ring.open(&moved, &sealed), Err(OpenError));
    }

    #[test]
    fn arbitrary_bytes_and_texts_do_not_open_and_never_panic(
        bytes in vec(any::<u8>(), 0..200),
        text in ".{0,200}",
    ) {
        let ring = one_key();
        let mut headed = vec![1, 0, 0, 0, 1];
        headed.extend_from_slice(&bytes);
        prop_assert_eq!(ring.open_bytes(&authn_cookie(), bytes), Err(OpenError));
        prop_assert_eq!(ring.open_bytes(&authn_cookie(), headed), Err(OpenError));
        prop_assert_eq!(ring.open(&authn_cookie(), &text), Err(OpenError));
    }

    #[test]
    fn a_message_with_any_bits_changed_does_not_open(
        plain in vec(any::<u8>(), 0..200),
        at in any::<proptest::sample::Index>(),
        change in 1_u8..,
    ) {
        let ring = one_key();
        let mut sealed = ring.seal_bytes(&authn_cookie(), [1; 12], &plain);
        let at = at.index(sealed.len());
        sealed[at] ^= change;
        prop_assert_eq!(ring.open_bytes(&authn_cookie(), sealed), Err(OpenError));
    }

    #[test]
    fn two_sealings_of_one_message_have_nothing_in_common_but_their_head(
        (one, other) in (uniform12(any::<u8>()), uniform12(any::<u8>())),
    ) {
        prop_assume!(one != other);
        let ring = one_key();
        let sealed = [one, other].map(|nonce| ring.seal_bytes(&authn_cookie(), nonce, PLAIN));
        prop_assert!(sealed[0][17..] != sealed[1][17..]);
        prop_assert_eq!(&sealed[0][5..17], &one);
        prop_assert_eq!(&sealed[1][5..17], &other);
    }
}

#[test]
fn every_single_bit_of_a_message_is_guarded() {
    let ring = one_key();
    let sealed = ring.seal_bytes(&authn_cookie(), [1; 12], PLAIN);
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut tampered = sealed.clone();
            tampered[at] ^= 1 << bit;
            let opened = ring.open_bytes(&authn_cookie(), tampered);
            assert_eq!(opened, Err(OpenError), "byte {at}, bit {bit}");
        }
    }
}

/// A character of base64 carries six bits, the last one two or four; the rest of it must be zero, or a
/// cookie had several spellings.
#[test]
fn every_single_character_of_a_cookie_is_guarded() {
    let ring = one_key();
    let alphabet: Vec<u8> = (b' '..=b'~').collect();
    for length in 0..3 {
        let sealed = ring.seal(&authn_cookie(), [1; 12], &PLAIN[..length]);
        for (at, old) in sealed.bytes().enumerate() {
            let is_last = at + 1 == sealed.len();
            let step = if is_last { 1 } else { 19 };
            for new in alphabet.iter().step_by(step).filter(|new| **new != old) {
                let mut tampered = sealed.clone().into_bytes();
                tampered[at] = *new;
                let tampered = String::from_utf8(tampered).unwrap();
                let opened = ring.open(&authn_cookie(), &tampered);
                assert_eq!(opened, Err(OpenError), "{tampered}");
            }
        }
    }
}

#[test]
fn a_message_that_was_cut_or_extended_anywhere_does_not_open() {
    let ring = one_key();
    let sealed = ring.seal_bytes(&authn_cookie(), [1; 12], PLAIN);
    let text = ring.seal(&authn_cookie(), [1; 12], PLAIN);
    for length in 0..sealed.len() {
        let head = sealed[..length].to_vec();
        assert_eq!(ring.open_bytes(&authn_cookie(), head), Err(OpenError));
        let tail = sealed[sealed.len() - length..].to_vec();
        assert_eq!(ring.open_bytes(&authn_cookie(), tail), Err(OpenError));
    }
    for length in 0..text.len() {
        assert_eq!(ring.open(&authn_cookie(), &text[..length]), Err(OpenError));
    }
    for at in 0..=sealed.len() {
        for new in [0, 1, 0xFF] {
            let mut extended = sealed.clone();
            extended.insert(at, new);
            assert_eq!(ring.open_bytes(&authn_cookie(), extended), Err(OpenError));
        }
    }
    for extended in [format!("{text}A"), format!("A{text}"), format!("{text}=")] {
        assert_eq!(ring.open(&authn_cookie(), &extended), Err(OpenError));
    }
}

#[test]
fn a_message_for_another_purpose_does_not_open() {
    let ring = one_key();
    for sealed_for in PURPOSES {
        let binding = |purpose| Binding {
            purpose,
            ..authn_cookie()
        };
        let sealed = ring.seal(&binding(sealed_for), [1; 12], PLAIN);
        for opened_for in PURPOSES {
            let opened = ring.open(&binding(opened_for), &sealed);
            assert_eq!(opened.is_ok(), sealed_for == opened_for);
        }
    }
}

#[test]
fn purposes_encrypt_under_keys_of_their_own() {
    let ring = one_key();
    let bodies: HashSet<_> = PURPOSES
        .into_iter()
        .map(|purpose| {
            let binding = Binding {
                purpose,
                ..authn_cookie()
            };
            // The tag also depends on the associated data; the ciphertext before it only on the key.
            let sealed = ring.seal_bytes(&binding, [1; 12], PLAIN);
            sealed[17..sealed.len() - 16].to_vec()
        })
        .collect();
    assert_eq!(bodies.len(), PURPOSES.len());
}

#[test]
fn a_message_of_another_ring_does_not_open() {
    let sealed = one_key().seal(&authn_cookie(), [1; 12], PLAIN);
    let same_id = ring(1, &[(1, 8)]);
    assert_eq!(same_id.open(&authn_cookie(), &sealed), Err(OpenError));
    let same_key_other_id = ring(2, &[(2, 7)]);
    assert_eq!(
        same_key_other_id.open(&authn_cookie(), &sealed),
        Err(OpenError)
    );
}

#[test]
fn an_old_key_opens_while_it_is_in_the_ring_and_a_new_one_seals_s_23() {
    let before = ring(1, &[(1, 7)]);
    let published = ring(1, &[(1, 7), (2, 8)]);
    let after = ring(2, &[(1, 7), (2, 8)]);
    let retired = ring(2, &[(2, 8)]);
    let old = before.seal(&authn_cookie(), [1; 12], PLAIN);
    let new = after.seal(&authn_cookie(), [2; 12], PLAIN);
    for (ring, opens_old, opens_new) in [
        (&before, true, false),
        (&published, true, true),
        (&after, true, true),
        (&retired, false, true),
    ] {
        assert_eq!(ring.open(&authn_cookie(), &old).is_ok(), opens_old);
        assert_eq!(ring.open(&authn_cookie(), &new).is_ok(), opens_new);
    }
    let sealed = published.seal_bytes(&authn_cookie(), [3; 12], PLAIN);
    assert_eq!(
        sealed[..5],
        [1, 0, 0, 0, 1],
        "the sealer is the old one yet"
    );
    let sealed = after.seal_bytes(&authn_cookie(), [3; 12], PLAIN);
    assert_eq!(sealed[..5], [1, 0, 0, 0, 2]);
}

#[test]
fn a_key_id_that_is_swapped_for_another_of_the_ring_does_not_open() {
    let ring = ring(1, &[(1, 7), (2, 7)]);
    let mut sealed = ring.seal_bytes(&authn_cookie(), [1; 12], PLAIN);
    sealed[4] = 2;
    assert_eq!(ring.open_bytes(&authn_cookie(), sealed), Err(OpenError));
}

#[test]
fn a_text_that_is_too_long_is_not_even_decoded() {
    let ring = one_key();
    let longest = vec![0; 12 * 1024 - 33];
    let sealed = ring.seal(&authn_cookie(), [1; 12], &longest);
    assert_eq!(sealed.len(), 16 * 1024);
    assert_eq!(ring.open(&authn_cookie(), &sealed), Ok(longest.clone()));
    let longer = [longest, vec![0]].concat();
    let sealed = ring.seal(&authn_cookie(), [1; 12], &longer);
    assert_eq!(ring.open(&authn_cookie(), &sealed), Err(OpenError));
}

/// X-23, S-23: known to all, then sealing, then opening only, then gone. What one stage seals, its neighbours
/// open, so that data centres may be a stage apart.
#[test]
fn a_key_passes_through_its_stages_and_signs_nobody_out_before_the_last_x_23_s_23() {
    let (old, new) = ((1, 7), (2, 8));
    let stages = [
        ring(1, &[old]),
        ring(1, &[old, new]),
        ring(2, &[old, new]),
        ring(2, &[new]),
    ];
    let sealed = stages
        .each_ref()
        .map(|ring| ring.seal(&authn_cookie(), [1; 12], PLAIN));
    let opens = |opener: usize, sealer: usize| {
        let opened = stages[opener].open(&authn_cookie(), &sealed[sealer]);
        opened.is_ok()
    };
    for stage in 1..stages.len() {
        let neighbours = [(stage, stage), (stage - 1, stage), (stage, stage - 1)];
        for (opener, sealer) in neighbours {
            let sealed_by_old = sealer < 2;
            let is_gone = opener == 3 && sealed_by_old;
            assert_eq!(opens(opener, sealer), !is_gone, "{opener} {sealer}");
        }
    }
    assert!(!opens(0, 2), "a key that was not made known opens nothing");
    assert!(
        !opens(3, 0) && !opens(3, 1),
        "a key that is gone opens nothing"
    );
}
