//! What a cookie is bound to beside its host: the network and the program of the browser that it was given to,
//! as keyed hashes (D-19).
//!
//! They stand inside the sealed cookie and nowhere else. The key is the id of the session, so those of one
//! session say nothing of another's. What becomes of a cookie that has strayed is the gate's and the collector's
//! to say.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::USER_AGENT;
use ipnet::IpNet;
use sha2::Digest;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::crypto::codec::Malformed;
use crate::crypto::codec::Reader;
use crate::crypto::codec::Writer;
use crate::model::id::SsoId;
use crate::model::network::PrefixLengths;

/// Who presents a cookie, as far as a cookie can be bound to it.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// Its headers; its program is what it says in `User-Agent`, and none is one as well.
    pub headers: &'a HeaderMap,
}

/// What the operator wants the cookies of a session bound to; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindTo {
    /// To the network of the client, this wide.
    pub address: Option<PrefixLengths>,
    /// Whether to what it says of itself in `User-Agent`.
    pub user_agent: bool,
}

/// What the operator wants of new sessions, by where they begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindRules {
    /// What their cookies are bound to.
    pub what: BindTo,
    /// The networks in which they are not bound to an address.
    pub except: Vec<IpNet>,
}

impl BindRules {
    /// What the cookies of a session are bound to that begins at an address. Nothing loosens one that is bound:
    /// whoever has a copy could bring it to an exception.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> BindTo {
        let address = address.to_canonical();
        let is_excepted = self.except.iter().any(|network| network.contains(&address));
        BindTo {
            address: self.what.address.filter(|_| !is_excepted),
            ..self.what
        }
    }
}

/// What one cookie is bound to; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    address: Option<AddressTag>,
    user_agent: Option<ProgramTag>,
}

/// What of a bearer is not what a cookie is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strayed {
    /// It comes from another network.
    Address,
    /// It comes from another program.
    UserAgent,
}

impl Strayed {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::UserAgent => "user_agent",
        }
    }
}

/// A keyed hash of a network. It can be tried only by sending a request for each guess, and cookies have one
/// kibibyte together (D-1): lengths other than the usual ones take the place of a byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressTag {
    Other(PrefixLengths, [u8; 3]),
    Usual([u8; 4]),
}

impl AddressTag {
    fn new(lengths: PrefixLengths, sso: &SsoId, bearer: &Bearer<'_>) -> Self {
        let network = lengths.network_bytes(bearer.address);
        if lengths == PrefixLengths::USUAL {
            Self::Usual(tag(sso, ADDRESS, &network))
        } else {
            Self::Other(lengths, tag(sso, ADDRESS, &network))
        }
    }

    const fn lengths(&self) -> PrefixLengths {
        match self {
            Self::Other(lengths, _) => *lengths,
            Self::Usual(_) => PrefixLengths::USUAL,
        }
    }

    /// Whether a bearer is in the network that it is of.
    fn is_of(&self, sso: &SsoId, bearer: &Bearer<'_>) -> bool {
        let network = self.lengths().network_bytes(bearer.address);
        match self {
            Self::Other(_, bound) => bound.ct_eq(&tag::<3>(sso, ADDRESS, &network)).into(),
            Self::Usual(bound) => bound.ct_eq(&tag::<4>(sso, ADDRESS, &network)).into(),
        }
    }
}

/// A keyed hash of a program, which is told by a text that anybody can copy.
type ProgramTag = [u8; 3];

impl Bound {
    /// Binds a cookie of a session to whom it is given.
    #[must_use]
    pub fn to(what: BindTo, sso: &SsoId, bearer: &Bearer<'_>) -> Self {
        Self {
            address: what
                .address
                .map(|lengths| AddressTag::new(lengths, sso, bearer)),
            user_agent: what.user_agent.then(|| program_tag(sso, bearer)),
        }
    }

    /// Binds another cookie of the session to the same kinds of things, as another host sees them: a browser may
    /// reach one host by IPv4 and another by IPv6.
    #[must_use]
    pub fn again(&self, sso: &SsoId, bearer: &Bearer<'_>) -> Self {
        Self::to(self.what(), sso, bearer)
    }

    /// What kinds of things it is bound to.
    #[must_use]
    pub fn what(&self) -> BindTo {
        BindTo {
            address: self.address.map(|tag| tag.lengths()),
            user_agent: self.user_agent.is_some(),
        }
    }

    /// Whether a cookie of a session is brought by whom it was given to. Where it is bound to nothing, nothing
    /// is hashed and no header looked at.
    ///
    /// # Errors
    /// What is another's.
    pub fn check(&self, sso: &SsoId, bearer: &Bearer<'_>) -> Result<(), Strayed> {
        let is_at = |bound: AddressTag| bound.is_of(sso, bearer);
        if !self.address.is_none_or(is_at) {
            return Err(Strayed::Address);
        }
        let is_by = |bound: ProgramTag| bound.ct_eq(&program_tag(sso, bearer)).into();
        if !self.user_agent.is_none_or(is_by) {
            return Err(Strayed::UserAgent);
        }
        Ok(())
    }

    /// The bits of a byte that say which tags follow; the others are free for what stands beside them.
    pub(in crate::crypto) const KINDS: u8 = OTHER_ADDRESS | PROGRAM;

    pub(in crate::crypto) fn kinds(&self) -> u8 {
        let address = match &self.address {
            None => 0,
            Some(AddressTag::Other(..)) => OTHER_ADDRESS,
            Some(AddressTag::Usual(_)) => ADDRESS,
        };
        address | self.user_agent.map_or(0, |_| PROGRAM)
    }

    pub(in crate::crypto) fn write_tags(&self, to: &mut Writer) {
        match &self.address {
            None => {}
            Some(AddressTag::Other(lengths, tag)) => {
                to.byte(lengths.code()).raw(tag);
            }
            Some(AddressTag::Usual(tag)) => {
                to.raw(tag);
            }
        }
        if let Some(tag) = &self.user_agent {
            to.raw(tag);
        }
    }

    pub(in crate::crypto) fn read_tags(
        kinds: u8,
        from: &mut Reader<'_>,
    ) -> Result<Self, Malformed> {
        let address = match kinds & OTHER_ADDRESS {
            0 => None,
            ADDRESS => Some(AddressTag::Usual(from.array()?)),
            OTHER_ADDRESS => {
                let lengths = PrefixLengths::from_code(from.byte()?);
                let lengths = lengths.filter(|lengths| *lengths != PrefixLengths::USUAL);
                Some(AddressTag::Other(lengths.ok_or(Malformed)?, from.array()?))
            }
            _ => return Err(Malformed),
        };
        let user_agent = (kinds & PROGRAM != 0).then(|| from.array()).transpose()?;
        Ok(Self {
            address,
            user_agent,
        })
    }
}

fn program_tag(sso: &SsoId, bearer: &Bearer<'_>) -> ProgramTag {
    let program = bearer.headers.get(USER_AGENT);
    let program = program.map_or(b"".as_slice(), |program| program.as_bytes());
    tag(sso, PROGRAM, program)
}

/// The key and the kind have one length each, so no two inputs read alike.
fn tag<const N: usize>(sso: &SsoId, kind: u8, bytes: &[u8]) -> [u8; N] {
    let hash = Sha256::new()
        .chain_update(sso.as_bytes())
        .chain_update([kind])
        .chain_update(bytes)
        .finalize();
    hash.first_chunk().copied().unwrap_or([0; N])
}

const ADDRESS: u8 = 0x40;
/// With lengths of its own.
const OTHER_ADDRESS: u8 = ADDRESS | 0x20;
const PROGRAM: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    const SSO: SsoId = SsoId::from_bytes([7; 16]);
    const BOTH: BindTo = BindTo {
        address: Some(PrefixLengths::USUAL),
        user_agent: true,
    };

    /// What a client with this address and program sends.
    struct Client(IpAddr, HeaderMap);

    impl Client {
        fn new(address: &str, program: &str) -> Self {
            let headers = HeaderMap::from_iter([(USER_AGENT, program.parse().unwrap())]);
            Self(address.parse().unwrap(), headers)
        }

        fn bearer(&self) -> Bearer<'_> {
            Bearer {
                address: self.0,
                headers: &self.1,
            }
        }
    }

    fn check(bound: &Bound, address: &str, program: &str) -> Result<(), Strayed> {
        bound.check(&SSO, &Client::new(address, program).bearer())
    }

    #[test]
    fn a_cookie_is_good_in_its_network_and_program_and_nowhere_else_d_19() {
        let given = Client::new("2001:db8::1", "fox");
        let bound = Bound::to(BOTH, &SSO, &given.bearer());
        assert_eq!(check(&bound, "2001:db8::ffff:2", "fox"), Ok(()));
        for elsewhere in ["2001:db8:0:1::1", "192.0.2.1"] {
            assert_eq!(check(&bound, elsewhere, "fox"), Err(Strayed::Address));
        }
        for other in ["", "foxy", "Fox"] {
            assert_eq!(check(&bound, "2001:db8::1", other), Err(Strayed::UserAgent));
        }
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_it_is_written_and_no_other_is_d_19() {
        let given = Client::new("192.0.2.1", "fox");
        let bound = Bound::to(BOTH, &SSO, &given.bearer());
        assert_eq!(check(&bound, "::ffff:192.0.2.1", "fox"), Ok(()));
        for elsewhere in ["192.0.2.2", "::c000:201"] {
            assert_eq!(check(&bound, elsewhere, "fox"), Err(Strayed::Address));
        }
    }

    #[test]
    fn a_wider_network_goes_with_the_cookie_to_every_host_d_19() {
        let what = BindTo {
            address: PrefixLengths::new(24, 56),
            user_agent: false,
        };
        let bound = Bound::to(what, &SSO, &Client::new("192.0.2.1", "fox").bearer());
        assert_eq!(check(&bound, "192.0.2.255", "wolf"), Ok(()));
        assert_eq!(check(&bound, "192.0.3.1", "fox"), Err(Strayed::Address));
        let other = Client::new("2001:db8::1", "fox");
        let again = bound.again(&SSO, &other.bearer());
        assert_eq!(again.what(), what);
        assert_eq!(check(&again, "2001:db8:0:ff::1", "fox"), Ok(()));
        for elsewhere in ["2001:db8:0:100::1", "192.0.2.1"] {
            assert_eq!(check(&again, elsewhere, "fox"), Err(Strayed::Address));
        }
    }

    #[test]
    fn a_session_that_begins_in_an_exception_is_bound_to_no_address_and_no_other_is_loosened() {
        let rules = BindRules {
            what: BOTH,
            except: vec!["198.51.100.0/24".parse().unwrap()],
        };
        let of = |address: &str| rules.of(address.parse().unwrap());
        let without = BindTo {
            address: None,
            ..BOTH
        };
        assert_eq!(of("198.51.100.7"), without);
        assert_eq!(of("::ffff:198.51.100.7"), without);
        assert_eq!(of("198.51.101.7"), BOTH);
        let given = Client::new("192.0.2.1", "fox");
        let bound = Bound::to(of("192.0.2.1"), &SSO, &given.bearer());
        assert_eq!(check(&bound, "198.51.100.7", "fox"), Err(Strayed::Address));
    }

    #[test]
    fn no_program_is_a_program_as_well() {
        let headers = HeaderMap::new();
        let address = "192.0.2.1".parse().unwrap();
        let none = Bearer {
            address,
            headers: &headers,
        };
        let bound = Bound::to(BOTH, &SSO, &none);
        assert_eq!(bound.check(&SSO, &none), Ok(()));
        assert_eq!(check(&bound, "192.0.2.1", "fox"), Err(Strayed::UserAgent));
    }

    #[test]
    fn the_tags_of_one_session_are_not_those_of_another() {
        let given = Client::new("192.0.2.1", "fox");
        let other = SsoId::from_bytes([8; 16]);
        let bound = Bound::to(BOTH, &SSO, &given.bearer());
        assert_eq!(bound.check(&other, &given.bearer()), Err(Strayed::Address));
        assert_ne!(
            bound.address,
            Bound::to(BOTH, &other, &given.bearer()).address
        );
    }

    #[test]
    fn a_tag_is_the_same_in_every_version_of_the_program() {
        let given = Client::new("192.0.2.1", "fox");
        let bound = Bound::to(BOTH, &SSO, &given.bearer());
        assert_eq!(bound.address, Some(TAG_OF_ADDRESS));
        assert_eq!(bound.user_agent, Some(TAG_OF_PROGRAM));
    }

    proptest! {
        #[test]
        fn what_it_is_not_bound_to_may_change_and_the_rest_may_not(
            address in any::<bool>(),
            user_agent in any::<bool>(),
            sso in any::<[u8; 16]>(),
        ) {
            let sso = SsoId::from_bytes(sso);
            let lengths = PrefixLengths::USUAL;
            let what = BindTo { address: address.then_some(lengths), user_agent };
            let given = Client::new("192.0.2.1", "fox");
            let bound = Bound::to(what, &sso, &given.bearer());
            prop_assert_eq!(bound.what(), what);
            let moved = Client::new("192.0.2.2", "fox");
            prop_assert_eq!(bound.check(&sso, &moved.bearer()).is_err(), address);
            let renamed = Client::new("192.0.2.1", "wolf");
            prop_assert_eq!(bound.check(&sso, &renamed.bearer()).is_err(), user_agent);
            let both = Client::new("192.0.2.2", "wolf");
            let again = bound.again(&sso, &both.bearer());
            prop_assert_eq!(again.what(), what);
            prop_assert_eq!(again.check(&sso, &both.bearer()), Ok(()));
            prop_assert_eq!(again.check(&sso, &given.bearer()).is_err(), address || user_agent);
        }
    }

    // The first bytes of the SHA-256 over sixteen bytes of 7, the kind, and what it is of.
    const TAG_OF_ADDRESS: AddressTag = AddressTag::Usual([0xE7, 0x47, 0x45, 0xE9]);
    const TAG_OF_PROGRAM: ProgramTag = [0x83, 0x0D, 0x06];
}
