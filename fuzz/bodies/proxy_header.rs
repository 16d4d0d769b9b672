//! The header of the PROXY protocol: a verdict is the same however many bytes follow, comes within the bound, and
//! takes no more bytes than there are.

use portway::decision::proxy_header::HEADER_BYTES_MAX;
use portway::decision::proxy_header::ProxyHeader;
use portway::decision::proxy_header::read;

/// Reads the first bytes of a connection.
pub fn run(data: &[u8]) {
    let verdict = read(data);
    let mut more = data.to_vec();
    more.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    match verdict {
        ProxyHeader::Whole(announcement, length) => {
            assert!(length <= data.len().min(HEADER_BYTES_MAX));
            assert_eq!(read(&more), ProxyHeader::Whole(announcement, length));
            for end in 0..length {
                let piece = data.get(..end).unwrap_or_default();
                assert_eq!(read(piece), ProxyHeader::Unfinished);
            }
        }
        ProxyHeader::Absent => assert_eq!(read(&more), ProxyHeader::Absent),
        ProxyHeader::Unfinished => {
            more.resize(HEADER_BYTES_MAX.max(data.len()), b'x');
            assert_ne!(read(&more), ProxyHeader::Unfinished);
        }
    }
}

/// What balancers send, and what is nearly that.
pub fn seeds() -> Vec<Vec<u8>> {
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xdc\x04\x01\xbb";
    let lines = [
        "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n",
        "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 56324 65536\r\n",
    ];
    let lines = lines.map(|line| line.as_bytes().to_vec());
    lines.into_iter().chain([binary.to_vec()]).collect()
}
