//! The header of the PROXY protocol, by which a balancer announces whose connection it passes on: versions 1
//! and 2 of `proxy-protocol.txt`, revision 2020/03/05, which HAProxy publishes.
//!
//! Pure: bytes in, a verdict out. Who may announce is the listener's to say.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// A client's.
    Client {
        /// Where it comes from.
        from: SocketAddr,
        /// Where it connected to.
        to: SocketAddr,
    },
    /// The sender's own, such as a health check's, or of somebody it does not know.
    Sender,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A header, and how many of the bytes it has.
    Whole(Announcement, usize),
    /// The beginning of one.
    Unfinished,
    /// None.
    Absent,
}

/// A version of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderVersion {
    /// A line of text.
    V1,
    /// In binary form.
    V2,
}

impl HeaderVersion {
    /// Both, by their names.
    pub const WORDS: &'static [(&'static str, Self)] = &[("v1", Self::V1), ("v2", Self::V2)];
}

/// Writes a header. Addresses of two families are both told as IPv6.
#[must_use]
pub fn write(version: HeaderVersion, announcement: Announcement) -> Vec<u8> {
    let ends = match announcement {
        Announcement::Client { from, to } => Some(of_one_family(from, to)),
        Announcement::Sender => None,
    };
    match version {
        HeaderVersion::V1 => write_text(ends).into_bytes(),
        HeaderVersion::V2 => write_binary(ends),
    }
}

fn of_one_family(from: SocketAddr, to: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let (from, to) = (canonical(from), canonical(to));
    if from.is_ipv4() == to.is_ipv4() {
        return (from, to);
    }
    let wide = |end: SocketAddr| match end.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), end.port()),
        IpAddr::V6(_) => end,
    };
    (wide(from), wide(to))
}

fn write_text(ends: Option<(SocketAddr, SocketAddr)>) -> String {
    let Some((from, to)) = ends else {
        return "PROXY UNKNOWN\r\n".to_owned();
    };
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from_ip, to_ip) = (from.ip(), to.ip());
    let (from_port, to_port) = (from.port(), to.port());
    format!("PROXY {family} {from_ip} {to_ip} {from_port} {to_port}\r\n")
}

fn write_binary(ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let (command, family, rest) = match ends {
        None => (LOCAL, UNSPECIFIED, Vec::new()),
        Some((from, to)) => {
            let octets = |end: SocketAddr| match end.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let family = if from.is_ipv4() {
                TCP_OVER_IPV4
            } else {
                TCP_OVER_IPV6
            };
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            (PROXY, family, [octets(from), octets(to), ports].concat())
        }
    };
    let length = u16::try_from(rest.len()).unwrap_or_default().to_be_bytes();
    [SIGNATURE, &[command, family], &length, &rest].concat()
}

/// Reads the header at the beginning of a connection. It takes at most [`HEADER_BYTES_MAX`] bytes; with that many
/// it is never unfinished.
#[must_use]
pub fn read(bytes: &[u8]) -> ProxyHeader {
    let read = if begins_alike(bytes, SIGNATURE) {
        read_binary(bytes)
    } else if begins_alike(bytes, WORD) {
        read_text(bytes)
    } else {
        None
    };
    read.unwrap_or(ProxyHeader::Absent)
}

fn begins_alike(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(here, there)| here == there)
}

/// Version 1: one line.
fn read_text(bytes: &[u8]) -> Option<ProxyHeader> {
    let within = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return (bytes.len() < LINE_BYTES_MAX).then_some(ProxyHeader::Unfinished);
    };
    let line = std::str::from_utf8(within.get(WORD.len()..end)?).ok()?;
    let length = end + 2;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(ProxyHeader::Whole(Announcement::Sender, length));
    }
    let mut words = line.split(' ');
    let family = words.next()?;
    let [from, to] = [words.next()?, words.next()?].map(|word| address(family, word));
    let [from_port, to_port] = [words.next()?, words.next()?].map(port);
    if words.next().is_some() {
        return None;
    }
    let announcement = Announcement::Client {
        from: SocketAddr::new(from?, from_port?),
        to: SocketAddr::new(to?, to_port?),
    };
    Some(ProxyHeader::Whole(announcement, length))
}

fn address(family: &str, word: &str) -> Option<IpAddr> {
    match family {
        "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// A number without a sign or zeros before it.
fn port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = word == "0" || !word.starts_with('0');
    word.parse().ok().filter(|_| is_plain && is_short)
}

/// Version 2: a signature, a length, and addresses in binary form. What stands behind them is passed over.
fn read_binary(bytes: &[u8]) -> Option<ProxyHeader> {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Some(ProxyHeader::Unfinished);
    };
    let [.., command, family, high, low] = *fixed;
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_BYTES_MAX {
        return None;
    }
    let Some(rest) = bytes.get(FIXED_BYTES..length) else {
        return Some(ProxyHeader::Unfinished);
    };
    let announcement = match (command, family) {
        (LOCAL, _) | (PROXY, UNSPECIFIED | UNIX_STREAM) => Announcement::Sender,
        (PROXY, TCP_OVER_IPV4) => ipv4(rest)?,
        (PROXY, TCP_OVER_IPV6) => ipv6(rest)?,
        _ => return None,
    };
    Some(ProxyHeader::Whole(announcement, length))
}

fn ipv4(bytes: &[u8]) -> Option<Announcement> {
    let (from, rest) = bytes.split_first_chunk::<4>()?;
    let (to, rest) = rest.split_first_chunk::<4>()?;
    let (from_port, to_port) = ports(rest)?;
    Some(Announcement::Client {
        from: SocketAddr::new(Ipv4Addr::from(*from).into(), from_port),
        to: SocketAddr::new(Ipv4Addr::from(*to).into(), to_port),
    })
}

fn ipv6(bytes: &[u8]) -> Option<Announcement> {
    let (from, rest) = bytes.split_first_chunk::<16>()?;
    let (to, rest) = rest.split_first_chunk::<16>()?;
    let (from_port, to_port) = ports(rest)?;
    Some(Announcement::Client {
        from: SocketAddr::new(Ipv6Addr::from(*from).into(), from_port),
        to: SocketAddr::new(Ipv6Addr::from(*to).into(), to_port),
    })
}

fn ports(bytes: &[u8]) -> Option<(u16, u16)> {
    let (from, rest) = bytes.split_first_chunk::<2>()?;
    let to = rest.first_chunk::<2>()?;
    Some((u16::from_be_bytes(*from), u16::from_be_bytes(*to)))
}

/// The most bytes of a header: more than any sender needs, further fields included.
pub const HEADER_BYTES_MAX: usize = 4096;
const WORD: &[u8] = b"PROXY ";
/// A line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, command, family and length of version 2.
const FIXED_BYTES: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(from: &str, to: &str) -> Announcement {
        Announcement::Client {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        }
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    const V4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb];

    #[test]
    fn a_line_names_the_client_and_where_it_connected_to() {
        let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n";
        let expected = client("192.0.2.7:56324", "10.0.0.1:443");
        assert_eq!(read(line), ProxyHeader::Whole(expected, 41));
        let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n";
        let expected = client("[2001:db8::7]:0", "[2001:db8::1]:65535");
        assert_eq!(read(line), ProxyHeader::Whole(expected, line.len()));
        for unknown in [
            "PROXY UNKNOWN\r\n",
            "PROXY UNKNOWN ffff:: any thing 1 2\r\n",
        ] {
            let expected = ProxyHeader::Whole(Announcement::Sender, unknown.len());
            assert_eq!(read(unknown.as_bytes()), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(from in any::<SocketAddr>(), to in any::<SocketAddr>()) {
            let ends = |end: SocketAddr| (end.ip().to_canonical(), end.port());
            for version in [HeaderVersion::V1, HeaderVersion::V2] {
                let written = write(version, Announcement::Client { from, to });
                let ProxyHeader::Whole(Announcement::Client { from: read_from, to: read_to }, length) =
                    read(&written)
                else {
                    panic!("{written:?}");
                };
                prop_assert_eq!(length, written.len());
                prop_assert_eq!((ends(read_from), ends(read_to)), (ends(from), ends(to)));
            }
        }
    }

    #[test]
    fn headers_are_written_as_the_text_has_them() {
        let between = client("192.0.2.7:56324", "10.0.0.1:443");
        let line = write(HeaderVersion::V1, between);
        assert_eq!(line, b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n");
        assert_eq!(
            write(HeaderVersion::V2, between),
            binary(PROXY, TCP_OVER_IPV4, V4)
        );
        let mixed = client("192.0.2.7:1", "[2001:db8::1]:2");
        let line = write(HeaderVersion::V1, mixed);
        assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
        for version in [HeaderVersion::V1, HeaderVersion::V2] {
            let own = write(version, Announcement::Sender);
            assert_eq!(
                read(&own),
                ProxyHeader::Whole(Announcement::Sender, own.len())
            );
        }
    }

    #[test]
    fn a_line_that_is_not_to_the_letter_is_none() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!(longest.len(), LINE_BYTES_MAX);
        assert_ne!(read(longest.as_bytes()), ProxyHeader::Absent);
        let odd = [
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 \r\n",
            "PROXY TCP4  192.0.2.7 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.07 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 +56324 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 056324 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
            "PROXY\tTCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "GET / HTTP/1.1\r\n",
            &longest.replace("xx", "xxx"),
        ];
        for line in odd {
            assert_eq!(read(line.as_bytes()), ProxyHeader::Absent, "{line}");
        }
    }

    #[test]
    fn the_binary_form_names_the_client_and_may_say_more() {
        let expected = client("192.0.2.7:56324", "10.0.0.1:443");
        let bytes = binary(PROXY, TCP_OVER_IPV4, V4);
        assert_eq!(read(&bytes), ProxyHeader::Whole(expected, 28));
        let further = [V4, &[3, 0, 4, 1, 2, 3, 4]].concat();
        let bytes = binary(PROXY, TCP_OVER_IPV4, &further);
        assert_eq!(read(&bytes), ProxyHeader::Whole(expected, 35));
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        v6[15] = 7;
        v6[16..20].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        v6[31] = 1;
        v6[32..].copy_from_slice(&[0, 80, 1, 0xbb]);
        let expected = client("[2001:db8::7]:80", "[2001:db8::1]:443");
        let bytes = binary(PROXY, TCP_OVER_IPV6, &v6);
        assert_eq!(read(&bytes), ProxyHeader::Whole(expected, 52));
        for (command, family) in [
            (LOCAL, UNSPECIFIED),
            (LOCAL, 0x11),
            (PROXY, 0),
            (PROXY, 0x31),
        ] {
            let bytes = binary(command, family, V4);
            assert_eq!(read(&bytes), ProxyHeader::Whole(Announcement::Sender, 28));
        }
    }

    #[test]
    fn a_binary_form_that_says_nothing_known_is_none() {
        let odd = [
            binary(PROXY, TCP_OVER_IPV4, &V4[..11]),
            binary(PROXY, TCP_OVER_IPV6, V4),
            binary(PROXY, 0x12, V4),
            binary(0x22, TCP_OVER_IPV4, V4),
            binary(0x11, TCP_OVER_IPV4, V4),
            binary(PROXY, TCP_OVER_IPV4, &[0; HEADER_BYTES_MAX - 15]),
        ];
        for bytes in odd {
            assert_eq!(read(&bytes), ProxyHeader::Absent, "{bytes:?}");
        }
    }

    proptest! {
        /// However a header comes in pieces, nothing is said of it before it is whole, and what follows it
        /// changes nothing.
        #[test]
        fn pieces_of_a_header_are_unfinished(
            from in any::<SocketAddr>(), to in any::<(u16, bool)>(), after in any::<Vec<u8>>(),
        ) {
            let from = SocketAddr::new(from.ip(), from.port());
            let to = SocketAddr::new(from.ip(), to.0);
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            let rest = [octets(from.ip()), octets(to.ip()), ports].concat();
            let family = if from.is_ipv4() { TCP_OVER_IPV4 } else { TCP_OVER_IPV6 };
            for header in [line.into_bytes(), binary(PROXY, family, &rest)] {
                for end in 0..header.len() {
                    prop_assert_eq!(read(&header[..end]), ProxyHeader::Unfinished);
                }
                let expected = ProxyHeader::Whole(Announcement::Client { from, to }, header.len());
                prop_assert_eq!(read(&[header, after.clone()].concat()), expected);
            }
        }

        #[test]
        fn whatever_comes_there_is_a_verdict_within_the_bound(
            start in prop::sample::select(vec![&b""[..], WORD, SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11"]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = [start, &bytes].concat();
            bytes.resize(HEADER_BYTES_MAX, b'x');
            prop_assert_ne!(read(&bytes), ProxyHeader::Unfinished);
        }
    }
}
